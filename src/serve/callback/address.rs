//! Where a callback may go: addresses that the operator allows, resolved to machines that are anybody's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::Uri;

/// An address that is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Address {
    pub(super) https: bool,
    /// A name or an IP address, this without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// The path with its query.
    pub(super) path: String,
}

impl Address {
    /// Reads an address; one with a user or a fragment is none.
    pub(in super::super) fn parse(url: &str) -> Option<Address> {
        if url.len() > 2_000 || url.contains('#') || !url.is_ascii() {
            return None;
        }
        let uri: Uri = url.parse().ok()?;
        let https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return None;
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = match authority.port() {
            Some(port) => port.as_str().parse().ok()?,
            None if https => 443,
            None => 80,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        // A path that goes up again would lead out of what is allowed.
        let ups = ["/../", "/./", "%2e", "%2E", "%2f", "%2F", "\\"];
        let bare = uri.path();
        if ups.iter().any(|up| bare.contains(up)) || bare.ends_with("/..") || bare.ends_with("/.") {
            return None;
        }
        Some(Address { https, host, port, path })
    }

    /// Whether it begins as allowed: the same machine, and a path below.
    pub(in super::super) fn is_within(&self, prefix: &str) -> bool {
        let Some(allowed) = Address::parse(prefix) else { return false };
        let below = allowed.path.trim_end_matches('/');
        let rest = self.path.strip_prefix(below);
        (self.https, &self.host, self.port) == (allowed.https, &allowed.host, allowed.port)
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
    }

    /// What the header `Host` says.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.https, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

/// Whether an address is anybody's: not of this machine, of a private network, or of some other special use (IANA's registries, RFC 6890).
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = match a {
        0 | 10 | 127 | 224..=255 => true,
        100 => (64..128).contains(&b),
        169 => b == 254,
        172 => (16..32).contains(&b),
        192 => b == 168 || (b == 0 && (c == 0 || c == 2)) || (b == 88 && c == 99),
        198 => b == 18 || b == 19 || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        _ => false,
    };
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(ip) = ip.to_ipv4_mapped() {
        return is_public_v4(ip);
    }
    // Global unicast is 2000::/3; of that, addresses that stand for others (Teredo, 6to4), and those for examples.
    let [a, b, ..] = ip.segments();
    a & 0xe000 == 0x2000 && a != 0x2002 && !(a == 0x2001 && (b < 0x200 || b == 0xdb8)) && a != 0x3fff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_within_what_is_allowed_by_machine_and_path() {
        let within = |url: &str, prefix: &str| Address::parse(url).is_some_and(|a| a.is_within(prefix));
        for (url, prefix) in [
            ("https://c.example/cb", "https://c.example/"),
            ("https://C.example:443/cb?x=1", "https://c.example"),
            ("https://c.example/dsr/cb", "https://c.example/dsr"),
            ("http://[::1]:8080/cb", "http://[::1]:8080/"),
        ] {
            assert!(within(url, prefix), "{url}");
        }
        for (url, prefix) in [
            ("http://c.example/cb", "https://c.example/"),
            ("https://c.example.evil.example/cb", "https://c.example"),
            ("https://c.example@evil.example/cb", "https://c.example"),
            ("https://c.example:444/cb", "https://c.example/"),
            ("https://c.example/dsrx/cb", "https://c.example/dsr"),
            ("https://c.example/dsr/../admin", "https://c.example/dsr"),
            ("https://c.example/dsr/%2e%2e/admin", "https://c.example/dsr"),
            ("https://c.example/dsr/..", "https://c.example/dsr"),
            ("https://c.example/cb#x", "https://c.example/"),
            ("ftp://c.example/cb", "ftp://c.example/"),
            ("//c.example/cb", "https://c.example/"),
            ("c.example/cb", "https://c.example/"),
            ("https:///cb", "https://"),
        ] {
            assert!(!within(url, prefix), "{url}");
        }
    }

    #[test]
    fn addresses_of_this_machine_and_of_private_networks_are_not_public() {
        for ip in ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "203.0.113.9",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:0:1::",
            "2001:db8::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
    }
}
