//! Links, addresses, routes, and who may talk to whom.

use std::time::{Duration, Instant};

use hythe_runner::network::NetworkError;
use hythe_runner::spec::PortProtocol;

use crate::host::{Host, on_new_host};
use crate::support::{Container, ipv4, open, request, request_with, subnet};

#[test]
fn a_container_gets_its_link_address_and_routes() {
    on_new_host(|host| async move {
        let networks = open("hythe").await;
        let container = Container::new("web");
        let endpoint = container.attach(&networks, "bridge").await.unwrap();
        assert_eq!(ipv4(&endpoint), "172.17.0.2");
        assert_eq!(
            endpoint.mac_address.unwrap().to_string(),
            "02:42:ac:11:00:02"
        );
        let inside = container
            .host
            .sh("ip -br addr; ip route; cat /sys/class/net/lo/operstate || true");
        assert!(inside.contains("172.17.0.2/16"), "{inside}");
        assert!(
            inside.contains("default via 172.17.0.1 dev eth0"),
            "{inside}"
        );
        assert!(inside.contains("127.0.0.1/8"), "{inside}");
        assert!(host.sh("ip -br addr").contains("172.17.0.1/16"));

        networks.detach_ended(&endpoint).await;
        networks.settle().await;
        assert!(!host.sh("ip -br link").contains("veth"));
        networks.detach(&endpoint).await.unwrap();
    });
}

#[test]
fn other_hosts_see_the_hosts_address() {
    on_new_host(|host| async move {
        let neighbour = Host::new();
        host.cable("up0", 9, &neighbour);
        neighbour.serve_tcp(80, "neighbour");
        let networks = open("hythe").await;
        let container = Container::new("web");
        container.attach(&networks, "bridge").await.unwrap();
        let answer = container.host.ask_tcp("10.9.0.2:80").unwrap();
        assert_eq!(answer, "neighbour 10.9.0.1");
    });
}

#[test]
fn neighbours_cannot_reach_a_container_directly() {
    on_new_host(|host| async move {
        let neighbour = Host::new();
        host.cable("up0", 9, &neighbour);
        neighbour.sh("ip route add 172.17.0.0/16 via 10.9.0.1");
        let networks = open("hythe").await;
        let container = Container::new("web").publish("8080", 80, PortProtocol::Tcp);
        container.attach(&networks, "bridge").await.unwrap();
        container.host.serve_tcp(80, "web");
        assert!(neighbour.ask_tcp("172.17.0.2:80").is_err());
        assert_eq!(neighbour.ask_tcp("10.9.0.1:8080").unwrap(), "web 10.9.0.2");
    });
}

#[test]
fn a_host_that_was_no_router_does_not_become_one() {
    on_new_host(|host| async move {
        let (left, right) = (Host::new(), Host::new());
        host.cable("l0", 8, &left);
        host.cable("r0", 9, &right);
        left.sh("ip route add 10.9.0.0/24 via 10.8.0.1");
        right.sh("ip route add 10.8.0.0/24 via 10.9.0.1");
        right.serve_tcp(80, "right");
        let networks = open("hythe").await;
        assert_eq!(host.sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "1");
        assert!(left.ask_tcp("10.9.0.2:80").is_err());
        networks.reconcile().await.unwrap();
        assert!(left.ask_tcp("10.9.0.2:80").is_err());
    });
}

#[test]
fn a_host_that_was_a_router_stays_one() {
    on_new_host(|host| async move {
        let (left, right) = (Host::new(), Host::new());
        host.cable("l0", 8, &left);
        host.cable("r0", 9, &right);
        left.sh("ip route add 10.9.0.0/24 via 10.8.0.1");
        right.sh("ip route add 10.8.0.0/24 via 10.9.0.1");
        right.serve_tcp(80, "right");
        host.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
        open("hythe").await;
        assert_eq!(left.ask_tcp("10.9.0.2:80").unwrap(), "right 10.8.0.2");
    });
}

