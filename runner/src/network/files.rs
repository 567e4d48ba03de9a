//! The text of `/etc/hosts`, `/etc/resolv.conf` and `/etc/hostname` inside a container.
//!
//! Pure, but for [`host_resolv_conf`]: `engine` writes the results, and knows where they go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::NetworkError;

/// Where a user-defined network's containers ask for names.
pub const EMBEDDED_DNS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// Asked when a host has no nameserver that a container could reach; Docker's choice.
const FALLBACK_IPV4: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)),
    IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4)),
];
const FALLBACK_IPV6: [IpAddr; 2] = [
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8844)),
];

/// What decides a container's `/etc/resolv.conf`, resolv.conf(5).
#[derive(Debug, Clone, Default)]
pub struct ResolvConf<'a> {
    /// Text of the host's own file, as [`host_resolv_conf`] gives it; empty when it has none.
    pub host: &'a str,
    /// `--dns`; replaces the host's nameservers.
    pub nameservers: &'a [IpAddr],
    /// `--dns-search`; replaces the host's, a single `.` clears it.
    pub search: &'a [String],
    /// `--dns-option`; replaces the host's.
    pub options: &'a [String],
    /// The container asks [`EMBEDDED_DNS`], which forwards to [`ResolvConf::upstream`].
    pub embedded: bool,
    /// The container shares this host's network, so loopback nameservers work.
    pub host_network: bool,
    pub ipv6: bool,
}

impl ResolvConf<'_> {
    /// The file's text.
    pub fn text(&self) -> String {
        let nameservers = if self.embedded {
            vec![EMBEDDED_DNS]
        } else if self.nameservers.is_empty() {
            self.reachable_nameservers()
        } else {
            self.nameservers.to_vec()
        };
        let mut lines: Vec<String> = nameservers
            .iter()
            .map(|address| format!("nameserver {address}"))
            .collect();
        let search = self.search();
        if !search.is_empty() {
            lines.push(format!("search {}", search.join(" ")));
        }
        let options = self.options();
        if !options.is_empty() {
            lines.push(format!("options {}", options.join(" ")));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    /// Where the embedded server forwards to; goes into [`EndpointRequest::resolvers`].
    ///
    /// It asks from this host's namespace, so the host's loopback nameservers are among them.
    ///
    /// [`EndpointRequest::resolvers`]: super::EndpointRequest::resolvers
    pub fn upstream(&self) -> Vec<IpAddr> {
        if !self.nameservers.is_empty() {
            return self.nameservers.to_vec();
        }
        let own: Vec<IpAddr> = host_nameservers(self.host).collect();
        if own.is_empty() {
            FALLBACK_IPV4.to_vec()
        } else {
            own
        }
    }

    /// The host's nameservers that work from inside the container, or well-known ones.
    fn reachable_nameservers(&self) -> Vec<IpAddr> {
        let own = host_nameservers(self.host);
        if self.host_network {
            return own.collect();
        }
        let usable = |ip: &IpAddr| !ip.is_loopback() && (self.ipv6 || ip.is_ipv4());
        let own: Vec<IpAddr> = own.filter(usable).collect();
        if !own.is_empty() {
            return own;
        }
        let ipv6 = FALLBACK_IPV6.into_iter().filter(|_| self.ipv6);
        FALLBACK_IPV4.into_iter().chain(ipv6).collect()
    }

    fn search(&self) -> Vec<&str> {
        match self.search {
            [] => last_line(self.host, &["search", "domain"]),
            [only] if only == "." => Vec::new(),
            given => given.iter().map(String::as_str).collect(),
        }
    }

    fn options(&self) -> Vec<&str> {
        let mut options = if self.options.is_empty() {
            all_lines(self.host, "options")
        } else {
            self.options.iter().map(String::as_str).collect()
        };
        // Names of containers have no dots: the embedded server must see them as they are.
        if self.embedded && !options.iter().any(|o| o.starts_with("ndots:")) {
            options.push("ndots:0");
        }
        options
    }
}

/// The nameservers of a resolv.conf, in order.
pub(super) fn host_nameservers(text: &str) -> impl Iterator<Item = IpAddr> {
    lines_of(text, "nameserver").filter_map(|mut words| {
        // An address may carry a zone, as in `fe80::1%eth0`: useless elsewhere than here.
        words.next()?.parse().ok()
    })
}

/// The words of every line that begins with `keyword`.
fn lines_of<'t>(
    text: &'t str,
    keyword: &str,
) -> impl Iterator<Item = std::str::SplitWhitespace<'t>> {
    text.lines().filter_map(move |line| {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_whitespace();
        (words.next() == Some(keyword)).then_some(words)
    })
}

