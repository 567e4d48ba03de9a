//! Published ports: reachable from everywhere they should be, and from nowhere else.

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use hythe_runner::network::NetworkError;
use hythe_runner::spec::PortProtocol;

use crate::host::{Host, ip, meanwhile, on_new_host};
use crate::support::{Container, open, request};

/// Once as the kernel is and once without packets between bridge ports meeting the filter.
#[test]
fn a_tcp_port_answers_on_every_way() {
    tcp_on_every_way("true");
    tcp_on_every_way(WITHOUT_BRIDGE_FILTER);
}

const WITHOUT_BRIDGE_FILTER: &str =
    "for s in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e $s ] || echo 0 > $s; done";

fn tcp_on_every_way(prepare: &'static str) {
    on_new_host(move |host| async move {
        host.sh(prepare);
        let neighbour = Host::new();
        host.cable("up0", 9, &neighbour);
        let networks = open("hythe").await;
        networks.create(request("other")).await.unwrap();
        let web = Container::new("web").publish("8080", 80, PortProtocol::Tcp);
        web.attach(&networks, "bridge").await.unwrap();
        web.host.serve_tcp(80, "web");
        let same = Container::new("same");
        same.attach(&networks, "bridge").await.unwrap();
        let elsewhere = Container::new("elsewhere");
        elsewhere.attach(&networks, "other").await.unwrap();

        let ways = [
            (
                "another host",
                neighbour.clone(),
                "10.9.0.1:8080",
                "web 10.9.0.2",
            ),
            ("this host", host.clone(), "10.9.0.1:8080", "web"),
            ("loopback", host.clone(), "127.0.0.1:8080", "web 172.17.0.1"),
            (
                "IPv6 loopback",
                host.clone(),
                "[::1]:8080",
                "web 172.17.0.1",
            ),
            (
                "another host, IPv6",
                neighbour.clone(),
                "[fd00:9::1]:8080",
                "web 172.17.0.1",
            ),
            ("the bridge's address", host, "172.17.0.1:8080", "web"),
            (
                "a container beside it",
                same.host,
                "10.9.0.1:8080",
                "web 172.17.0.1",
            ),
            ("another network", elsewhere.host, "10.9.0.1:8080", "web"),
            (
                "itself",
                web.host.clone(),
                "10.9.0.1:8080",
                "web 172.17.0.1",
            ),
        ];
        for (from, client, server, expected) in ways {
            let answer = meanwhile(move || client.ask_tcp(server)).await;
            let answer = answer.unwrap_or_else(|error| panic!("from {from}: {error}"));
            assert!(answer.starts_with(expected), "from {from}: {answer}");
        }
    });
}

#[test]
fn a_udp_port_answers_on_every_way() {
    on_new_host(|host| async move {
        let neighbour = Host::new();
        host.cable("up0", 9, &neighbour);
        let networks = open("hythe").await;
        let dns = Container::new("dns").publish("5353", 53, PortProtocol::Udp);
        dns.attach(&networks, "bridge").await.unwrap();
        dns.host.serve_udp(53, "dns");
        let same = Container::new("same");
        same.attach(&networks, "bridge").await.unwrap();
        for (from, client, server) in [
            ("another host", neighbour.clone(), "10.9.0.1:5353"),
            ("this host", host.clone(), "10.9.0.1:5353"),
            ("loopback", host.clone(), "127.0.0.1:5353"),
            ("IPv6 loopback", host, "[::1]:5353"),
            ("a container beside it", same.host, "10.9.0.1:5353"),
            ("itself", dns.host.clone(), "10.9.0.1:5353"),
        ] {
            let answer = meanwhile(move || client.ask_udp(server)).await;
            let answer = answer.unwrap_or_else(|error| panic!("from {from}: {error}"));
            assert!(answer.starts_with("dns"), "from {from}: {answer}");
        }
    });
}