#[test]
fn networks_are_isolated_from_each_other() {
    on_new_host(|_| async move {
        let networks = open("hythe").await;
        networks.create(request("a")).await.unwrap();
        networks.create(request("b")).await.unwrap();
        let (one, two, other) = (
            Container::new("one"),
            Container::new("two"),
            Container::new("other"),
        );
        let first = one.attach(&networks, "a").await.unwrap();
        two.attach(&networks, "a").await.unwrap();
        other.attach(&networks, "b").await.unwrap();
        one.host.serve_tcp(80, "one");
        let server = format!("{}:80", ipv4(&first));
        assert!(two.host.ask_tcp(&server).unwrap().starts_with("one"));
        assert!(other.host.ask_tcp(&server).is_err());
    });
}

#[test]
fn an_internal_network_leads_nowhere() {
    on_new_host(|host| async move {
        let neighbour = Host::new();
        host.cable("up0", 9, &neighbour);
        neighbour.serve_tcp(80, "neighbour");
        let networks = open("hythe").await;
        let mut internal = request("quiet");
        internal.internal = true;
        networks.create(internal).await.unwrap();
        let (one, two) = (
            Container::new("one"),
            Container::new("two").publish("8080", 80, PortProtocol::Tcp),
        );
        one.attach(&networks, "quiet").await.unwrap();
        let second = two.attach(&networks, "quiet").await.unwrap();
        assert_eq!(second.ports, []);
        assert_eq!(second.ipv4.unwrap().gateway, None);
        two.host.serve_tcp(80, "two");
        assert!(one.host.ask_tcp(&format!("{}:80", ipv4(&second))).is_ok());
        // Even with a route of its own making.
        let gateway = networks.find("quiet").unwrap().subnets[0].gateway.unwrap();
        one.host.sh(&format!("ip route add default via {gateway}"));
        assert!(one.host.ask_tcp("10.9.0.2:80").is_err());
    });
}

#[test]
fn containers_can_be_kept_from_each_other() {
    on_new_host(|_| async move {
        let networks = open("hythe").await;
        let mut lonely = request("lonely");
        lonely.options.insert(
            "com.docker.network.bridge.enable_icc".to_owned(),
            "false".to_owned(),
        );
        networks.create(lonely).await.unwrap();
        let (one, two) = (Container::new("one"), Container::new("two"));
        let first = one.attach(&networks, "lonely").await.unwrap();
        two.attach(&networks, "lonely").await.unwrap();
        one.host.serve_tcp(80, "one");
        assert!(two.host.ask_tcp(&format!("{}:80", ipv4(&first))).is_err());
        assert!(
            Host::current()
                .ask_tcp(&format!("{}:80", ipv4(&first)))
                .is_ok()
        );
    });
}

#[test]
fn subnets_avoid_each_other_and_the_hosts_routes() {
    on_new_host(|host| async move {
        let neighbour = Host::new();
        host.cable("up0", 9, &neighbour);
        host.sh("ip addr add 172.18.5.1/24 dev up0");
        let networks = open("hythe").await;
        assert_eq!(subnet(&networks.find("bridge").unwrap()), "172.17.0.0/16");
        let a = networks.create(request("a")).await.unwrap();
        assert_eq!(subnet(&a), "172.19.0.0/16");
        let same = networks.create(request_with("b", "172.19.4.0/24")).await;
        assert!(matches!(same, Err(NetworkError::PoolOverlaps)), "{same:?}");
        let again = networks.create(request("a")).await;
        assert!(
            matches!(again, Err(NetworkError::NameInUse(_))),
            "{again:?}"
        );
    });
}

#[test]
fn a_network_goes_away_whole_and_only_when_it_is_empty() {
    on_new_host(|host| async move {
        let networks = open("hythe").await;
        let before = host.sh("ip -br link; nft list ruleset");
        let network = networks
            .create(request_with("a", "10.7.0.0/24"))
            .await
            .unwrap();
        let container = Container::new("one");
        let endpoint = container.attach(&networks, "a").await.unwrap();
        assert_eq!(ipv4(&endpoint), "10.7.0.2");
        let busy = networks.remove(&network.id).await;
        assert!(matches!(busy, Err(NetworkError::InUse { .. })), "{busy:?}");
        networks.detach_ended(&endpoint).await;
        networks.remove(&network.id).await.unwrap();
        assert_eq!(host.sh("ip -br link; nft list ruleset"), before);
        let bridge = networks.find("bridge").unwrap();
        assert!(networks.remove(&bridge.id).await.is_err());
    });
}

