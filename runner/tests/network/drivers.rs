//! IPv6, links on a parent, networks without links, and hosts that lack something.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use hythe_runner::network::{DriverName, NetworkError, NetworkSettings, Networks};
use hythe_runner::spec::PortProtocol;

use crate::host::{Host, meanwhile, on_new_host};
use crate::support::{Container, open, request, request_with};

#[test]
fn an_ipv6_network_routes_publishes_and_answers() {
    on_new_host(|host| async move {
        let neighbour = Host::new();
        host.cable("up0", 9, &neighbour);
        neighbour.serve_tcp(80, "neighbour");
        let networks = open("hythe").await;
        let mut six = request("six");
        six.enable_ipv6 = true;
        let network = networks.create(six).await.unwrap();
        assert!(network.subnets[1].subnet.to_string().starts_with("fd"));
        let web = Container::new("web").publish("8080", 80, PortProtocol::Tcp);
        let endpoint = web.attach(&networks, "six").await.unwrap();
        let own = endpoint.ipv6.unwrap();
        assert!(own.address.to_string().ends_with("::2"), "{own:?}");
        web.host.serve_tcp(80, "web");

        assert_eq!(
            web.host.ask_tcp("[fd00:9::2]:80").unwrap(),
            "neighbour fd00:9::1"
        );
        assert_eq!(
            neighbour.ask_tcp("[fd00:9::1]:8080").unwrap(),
            "web fd00:9::2"
        );
        let client = host.clone();
        let answer = meanwhile(move || client.ask_tcp("[::1]:8080"))
            .await
            .unwrap();
        assert!(answer.starts_with("web"), "{answer}");
        // Unpublished ports and the container's own address stay closed to neighbours.
        neighbour.sh(&format!(
            "ip route add {} via fd00:9::1",
            network.subnets[1].subnet
        ));
        let direct = format!("[{}]:80", own.address);
        assert!(neighbour.ask_tcp(&direct).is_err());
    });
}

#[test]
fn turning_on_ipv6_forwarding_keeps_router_advertisements() {
    on_new_host(|host| async move {
        let neighbour = Host::new();
        host.cable("up0", 9, &neighbour);
        let networks = open("hythe").await;
        let mut six = request("six");
        six.enable_ipv6 = true;
        networks.create(six).await.unwrap();
        let switches = host
            .sh("cat /proc/sys/net/ipv6/conf/up0/accept_ra /proc/sys/net/ipv6/conf/all/forwarding");
        assert_eq!(switches, "2\n1\n");
    });
}

#[test]
fn macvlan_puts_a_container_beside_its_host() {
    on_new_host(|host| async move {
        let neighbour = Host::new();
        host.cable("up0", 9, &neighbour);
        neighbour.serve_tcp(80, "neighbour");
        let networks = open("hythe").await;
        let mut wire = request_with("wire", "10.9.0.0/24");
        wire.driver = DriverName::Macvlan;
        wire.subnets[0].ip_range = Some("10.9.0.64/26".parse().unwrap());
        let without_parent = networks.create(wire.clone()).await;
        assert!(matches!(without_parent, Err(NetworkError::Invalid(_))));
        wire.options.insert("parent".to_owned(), "up0".to_owned());
        networks.create(wire).await.unwrap();
        let container = Container::new("web");
        let endpoint = container.attach(&networks, "wire").await.unwrap();
        assert_eq!(
            container.host.ask_tcp("10.9.0.2:80").unwrap(),
            "neighbour 10.9.0.64"
        );
        networks.detach(&endpoint).await.unwrap();
        assert!(!container.host.sh("ip -br link").contains("eth0"));
    });
}

#[test]
fn ipvlan_works_or_says_that_the_kernel_lacks_it() {
    on_new_host(|host| async move {
        let neighbour = Host::new();
        host.cable("up0", 9, &neighbour);
        neighbour.serve_tcp(80, "neighbour");
        let networks = open("hythe").await;
        let mut wire = request_with("wire", "10.9.0.0/24");
        wire.driver = DriverName::Ipvlan;
        wire.subnets[0].ip_range = Some("10.9.0.64/26".parse().unwrap());
        wire.options.insert("parent".to_owned(), "up0".to_owned());
        networks.create(wire).await.unwrap();
        let container = Container::new("web");
        match container.attach(&networks, "wire").await {
            Ok(_) => assert!(container.host.ask_tcp("10.9.0.2:80").is_ok()),
            Err(error) => assert!(
                matches!(error, NetworkError::Unsupported { .. }),
                "{error:?}"
            ),
        }
    });
}

#[test]
fn none_and_host_get_no_link_of_ours() {
    on_new_host(|host| async move {
        let networks = open("hythe").await;
        let none = Container::new("none");
        let endpoint = none.attach(&networks, "none").await.unwrap();
        assert_eq!((endpoint.ipv4, endpoint.interface.as_str()), (None, ""));
        assert_eq!(none.host.sh("ip -br link").lines().count(), 1, "loopback");
        networks.detach(&endpoint).await.unwrap();
        let shared = Container::new("host");
        let endpoint = shared.attach(&networks, "host").await.unwrap();
        assert!(endpoint.addresses().is_empty());
        let mut second = request("second");
        second.driver = DriverName::Host;
        assert!(networks.create(second).await.is_err());
        drop(host);
    });
}

/// Runs the test below with a search path that has no nft on it.
#[test]
fn a_host_without_nft_is_told_and_still_serves_ports() {
    let path = tempfile::tempdir().unwrap();
    for program in ["sh", "ip", "cat", "grep", "sleep"] {
        let found = ["/bin", "/usr/bin", "/sbin", "/usr/sbin"]
            .map(|folder| Path::new(folder).join(program))
            .into_iter()
            .find(|candidate| candidate.exists());
        symlink(found.unwrap(), path.path().join(program)).unwrap();
    }
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "drivers::without_nft", "--ignored"])
        .env("PATH", path.path())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && output.contains("1 passed"),
        "{output}"
    );
}

#[test]
#[ignore = "needs a search path without nft, which the test above arranges"]
fn without_nft() {
    on_new_host(|host| async move {
        let neighbour = Host::new();
        host.cable("up0", 9, &neighbour);
        let settings = NetworkSettings::new("hythe");
        let (networks, failures) = Networks::open(settings, vec![], vec![]).await.unwrap();
        let told = failures[0].to_string();
        assert!(told.contains("nft is not installed"), "{failures:?}");
        let created = networks.create(request("a")).await.unwrap_err().to_string();
        assert!(created.contains("nft is not installed"), "{created}");
        assert!(!host.sh("ip -br link").contains("br-"));

        let web = Container::new("web").publish("8080", 80, PortProtocol::Tcp);
        let endpoint = web.attach(&networks, "bridge").await.unwrap();
        web.host.serve_tcp(80, "web");
        let client = neighbour.clone();
        let answer = meanwhile(move || client.ask_tcp("10.9.0.1:8080")).await;
        assert_eq!(answer.unwrap(), "web 172.17.0.1");
        networks.detach(&endpoint).await.unwrap();
    });
}
