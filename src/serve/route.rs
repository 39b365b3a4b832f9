//! Every endpoint: its method, its path and whose it is. The router, the tests of roles and docs/openapi.json hold to this table.

use axum::http::Method;

use super::role::Role;

/// What is asked for. Its name is the only thing that logs and metrics say of a request's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Invocations,
    Ping,
    Version,
    Server,
    Live,
    Ready,
    Model,
    ModelReady,
    Infer,
    Delete,
    Deletions,
    Deletion,
    Receipt,
    Status,
    Audit,
    Metrics,
    Repair,
    Holds,
    Hold,
    Release,
    Discovery,
    Certificate,
    Receive,
    Asked,
    Cancel,
    Events,
    Script,
    Style,
    Document,
    Page,
    Unknown,
    /// Something that is there, by a method that is not.
    Method,
}

impl Endpoint {
    pub(super) const ALL: [Endpoint; 32] = [
        Endpoint::Invocations,
        Endpoint::Ping,
        Endpoint::Version,
        Endpoint::Server,
        Endpoint::Live,
        Endpoint::Ready,
        Endpoint::Model,
        Endpoint::ModelReady,
        Endpoint::Infer,
        Endpoint::Delete,
        Endpoint::Deletions,
        Endpoint::Deletion,
        Endpoint::Receipt,
        Endpoint::Status,
        Endpoint::Audit,
        Endpoint::Metrics,
        Endpoint::Repair,
        Endpoint::Holds,
        Endpoint::Hold,
        Endpoint::Release,
        Endpoint::Discovery,
        Endpoint::Certificate,
        Endpoint::Receive,
        Endpoint::Asked,
        Endpoint::Cancel,
        Endpoint::Events,
        Endpoint::Script,
        Endpoint::Style,
        Endpoint::Document,
        Endpoint::Page,
        Endpoint::Unknown,
        Endpoint::Method,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Endpoint::Invocations => "invocations",
            Endpoint::Ping => "ping",
            Endpoint::Version => "version",
            Endpoint::Server => "server",
            Endpoint::Live => "live",
            Endpoint::Ready => "ready",
            Endpoint::Model => "model",
            Endpoint::ModelReady => "model_ready",
            Endpoint::Infer => "infer",
            Endpoint::Delete => "delete",
            Endpoint::Deletions => "deletions",
            Endpoint::Deletion => "deletion",
            Endpoint::Receipt => "receipt",
            Endpoint::Status => "status",
            Endpoint::Audit => "audit",
            Endpoint::Metrics => "metrics",
            Endpoint::Repair => "repair",
            Endpoint::Holds => "holds",
            Endpoint::Hold => "hold",
            Endpoint::Release => "release",
            Endpoint::Discovery => "opendsr_discovery",
            Endpoint::Certificate => "opendsr_certificate",
            Endpoint::Receive => "opendsr_request",
            Endpoint::Asked => "opendsr_status",
            Endpoint::Cancel => "opendsr_cancel",
            Endpoint::Events => "events",
            Endpoint::Script => "script",
            Endpoint::Style => "style",
            Endpoint::Document => "document",
            Endpoint::Page => "page",
            Endpoint::Unknown => "unknown",
            Endpoint::Method => "method",
        }
    }
}

/// One endpoint at one path.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// One of these roles is needed; none for what anyone may ask.
    pub(super) roles: &'static [Role],
    pub(super) endpoint: Endpoint,
}

const fn get(path: &'static str, roles: &'static [Role], endpoint: Endpoint) -> Route {
    Route { method: Method::GET, path, roles, endpoint }
}

const fn post(path: &'static str, roles: &'static [Role], endpoint: Endpoint) -> Route {
    Route { method: Method::POST, path, roles, endpoint }
}

const fn put(path: &'static str, roles: &'static [Role], endpoint: Endpoint) -> Route {
    Route { method: Method::PUT, path, roles, endpoint }
}

const fn delete(path: &'static str, roles: &'static [Role], endpoint: Endpoint) -> Route {
    Route { method: Method::DELETE, path, roles, endpoint }
}

const ANYONE: &[Role] = &[];