/// The last line with one of the keywords counts.
fn last_line<'t>(text: &'t str, keywords: &[&str]) -> Vec<&'t str> {
    let counts = |line: &&str| {
        line.split_whitespace()
            .next()
            .is_some_and(|word| keywords.contains(&word))
    };
    let line = text.lines().rfind(counts).unwrap_or_default();
    line.split_whitespace().skip(1).collect()
}

fn all_lines<'t>(text: &'t str, keyword: &str) -> Vec<&'t str> {
    lines_of(text, keyword).flatten().collect()
}

/// This host's resolver configuration.
///
/// Where `/etc/resolv.conf` names only systemd-resolved's stub, which listens on this host's
/// loopback, the file in which it keeps the real nameservers is read instead.
pub fn host_resolv_conf() -> String {
    let own = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    if names_only_the_stub(&own) {
        std::fs::read_to_string("/run/systemd/resolve/resolv.conf").unwrap_or(own)
    } else {
        own
    }
}

fn names_only_the_stub(text: &str) -> bool {
    let stub = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53));
    let mut nameservers = host_nameservers(text).peekable();
    nameservers.peek().is_some() && nameservers.all(|address| address == stub)
}

/// What decides a container's `/etc/hosts`, hosts(5).
#[derive(Debug, Clone, Default)]
pub struct Hosts<'a> {
    pub hostname: &'a str,
    pub domainname: &'a str,
    /// The container's own addresses.
    pub addresses: &'a [IpAddr],
    /// `--add-host`, as `name:address` or `name=address`; the address may be `host-gateway`.
    pub extra: &'a [String],
    /// What `host-gateway` stands for.
    pub host_gateway: Option<IpAddr>,
    pub ipv6: bool,
    /// Whole lines about linked containers.
    pub links: &'a [String],
}

impl Hosts<'_> {
    /// The file's text.
    pub fn text(&self) -> Result<String, NetworkError> {
        let mut lines = vec!["127.0.0.1\tlocalhost".to_owned()];
        if self.ipv6 {
            let standard = [
                "::1\tlocalhost ip6-localhost ip6-loopback",
                "fe00::\tip6-localnet",
                "ff00::\tip6-mcastprefix",
                "ff02::1\tip6-allnodes",
                "ff02::2\tip6-allrouters",
            ];
            lines.extend(standard.map(str::to_owned));
        }
        for entry in self.extra {
            lines.push(self.extra_line(entry)?);
        }
        lines.extend_from_slice(self.links);
        let names = if self.domainname.is_empty() {
            self.hostname.to_owned()
        } else {
            format!("{0}.{1} {0}", self.hostname, self.domainname)
        };
        let own = self.addresses.iter().map(|ip| format!("{ip}\t{names}"));
        lines.extend(own);
        lines.push(String::new());
        Ok(lines.join("\n"))
    }

    fn extra_line(&self, entry: &str) -> Result<String, NetworkError> {
        let invalid =
            |why: &str| NetworkError::Invalid(format!("invalid add-host {entry:?}: {why}"));
        let (name, address) = entry
            .split_once(['=', ':'])
            .ok_or_else(|| invalid("expected NAME:ADDRESS"))?;
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(invalid("bad host name"));
        }
        let address = if address == "host-gateway" {
            self.host_gateway
                .ok_or_else(|| invalid("this host has no gateway address for containers"))?
        } else {
            let bare = address.trim_start_matches('[').trim_end_matches(']');
            bare.parse().map_err(|_| invalid("bad IP address"))?
        };
        Ok(format!("{address}\t{name}"))
    }
}