#[test]
fn a_port_on_loopback_is_for_this_host_only() {
    on_new_host(|host| async move {
        let neighbour = Host::new();
        host.cable("up0", 9, &neighbour);
        // A neighbour that sends packets for 127.0.0.1 over the wire.
        neighbour.sh("echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet
             ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1 via 10.9.0.1 src 10.9.0.2");
        let networks = open("hythe").await;
        let web = Container::new("web").publish("127.0.0.1:8080", 80, PortProtocol::Tcp);
        web.attach(&networks, "bridge").await.unwrap();
        web.host.serve_tcp(80, "web");
        let local = host.clone();
        assert!(
            meanwhile(move || local.ask_tcp("127.0.0.1:8080"))
                .await
                .is_ok()
        );
        for server in ["10.9.0.1:8080", "127.0.0.1:8080"] {
            let neighbour = neighbour.clone();
            let answer = meanwhile(move || neighbour.ask_tcp(server)).await;
            assert!(answer.is_err(), "{server}: {answer:?}");
        }
    });
}

#[test]
fn a_container_cannot_reach_the_hosts_loopback() {
    on_new_host(|host| async move {
        let networks = open("hythe").await;
        let container = Container::new("evil");
        container.attach(&networks, "bridge").await.unwrap();
        host.serve_udp(9, "secret");
        host.serve_tcp(9, "secret");
        container
            .host
            .sh("echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet
             ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1 via 172.17.0.1 src 172.17.0.2");
        assert!(container.host.ask_udp("127.0.0.1:9").is_err());
        assert!(container.host.ask_tcp("127.0.0.1:9").is_err());
        assert!(container.host.ask_tcp("172.17.0.1:9").is_ok());
    });
}

#[test]
fn conflicts_are_told_in_dockers_words() {
    on_new_host(|_| async move {
        let networks = open("hythe").await;
        let one = Container::new("one").publish("8080", 80, PortProtocol::Tcp);
        let endpoint = one.attach(&networks, "bridge").await.unwrap();
        let two = Container::new("two").publish("8080", 80, PortProtocol::Tcp);
        let message = two
            .attach(&networks, "bridge")
            .await
            .unwrap_err()
            .to_string();
        assert!(
            message
                .starts_with("driver failed programming external connectivity on endpoint two (")
                && message.ends_with("Bind for 0.0.0.0:8080 failed: port is already allocated"),
            "{message}"
        );
        networks.detach_ended(&endpoint).await;
        two.attach(&networks, "bridge").await.unwrap();

        let _taken = TcpListener::bind("127.0.0.1:8081").unwrap();
        let three = Container::new("three").publish("8081", 80, PortProtocol::Tcp);
        let error = three.attach(&networks, "bridge").await.unwrap_err();
        assert!(matches!(error, NetworkError::PortBind { .. }), "{error:?}");
        assert!(
            error
                .to_string()
                .ends_with("0.0.0.0:8081/tcp: address already in use"),
            "{error}"
        );
        let four = Container::new("four").publish("192.0.2.77:8082", 80, PortProtocol::Tcp);
        let error = four
            .attach(&networks, "bridge")
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("cannot assign requested address"),
            "{error}"
        );
    });
}

#[test]
fn a_published_port_is_kept_from_the_hosts_programs() {
    on_new_host(|_| async move {
        let networks = open("hythe").await;
        let one = Container::new("one")
            .publish("8080", 80, PortProtocol::Tcp)
            .publish("5353", 53, PortProtocol::Udp);
        let endpoint = one.attach(&networks, "bridge").await.unwrap();
        for address in ["0.0.0.0:8080", "127.0.0.1:8080", "[::]:8080"] {
            assert!(TcpListener::bind(address).is_err(), "{address}");
        }
        assert!(UdpSocket::bind("0.0.0.0:5353").is_err());
        networks.detach_ended(&endpoint).await;
        // The relay's tasks end when the runtime next turns.
        tokio::task::yield_now().await;
        TcpListener::bind("0.0.0.0:8080").unwrap();
        UdpSocket::bind("0.0.0.0:5353").unwrap();
    });
}

#[test]
fn ranges_and_random_ports_find_a_free_one() {
    on_new_host(|_| async move {
        let networks = open("hythe").await;
        let mut ports = Vec::new();
        for name in ["one", "two"] {
            let container = Container::new(name)
                .publish("8000-8001", 80, PortProtocol::Tcp)
                .publish("0", 81, PortProtocol::Tcp);
            let endpoint = container.attach(&networks, "bridge").await.unwrap();
            let ipv4 = endpoint.ports.iter().filter(|p| p.host_ip == ip("0.0.0.0"));
            ports.extend(ipv4.map(|p| p.host_port));
            let ipv6 = endpoint.ports.iter().filter(|p| p.host_ip == ip("::"));
            assert_eq!(ipv6.count(), 2);
        }
        assert_eq!(ports, [8000, 32768, 8001, 32769]);
        let three = Container::new("three").publish("8000-8001", 80, PortProtocol::Tcp);
        assert!(three.attach(&networks, "bridge").await.is_err());
    });
}

#[test]
fn the_relay_serves_when_the_rules_are_gone() {
    on_new_host(|host| async move {
        let networks = open("hythe").await;
        let web = Container::new("web")
            .publish("8080", 80, PortProtocol::Tcp)
            .publish("5353", 53, PortProtocol::Udp);
        web.attach(&networks, "bridge").await.unwrap();
        web.host.serve_tcp(80, "web");
        web.host.serve_udp(53, "dns");
        host.sh("nft flush ruleset");
        let client = host.clone();
        assert!(
            meanwhile(move || client.ask_tcp("127.0.0.1:8080"))
                .await
                .is_ok()
        );
        assert!(
            meanwhile(move || host.ask_udp("127.0.0.1:5353"))
                .await
                .is_ok()
        );
        drop(networks);
    });
}

/// A client that never changes its port, as syslog and VPN clients do.
#[test]
fn a_udp_client_finds_the_next_container_on_the_port() {
    on_new_host(|host| async move {
        let neighbour = Host::new();
        host.cable("up0", 9, &neighbour);
        let networks = open("hythe").await;
        let socket = neighbour.run(|| {
            let socket = UdpSocket::bind("10.9.0.2:4000").unwrap();
            socket.connect("10.9.0.1:5353").unwrap();
            socket
                .set_read_timeout(Some(Duration::from_millis(700)))
                .unwrap();
            socket
        });
        // Sent before anybody listens: the flow exists untranslated.
        socket.send(b"hello").unwrap();
        for name in ["one", "two"] {
            let mut container = Container::new(name).publish("5353", 53, PortProtocol::Udp);
            container.request.ipv4_address = Some(
                if name == "one" {
                    "172.17.0.10"
                } else {
                    "172.17.0.20"
                }
                .parse()
                .unwrap(),
            );
            let endpoint = container.attach(&networks, "bridge").await.unwrap();
            container.host.serve_udp(53, name);
            let client = socket.try_clone().unwrap();
            let answer = meanwhile(move || {
                // What the host said while nobody was there.
                drop(client.take_error());
                client.send(b"hello").unwrap();
                let mut buffer = [0; 100];
                client.recv(&mut buffer).map(|n| buffer[..n].to_vec())
            });
            let answer = String::from_utf8(answer.await.unwrap()).unwrap();
            // Straight from the container: the relay would show the bridge's address.
            assert_eq!(answer, format!("{name} 10.9.0.2"));
            networks.detach(&endpoint).await.unwrap();
        }
    });
}
