//! What outlives the agent, and what is put back.

use std::time::Duration;

use hythe_runner::network::{NetworkSettings, Networks, RestoredEndpoint};
use hythe_runner::spec::PortProtocol;

use crate::host::{Host, on_new_host};
use crate::support::{Container, ipv4, open, request};

#[test]
fn everything_is_there_again_after_a_flush() {
    on_new_host(|host| async move {
        let neighbour = Host::new();
        host.cable("up0", 9, &neighbour);
        neighbour.serve_tcp(80, "neighbour");
        let networks = open("hythe").await;
        let web = Container::new("web").publish("8080", 80, PortProtocol::Tcp);
        web.attach(&networks, "bridge").await.unwrap();
        web.host.serve_tcp(80, "web");
        let before = host.sh("nft list ruleset");
        host.sh("nft flush ruleset; ip link del hythe0; echo 0 > /proc/sys/net/ipv4/ip_forward");
        networks.reconcile().await.unwrap();
        assert_eq!(host.sh("nft list ruleset"), before);
        assert_eq!(
            web.host.ask_tcp("10.9.0.2:80").unwrap(),
            "neighbour 10.9.0.1"
        );
        assert_eq!(neighbour.ask_tcp("10.9.0.1:8080").unwrap(), "web 10.9.0.2");
    });
}

#[test]
fn the_next_agent_takes_over_what_runs() {
    on_new_host(|host| async move {
        let neighbour = Host::new();
        host.cable("up0", 9, &neighbour);
        let networks = open("hythe").await;
        networks.create(request("a")).await.unwrap();
        let (web, lost) = (
            Container::new("web").publish("8080", 80, PortProtocol::Tcp),
            Container::new("lost").publish("8081", 80, PortProtocol::Tcp),
        );
        let endpoint = web.attach(&networks, "a").await.unwrap();
        lost.attach(&networks, "a").await.unwrap();
        web.host.serve_tcp(80, "web");
        let specs = networks.list();
        drop(networks);
        tokio::task::yield_now().await;
        assert_eq!(neighbour.ask_tcp("10.9.0.1:8080").unwrap(), "web 10.9.0.2");

        let restored = RestoredEndpoint {
            endpoint: endpoint.clone(),
            netns: web.host.netns(),
        };
        let (networks, failures) =
            Networks::open(NetworkSettings::new("hythe"), specs.clone(), vec![restored])
                .await
                .unwrap();
        assert!(failures.is_empty(), "{failures:?}");
        assert_eq!(networks.list(), specs);
        assert_eq!(neighbour.ask_tcp("10.9.0.1:8080").unwrap(), "web 10.9.0.2");
        assert!(neighbour.ask_tcp("10.9.0.1:8081").is_err());
        let links = host.sh("ip -br link");
        assert_eq!(links.matches("veth").count(), 1, "{links}");
        // Neither the address nor the port of the one that lives is given away.
        let next = Container::new("next").publish("8080", 80, PortProtocol::Tcp);
        assert!(next.attach(&networks, "a").await.is_err());
        let next = Container::new("next");
        let second = next.attach(&networks, "a").await.unwrap();
        assert_ne!(ipv4(&second), ipv4(&endpoint));
        networks.detach(&endpoint).await.unwrap();
        assert!(neighbour.ask_tcp("10.9.0.1:8080").is_err());
    });
}

#[test]
fn agents_of_different_names_do_not_meet() {
    on_new_host(|host| async move {
        let one = open("one").await;
        let two = open("two").await;
        let (left, right) = (
            Container::new("left").publish("8080", 80, PortProtocol::Tcp),
            Container::new("right").publish("8081", 80, PortProtocol::Tcp),
        );
        left.attach(&one, "bridge").await.unwrap();
        let endpoint = right.attach(&two, "bridge").await.unwrap();
        assert_eq!(ipv4(&endpoint), "172.18.0.2");
        left.host.serve_tcp(80, "left");
        right.host.serve_tcp(80, "right");
        assert!(host.ask_tcp("127.0.0.1:8080").unwrap().starts_with("left"));
        assert!(host.ask_tcp("127.0.0.1:8081").unwrap().starts_with("right"));
        two.detach_ended(&endpoint).await;
        assert!(host.ask_tcp("127.0.0.1:8080").unwrap().starts_with("left"));
    });
}

#[test]
fn a_new_bip_moves_the_default_bridge() {
    on_new_host(|host| async move {
        let specs = open("hythe").await.list();
        let mut settings = NetworkSettings::new("hythe");
        settings.bridge_address = Some("10.7.3.1/24".parse().unwrap());
        let (networks, failures) = Networks::open(settings, specs, vec![]).await.unwrap();
        assert!(failures.is_empty(), "{failures:?}");
        let container = Container::new("web");
        let endpoint = container.attach(&networks, "bridge").await.unwrap();
        assert_eq!(ipv4(&endpoint), "10.7.3.2");
        let addresses = host.sh("ip -br addr show dev hythe0");
        assert!(!addresses.contains("172.17"), "{addresses}");
    });
}

#[test]
fn a_flush_is_noticed_and_repaired() {
    on_new_host(|host| async move {
        let neighbour = Host::new();
        host.cable("up0", 9, &neighbour);
        let networks = open("hythe").await;
        let web = Container::new("web").publish("8080", 80, PortProtocol::Tcp);
        web.attach(&networks, "bridge").await.unwrap();
        let before = host.sh("nft list ruleset");
        host.sh("nft flush ruleset");
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if host.sh("nft list ruleset") == before {
                return;
            }
        }
        panic!("still flushed");
    });
}

#[test]
fn a_policy_of_drop_that_comes_later_is_lived_with() {
    on_new_host(|host| async move {
        let networks = open("hythe").await;
        host.sh("iptables-nft -P FORWARD DROP");
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if host
                .sh("iptables-nft -S FORWARD")
                .contains("-o hythe0 -j ACCEPT")
            {
                return;
            }
        }
        drop(networks);
        panic!("still dropping");
    });
}