/// All of them.
pub(super) const ROUTES: [Route; 35] = [
    post("/invocations", &[Role::Predict], Endpoint::Invocations),
    get("/ping", ANYONE, Endpoint::Ping),
    get("/health", ANYONE, Endpoint::Ping),
    get("/version", ANYONE, Endpoint::Version),
    get("/v2", ANYONE, Endpoint::Server),
    get("/v2/health/live", ANYONE, Endpoint::Live),
    get("/v2/health/ready", ANYONE, Endpoint::Ready),
    get("/v2/models/{model}", ANYONE, Endpoint::Model),
    get("/v2/models/{model}/ready", ANYONE, Endpoint::ModelReady),
    get("/v2/models/{model}/versions/{version}", ANYONE, Endpoint::Model),
    get("/v2/models/{model}/versions/{version}/ready", ANYONE, Endpoint::ModelReady),
    post("/v2/models/{model}/infer", &[Role::Predict], Endpoint::Infer),
    post("/v2/models/{model}/versions/{version}/infer", &[Role::Predict], Endpoint::Infer),
    post("/v1/deletions", &[Role::Delete], Endpoint::Delete),
    get("/v1/deletions", &[Role::Audit], Endpoint::Deletions),
    get("/v1/deletions/{request}", &[Role::Delete, Role::Audit], Endpoint::Deletion),
    get("/v1/deletions/{request}/receipt", &[Role::Audit], Endpoint::Receipt),
    get("/v1/status", &[Role::Audit], Endpoint::Status),
    get("/v1/audit", &[Role::Audit], Endpoint::Audit),
    get("/metrics", &[Role::Audit], Endpoint::Metrics),
    post("/v1/repair", &[Role::Admin], Endpoint::Repair),
    get("/v1/holds", &[Role::Audit, Role::Admin], Endpoint::Holds),
    put("/v1/holds/{hold}", &[Role::Admin], Endpoint::Hold),
    delete("/v1/holds/{hold}", &[Role::Admin], Endpoint::Release),
    get("/opendsr/v2/discovery", ANYONE, Endpoint::Discovery),
    get("/opendsr/v2/certificate.pem", ANYONE, Endpoint::Certificate),
    post("/opendsr/v2/requests", &[Role::Delete], Endpoint::Receive),
    get("/opendsr/v2/requests/{request}", &[Role::Delete, Role::Audit], Endpoint::Asked),
    get("/opendsr/v2/status/{request}", &[Role::Delete, Role::Audit], Endpoint::Asked),
    delete("/opendsr/v2/requests/{request}", &[Role::Delete], Endpoint::Cancel),
    get("/", &[Role::Audit], Endpoint::Page),
    get("/page.js", ANYONE, Endpoint::Script),
    get("/page.css", ANYONE, Endpoint::Style),
    get("/v1/events", &[Role::Audit], Endpoint::Events),
    get("/openapi.json", ANYONE, Endpoint::Document),
];

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;

    /// Paths and methods of docs/openapi.json are those of the router, and who may ask is told the same.
    #[test]
    fn the_document_describes_this_table() {
        let document: Value = serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap();
        let mut told: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                if method == "parameters" {
                    continue;
                }
                let roles = operation["x-roles"].as_array().unwrap().iter().map(|r| r.as_str().unwrap().to_owned()).collect();
                let roles: BTreeSet<String> = roles;
                let refusals = ["401", "403"].map(|status| operation["responses"][status].is_object());
                assert_eq!(refusals, [!roles.is_empty(); 2], "{path}");
                told.insert((method.to_uppercase(), path.clone()), roles);
            }
        }
        let routes: BTreeMap<(String, String), BTreeSet<String>> = ROUTES
            .iter()
            .map(|r| ((r.method.to_string(), r.path.to_owned()), r.roles.iter().map(ToString::to_string).collect()))
            .collect();
        assert_eq!(routes.len(), ROUTES.len(), "a route is there twice");
        assert_eq!(told, routes);
    }

    #[test]
    fn names_of_endpoints_differ() {
        let names: BTreeSet<&str> = Endpoint::ALL.iter().map(|e| e.name()).collect();
        assert_eq!(names.len(), Endpoint::ALL.len());
        assert!(ROUTES.iter().all(|r| Endpoint::ALL.contains(&r.endpoint)));
    }
}