#[test]
fn fixed_addresses_are_given_or_refused() {
    on_new_host(|_| async move {
        let networks = open("hythe").await;
        networks
            .create(request_with("a", "10.7.0.0/24"))
            .await
            .unwrap();
        let mut one = Container::new("one");
        one.request.ipv4_address = Some("10.7.0.77".parse().unwrap());
        assert_eq!(
            ipv4(&one.attach(&networks, "a").await.unwrap()),
            "10.7.0.77"
        );
        let mut two = Container::new("two");
        two.request.ipv4_address = one.request.ipv4_address;
        let taken = two.attach(&networks, "a").await;
        assert_eq!(taken.unwrap_err().to_string(), "Address already in use");
        two.request.ipv4_address = Some("10.8.0.1".parse().unwrap());
        assert!(two.attach(&networks, "a").await.is_err());
    });
}

#[test]
fn a_failed_attachment_leaves_nothing_behind() {
    on_new_host(|host| async move {
        let networks = open("hythe").await;
        let before = host.sh("ip -br link; nft list ruleset");
        let mut container = Container::new("web").publish("8080", 80, PortProtocol::Tcp);
        container.host.sh("ip link add eth0 type bridge");
        assert!(container.attach(&networks, "bridge").await.is_err());
        assert_eq!(host.sh("ip -br link; nft list ruleset"), before);
        // Address and port are free for the next one.
        container.host = Host::new();
        container.request.netns = container.host.netns();
        let endpoint = container.attach(&networks, "bridge").await.unwrap();
        assert_eq!(ipv4(&endpoint), "172.17.0.2");
    });
}

#[test]
fn a_foreign_policy_of_drop_is_lived_with() {
    on_new_host(|host| async move {
        let neighbour = Host::new();
        host.cable("up0", 9, &neighbour);
        neighbour.serve_tcp(80, "neighbour");
        host.sh("iptables-nft -P FORWARD DROP");
        let networks = open("hythe").await;
        let network = networks.create(request("a")).await.unwrap();
        let container = Container::new("web").publish("8080", 80, PortProtocol::Tcp);
        let endpoint = container.attach(&networks, "a").await.unwrap();
        container.host.serve_tcp(80, "web");
        assert!(container.host.ask_tcp("10.9.0.2:80").is_ok());
        assert_eq!(neighbour.ask_tcp("10.9.0.1:8080").unwrap(), "web 10.9.0.2");
        networks.reconcile().await.unwrap();
        networks.detach_ended(&endpoint).await;
        networks.remove(&network.id).await.unwrap();
        let left = host.sh("iptables-nft -S FORWARD");
        assert!(!left.contains(network.id.short()), "{left}");
    });
}

/// Prints what attaching and detaching costs; the limit is generous because tests share the
/// machine.
#[test]
fn attaching_is_quick() {
    on_new_host(|_| async move {
        let networks = open("hythe").await;
        for (what, container) in [
            ("without ports", Container::new("plain")),
            (
                "with a port",
                Container::new("web").publish("8080", 80, PortProtocol::Tcp),
            ),
        ] {
            let mut spent = Vec::new();
            for _ in 0..20 {
                let begun = Instant::now();
                let endpoint = container.attach(&networks, "bridge").await.unwrap();
                let attached = begun.elapsed();
                let begun = Instant::now();
                networks.detach_ended(&endpoint).await;
                let detached = begun.elapsed();
                networks.settle().await;
                spent.push((attached, detached, begun.elapsed()));
            }
            spent.sort();
            let (attach, detach, settled) = spent[spent.len() / 2];
            println!("{what}: attach {attach:?}, detach {detach:?}, settled {settled:?}");
            assert!(attach + detach < Duration::from_millis(200), "{spent:?}");
        }
    });
}
