//! Isolation, addresses and names, of IPv4 and IPv6.

use super::*;

#[test]
fn networks_are_apart_and_names_are_found() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let docker = |words: &[&str]| agent.docker(words).finish();
    for name in ["red", "blue"] {
        docker(&["network", "create", name]).ok();
    }
    docker(&["network", "create", "--internal", "inside"]).ok();
    sleeper(
        &agent,
        &image,
        &[
            "--name",
            "red-1",
            "--network",
            "red",
            "--network-alias",
            "pool",
        ],
    );
    sleeper(
        &agent,
        &image,
        &[
            "--name",
            "red-2",
            "--network",
            "red",
            "--network-alias",
            "pool",
        ],
    );
    sleeper(&agent, &image, &["--name", "blue-1", "--network", "blue"]);
    sleeper(&agent, &image, &["--name", "in-1", "--network", "inside"]);
    let address = |container: &str| {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        docker(&["inspect", "-f", format, container]).ok().text()
    };

    // By name, short id and alias, which stands for all who have it.
    exec(&agent, "red-1", "ping -c1 -W2 red-2").ok();
    let id = docker(&["inspect", "-f", "{{.Id}}", "red-2"]).ok().text();
    exec(&agent, "red-1", &format!("ping -c1 -W2 {}", &id[..12])).ok();
    let found = exec(&agent, "red-1", "nslookup pool").ok().text();
    assert!(
        found.contains(&address("red-1")) && found.contains(&address("red-2")),
        "{found}"
    );
    let resolver = exec(&agent, "red-1", "cat /etc/resolv.conf").ok().text();
    assert!(resolver.contains("nameserver 127.0.0.11"), "{resolver}");

    // Not across networks, neither by name nor by address.
    assert_ne!(exec(&agent, "red-1", "ping -c1 -W1 blue-1").code, 0);
    let blue = address("blue-1");
    assert_ne!(
        exec(&agent, "red-1", &format!("ping -c1 -W1 {blue}")).code,
        0
    );

    // An internal network has no way out and no default route.
    let routes = exec(&agent, "in-1", "ip route").ok().text();
    assert!(!routes.contains("default"), "{routes}");

    // A link finds its container under another name, on the default bridge as well, and again
    // after that one has got another address.
    let options = ["--name", "plain", "--expose", "6379", "-e", "COLOUR=green"];
    sleeper(&agent, &image, &options);
    sleeper(
        &agent,
        &image,
        &["--name", "linker", "--link", "plain:other-1"],
    );
    exec(&agent, "linker", "ping -c1 -W2 other-1").ok();
    exec(&agent, "linker", "ping -c1 -W2 plain").ok();
    let variables = docker(&[
        "exec",
        "linker",
        "sh",
        "-c",
        "tr '\\0' '\\n' < /proc/1/environ",
    ])
    .ok();
    let expected = [
        format!("OTHER_1_PORT_6379_TCP=tcp://{}:6379", address("plain")),
        "OTHER_1_ENV_COLOUR=green".to_owned(),
        "OTHER_1_NAME=/linker/other-1".to_owned(),
    ];
    for variable in expected {
        assert!(
            variables.lines().contains(&variable),
            "{variable}: {variables:?}"
        );
    }
    let before = address("plain");
    docker(&["stop", "-t", "0", "plain"]).ok();
    sleeper(&agent, &image, &["--name", "squatter"]);
    docker(&["start", "plain"]).ok();
    assert_ne!(address("plain"), before);
    exec(&agent, "linker", "ping -c1 -W2 other-1").ok();
    let links = docker(&["inspect", "-f", "{{.HostConfig.Links}}", "linker"]).ok();
    assert_eq!(links.text(), "[/plain:/linker/other-1]");
    docker(&["stop", "-t", "0", "plain", "linker"]).ok();
    docker(&["start", "linker"])
        .fails_with(1)
        .fails_saying("Cannot link to a non running container");
    docker(&["run", "--rm", "--link", "nosuch", &image, "true"])
        .fails_with(125)
        .fails_saying("could not get container for nosuch");

    // none, host and container: as they say.
    let interfaces = "ls /sys/class/net";
    let none = docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        &image,
        "sh",
        "-c",
        interfaces,
    ])
    .ok();
    assert_eq!(none.text(), "lo");
    let shared = docker(&[
        "run",
        "--rm",
        "--network",
        "container:red-1",
        &image,
        "hostname",
        "-i",
    ])
    .ok();
    assert_eq!(shared.text(), address("red-1"));
    let words = ["run", "--rm", "--network", "container:red-1", "-h", "x"];
    docker(&[&words[..], &[&image, "true"]].concat())
        .fails_with(125)
        .fails_saying("conflicting options: hostname and the network mode");
    let hosts = docker(&["run", "--rm", "--network", "host", &image, "ip", "addr"])
        .ok()
        .text();
    assert!(
        hosts.contains("hythe0") || hosts.contains("172.17.0.1"),
        "{hosts}"
    );

    // The files of the container follow its networks.
    docker(&["network", "connect", "--ip", "", "blue", "red-1"]).ok();
    exec(&agent, "red-1", "ping -c1 -W2 blue-1").ok();
    let own = exec(
        &agent,
        "red-1",
        "grep -c $(hostname) /etc/hosts; cat /etc/hostname; hostname",
    )
    .ok();
    let lines = own.lines();
    assert_eq!(lines[1], lines[2], "{own:?}");
}

#[test]
fn ipv6_networks_have_addresses_names_and_ports() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let docker = |words: &[&str]| agent.docker(words).finish();
    docker(&[
        "network",
        "create",
        "--ipv6",
        "--subnet",
        "fd00:77::/64",
        "six",
    ])
    .ok();
    let six = inspect(&agent, "six");
    assert_eq!(six["EnableIPv6"], true);
    assert_eq!(
        six["IPAM"]["Config"].as_array().map(Vec::len),
        Some(2),
        "{six}"
    );
    let on_six = ["--network", "six", "--ip6", "fd00:77::99"];
    let options = [&on_six[..], &["-p", "19066:80"]].concat();
    web(&agent, &image, "six", &options);
    sleeper(&agent, &image, &["--name", "asker", "--network", "six"]);
    let found = exec(&agent, "asker", "nslookup -type=AAAA web").ok().text();
    assert!(found.contains("fd00:77::99"), "{found}");
    exec(&agent, "asker", "ping6 -c1 -W2 web || ping -6 -c1 -W2 web").ok();
    eventually("the port answers on IPv6", SHORT, || {
        let words = ["-s", "-g", "--max-time", "3", "http://[::1]:19066/"];
        (host.command("curl").args(words).finish().text() == "six").then_some(())
    });
}
