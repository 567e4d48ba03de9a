//! Who a request comes from: the other end of its connection, or whom a proxy
//! that we trust names there.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::Extensions;
use http::HeaderMap;
use http::request::Parts;
use ipnet::IpNet;

/// As proxies write them; no header of that name is heard from anybody else.
const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// The sender of a request, as limits, records and the log know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    address: IpAddr,
    /// Known of those that are connected to us.
    port: Option<u16>,
}

/// Marks a request that its sender sent over TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Secured;

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
            None => self.address.fmt(f),
        }
    }
}

impl From<SocketAddr> for Client {
    fn from(peer: SocketAddr) -> Self {
        Self {
            address: peer.ip(),
            port: Some(peer.port()),
        }
    }
}

/// Settles who sends a request, once, for everything that asks later.
pub(super) fn settle(extensions: &mut Extensions, headers: &HeaderMap, trusted: &[IpNet]) {
    let Some(ConnectInfo(peer)) = extensions.get::<ConnectInfo<SocketAddr>>().copied() else {
        return;
    };
    let is_trusted = |address: IpAddr| {
        let address = address.to_canonical();
        trusted.iter().any(|network| network.contains(&address))
    };
    if !is_trusted(peer.ip()) {
        extensions.insert(Client::from(peer));
        return;
    }
    match all(headers, FORWARDED_PROTO).next() {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => {
            extensions.insert(Secured);
        }
        Some(_) => {
            extensions.remove::<Secured>();
        }
        None => {}
    }
    let named: Vec<&str> = all(headers, FORWARDED_FOR).collect();
    extensions.insert(behind(peer, &named, is_trusted));
}

/// Each proxy adds whom it heard from at the end, so the list is believed from
/// there: up to and including the first that is none of ours. What stands
/// before that one anybody may have made up.
fn behind(peer: SocketAddr, named: &[&str], is_trusted: impl Fn(IpAddr) -> bool) -> Client {
    let mut client = Client::from(peer);
    for text in named.iter().rev() {
        let Some(address) = address(text) else {
            break;
        };
        client = Client {
            address,
            port: None,
        };
        if !is_trusted(address) {
            break;
        }
    }
    client
}

/// Some proxies add the port.
fn address(text: &str) -> Option<IpAddr> {
    let alone = text.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|peer| peer.ip());
    let address = alone.or_else(with_port)?;
    Some(address.to_canonical())
}

/// The elements of a list that may be in several header lines.
fn all<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter();
    // What is no text is no address either, and hides what stands before it.
    let lines = lines.map(|line| line.to_str().unwrap_or("?"));
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// The address that a request comes from.
pub(super) fn address_of(request: &Parts) -> Option<IpAddr> {
    let client = request.extensions.get::<Client>();
    client.map(|client| client.address)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    /// Who is taken for the client, and whether they are taken to use TLS.
    fn settled(peer: &str, lines: &[(&str, &str)]) -> (String, bool) {
        let trusted = ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"];
        let trusted = trusted.map(|text| text.parse::<IpNet>().unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let mut extensions = Extensions::new();
        let peer: SocketAddr = peer.parse().unwrap();
        extensions.insert(ConnectInfo(peer));
        settle(&mut extensions, &headers, &trusted);
        let client = extensions.get::<Client>().unwrap().to_string();
        (client, extensions.get::<Secured>().is_some())
    }

    #[test]
    fn only_a_proxy_of_ours_says_for_whom_it_asks() {
        let said = |value| [(FORWARDED_FOR, value)];
        for (peer, value, client) in [
            ("192.0.2.1:7", "198.51.100.1", "192.0.2.1:7"),
            ("10.1.1.1:7", "198.51.100.1", "198.51.100.1"),
            ("[::ffff:10.1.1.1]:7", "198.51.100.1", "198.51.100.1"),
            // A client that says something of its own is not believed.
            ("10.1.1.1:7", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
            (
                "10.1.1.1:7",
                "1.1.1.1, 198.51.100.1, 10.2.2.2",
                "198.51.100.1",
            ),
            ("10.1.1.1:7", "10.3.3.3,10.2.2.2", "10.3.3.3"),
            ("10.1.1.1:7", "198.51.100.1:8080", "198.51.100.1"),
            ("[fd00::1]:7", "[2001:db8::1]:80", "2001:db8::1"),
            ("[fd00::1]:7", "2001:db8::1", "2001:db8::1"),
            ("10.1.1.1:7", "::ffff:198.51.100.1", "198.51.100.1"),
            // Nonsense hides what stands before it.
            ("10.1.1.1:7", "198.51.100.1, unknown", "10.1.1.1:7"),
            ("10.1.1.1:7", "198.51.100.1, ä", "10.1.1.1:7"),
            ("10.1.1.1:7", "", "10.1.1.1:7"),
        ] {
            assert_eq!(settled(peer, &said(value)).0, client, "{peer} {value}");
        }
        assert_eq!(settled("10.1.1.1:7", &[]).0, "10.1.1.1:7");
        let two = [(FORWARDED_FOR, "1.1.1.1"), (FORWARDED_FOR, "2.2.2.2")];
        assert_eq!(settled("127.0.0.1:7", &two).0, "2.2.2.2");
    }

    #[test]
    fn only_a_proxy_of_ours_says_how_the_client_came() {
        for (peer, value, secured) in [
            ("10.1.1.1:7", "https", true),
            ("10.1.1.1:7", "HTTPS, http", true),
            ("10.1.1.1:7", "http", false),
            ("192.0.2.1:7", "https", false),
        ] {
            let said = [(FORWARDED_PROTO, value)];
            assert_eq!(settled(peer, &said).1, secured, "{peer} {value}");
        }
    }
}
