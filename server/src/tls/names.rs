//! The names that a machine goes by.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// What a certificate for this machine has to say: the names that were given,
/// the machine's own, the address that it listens on, and the one that it
/// reaches others from.
pub(super) fn of_this_machine(listen: IpAddr, given: &[String]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    names.extend(hostname());
    let mut addresses = vec![
        IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::from(Ipv6Addr::LOCALHOST),
    ];
    if listen.is_unspecified() {
        addresses.extend(outgoing((Ipv4Addr::UNSPECIFIED.into(), "192.0.2.1:9")));
        addresses.extend(outgoing((Ipv6Addr::UNSPECIFIED.into(), "[2001:db8::1]:9")));
    } else {
        addresses.push(listen);
    }
    names.extend(addresses.iter().map(ToString::to_string));
    names.extend_from_slice(given);
    let mut once = Vec::new();
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

fn hostname() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = text.trim();
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    (!name.is_empty() && name.bytes().all(known)).then(|| name.to_ascii_lowercase())
}

/// The address that packets to elsewhere leave from; none is sent.
fn outgoing((from, to): (IpAddr, &str)) -> Option<IpAddr> {
    let socket = UdpSocket::bind((from, 0)).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_called_what_it_listens_on_and_what_it_was_told() {
        let given = ["registry.example.com".to_owned(), "localhost".to_owned()];
        let names = of_this_machine("192.0.2.9".parse().unwrap(), &given);
        for name in [
            "localhost",
            "127.0.0.1",
            "::1",
            "192.0.2.9",
            "registry.example.com",
        ] {
            let count = names.iter().filter(|one| *one == name).count();
            assert_eq!(count, 1, "{name} in {names:?}");
        }
    }
}