/// Text of `/etc/hostname`, hostname(5).
pub fn hostname(name: &str) -> String {
    format!("{name}\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&t| t.to_owned()).collect()
    }

    #[test]
    fn resolv_conf_keeps_what_works_inside() {
        for (host, ipv6, expected) in [
            (
                "nameserver 10.0.0.1\nsearch a.example b.example\noptions timeout:1\n",
                false,
                "nameserver 10.0.0.1\nsearch a.example b.example\noptions timeout:1\n",
            ),
            (
                "nameserver 127.0.0.1\nnameserver ::1\n",
                false,
                "nameserver 8.8.8.8\nnameserver 8.8.4.4\n",
            ),
            (
                "",
                true,
                "nameserver 8.8.8.8\nnameserver 8.8.4.4\nnameserver 2001:4860:4860::8888\n\
                 nameserver 2001:4860:4860::8844\n",
            ),
            (
                "nameserver fd00::1\nnameserver 10.0.0.1 # ours\n; nameserver 1.1.1.1\n",
                false,
                "nameserver 10.0.0.1\n",
            ),
            (
                "domain old.example\nsearch new.example\nnameserver 10.0.0.1",
                false,
                "nameserver 10.0.0.1\nsearch new.example\n",
            ),
        ] {
            let conf = ResolvConf {
                host,
                ipv6,
                ..ResolvConf::default()
            };
            assert_eq!(conf.text(), expected, "{host:?}");
        }
    }

    #[test]
    fn options_of_the_container_replace_the_hosts() {
        let host = "nameserver 10.0.0.1\nsearch a.example\noptions timeout:1\n";
        let conf = ResolvConf {
            host,
            nameservers: &["1.1.1.1".parse().unwrap()],
            search: &strings(&["x.example"]),
            options: &strings(&["rotate"]),
            ..ResolvConf::default()
        };
        assert_eq!(
            conf.text(),
            "nameserver 1.1.1.1\nsearch x.example\noptions rotate\n"
        );
        let cleared = ResolvConf {
            host,
            search: &strings(&["."]),
            ..ResolvConf::default()
        };
        assert_eq!(cleared.text(), "nameserver 10.0.0.1\noptions timeout:1\n");
    }

    #[test]
    fn the_embedded_server_stands_before_the_hosts() {
        let conf = ResolvConf {
            host: "nameserver 127.0.0.1\nnameserver 10.0.0.1\n",
            embedded: true,
            ..ResolvConf::default()
        };
        assert_eq!(conf.text(), "nameserver 127.0.0.11\noptions ndots:0\n");
        let upstream: Vec<String> = conf.upstream().iter().map(IpAddr::to_string).collect();
        assert_eq!(upstream, ["127.0.0.1", "10.0.0.1"]);
    }

    #[test]
    fn a_container_on_the_hosts_network_asks_as_the_host_does() {
        let conf = ResolvConf {
            host: "nameserver 127.0.0.53\n",
            host_network: true,
            ..ResolvConf::default()
        };
        assert_eq!(conf.text(), "nameserver 127.0.0.53\n");
    }

    #[test]
    fn the_stub_is_told_from_other_loopback_servers() {
        for (text, stub) in [
            ("nameserver 127.0.0.53\n", true),
            ("nameserver 127.0.0.53\nnameserver 10.0.0.1\n", false),
            ("nameserver 127.0.0.1\n", false),
            ("", false),
        ] {
            assert_eq!(names_only_the_stub(text), stub, "{text:?}");
        }
    }

    #[test]
    fn hosts_names_the_container_and_what_was_added() {
        let hosts = Hosts {
            hostname: "web",
            domainname: "example.org",
            addresses: &["172.17.0.2".parse().unwrap()],
            extra: &strings(&["db:10.0.0.9", "six=[fd00::1]", "up:host-gateway"]),
            host_gateway: Some("172.17.0.1".parse().unwrap()),
            ipv6: false,
            links: &strings(&["172.17.0.5\tother id plain"]),
        };
        assert_eq!(
            hosts.text().unwrap(),
            "127.0.0.1\tlocalhost\n10.0.0.9\tdb\nfd00::1\tsix\n172.17.0.1\tup\n\
             172.17.0.5\tother id plain\n172.17.0.2\tweb.example.org web\n"
        );
    }

    #[test]
    fn a_bad_extra_host_is_refused() {
        for bad in [
            "db",
            ":10.0.0.1",
            "db:10.0.0",
            "a b:10.0.0.1",
            "up:host-gateway",
            "x:1.1.1.1\n",
        ] {
            let hosts = Hosts {
                extra: &strings(&[bad]),
                ..Hosts::default()
            };
            assert!(hosts.text().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_host_file_gives_at_least_one_nameserver(host in "(?s).{0,200}", ipv6: bool) {
            let conf = ResolvConf { host: &host, ipv6, ..ResolvConf::default() };
            let text = conf.text();
            prop_assert!(host_nameservers(&text).count() > 0);
            prop_assert!(host_nameservers(&text).all(|ip| !ip.is_loopback()));
        }

        #[test]
        fn an_extra_host_never_adds_a_line_of_its_own(entry in "(?s).{0,40}") {
            let extra = [entry];
            let hosts = Hosts { extra: &extra, ..Hosts::default() };
            if let Ok(text) = hosts.text() {
                prop_assert_eq!(text.lines().count(), 2);
            }
        }
    }
}
