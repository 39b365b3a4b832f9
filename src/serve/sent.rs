//! What a request says beside its path: a key, where it comes from, its query, its body within bounds.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header, request::Parts},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};

use super::{app::App, deletions, problem::Problem};

/// The key that was sent: as a bearer's, or as the password of whatever user.
pub(super) fn key_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        use base64::Engine as _;
        let text = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(rest.trim()).ok()?).ok()?;
        return text.split_once(':').map(|(_, password)| password.to_owned());
    }
    None
}

/// Whether a request comes from this machine by its own name, and from no page of another one that a browser shows.
pub(super) fn is_local(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let host = text(header::HOST).unwrap_or("localhost");
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let own = name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    own && text(header::ORIGIN).is_none_or(|origin| ["http", "https"].iter().any(|scheme| origin == format!("{scheme}://{host}")))
}

/// A parameter of the query that is a number.
fn number(parts: &Parts, name: &str) -> Result<Option<u64>, Problem> {
    let query = parts.uri.query().unwrap_or_default();
    let found = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    let wrong = || Problem::input(format!("`{name}` is a whole number"));
    found.map(|(_, value)| value.parse().map_err(|_| wrong())).transpose()
}

/// Which requests are listed.
pub(super) fn asked_page(parts: &Parts) -> Result<deletions::Page, Problem> {
    Ok(deletions::Page::new(number(parts, "before")?, number(parts, "limit")?))
}

/// Whether a parameter of the query says yes.
pub(super) fn asked_for(parts: &Parts, name: &str) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    query.split('&').any(|pair| pair.split_once('=').is_some_and(|(key, value)| key == name && (value == "1" || value == "true")))
}

/// Reads a body, within the bounds on its size, on its time, and on what may lie in memory of all bodies at once.
pub(super) async fn read_body(
    app: &App,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Bytes, tokio::sync::OwnedSemaphorePermit), Problem> {
    let most = (app.config().body_mib as usize) << 20;
    let too_large = || Problem::too_large(format!("the body is more than {most} bytes"));
    let length = headers.get(header::CONTENT_LENGTH).and_then(|l| l.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let kib = u32::try_from(length.unwrap_or(most).div_ceil(1024).max(1)).unwrap_or(u32::MAX);
    let room = app.bodies.clone().try_acquire_many_owned(kib);
    let room = room.map_err(|_| Problem::busy("as many bodies as may lie in memory are being read; ask again"))?;
    let patience = Duration::from_secs(app.config().answer_seconds.into());
    match tokio::time::timeout(patience, Limited::new(body, most).collect()).await {
        Err(_) => Err(Problem::slow("the body did not come within the time that is allowed")),
        Ok(Err(e)) if e.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::input("the body can't be read to its end")),
        Ok(Ok(body)) => Ok((body.to_bytes(), room)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>()
    }

    #[test]
    fn keys_come_as_bearer_or_as_password() {
        assert_eq!(key_of(&headers(&[("authorization", "Bearer a.b")])).as_deref(), Some("a.b"));
        assert_eq!(key_of(&headers(&[("authorization", "basic dXNlcjphLmI=")])).as_deref(), Some("a.b"));
        for wrong in ["", "Bearer", "Basic !", "Digest x", "Basic YQ=="] {
            assert_eq!(key_of(&headers(&[("authorization", wrong)])), None, "{wrong}");
        }
    }

    #[test]
    fn pages_of_other_machines_are_not_this_machine() {
        for (host, origin, local) in [
            ("localhost:8080", None, true),
            ("127.0.0.1", None, true),
            ("[::1]:8080", Some("http://[::1]:8080"), true),
            ("localhost:8080", Some("http://localhost:8080"), true),
            ("localhost:8080", Some("https://evil.example"), false),
            ("localhost:8080", Some("null"), false),
            ("rebound.example:8080", None, false),
            ("127.0.0.1.evil.example", None, false),
            ("192.168.1.1", None, false),
        ] {
            let mut all = headers(&[("host", host)]);
            all.extend(origin.map(|o| (Some(header::ORIGIN), o.parse().unwrap())));
            assert_eq!(is_local(&all), local, "{host} {origin:?}");
        }
    }
}
