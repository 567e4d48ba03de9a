//! Networks: every `docker network` command with its options, names, isolation, ports and what
//! survives, with the real docker command line and other hosts beside ours.

use hythe_tests::{
    Agent, CommandExt as _, Finished, Host, SHORT, Server, debian_nginx, eventually,
};
use serde_json::Value;

use crate::{push, push_busybox};

#[track_caller]
fn inspect(agent: &Agent<'_>, network: &str) -> Value {
    let run = agent.docker(&["network", "inspect", network]).finish().ok();
    let all: Value = serde_json::from_slice(&run.stdout).expect("JSON of inspect");
    all[0].clone()
}

/// Starts a container that sleeps.
#[track_caller]
fn sleeper(agent: &Agent<'_>, image: &str, options: &[&str]) {
    let mut words = vec!["run", "-d"];
    words.extend_from_slice(options);
    words.extend_from_slice(&[image, "sleep", "1000"]);
    agent.docker(&words).finish().ok();
}

fn exec(agent: &Agent<'_>, container: &str, script: &str) -> Finished {
    agent
        .docker(&["exec", container, "sh", "-c", script])
        .finish()
}

#[test]
fn the_network_commands_are_dockers() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let docker = |words: &[&str]| agent.docker(words).finish();
    let network = |words: &[&str]| {
        let mut all = vec!["network"];
        all.extend_from_slice(words);
        docker(&all)
    };

    // What there is from the start
    let names = network(&["ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"]).ok();
    assert_eq!(
        names.lines(),
        ["bridge bridge local", "host host local", "none null local"]
    );
    for name in ["bridge", "host", "none"] {
        network(&["rm", name])
            .fails_with(1)
            .fails_saying("is a pre-defined network and cannot be removed");
    }

    // create, with every option
    let id = network(&[
        "create",
        "--subnet=10.77.0.0/16",
        "--ip-range=10.77.5.0/24",
        "--gateway=10.77.5.254",
        "--aux-address=router=10.77.5.1",
        "--label=tier=back",
        "--attachable",
        "--opt=com.docker.network.driver.mtu=1400",
        "--opt=com.docker.network.bridge.name=hy-test",
        "full",
    ])
    .ok()
    .text();
    assert_eq!(id.len(), 64, "{id}");
    let full = inspect(&agent, "full");
    assert_eq!(full["Id"], id);
    assert_eq!(full["Scope"], "local");
    assert_eq!(full["Driver"], "bridge");
    assert_eq!(full["Attachable"], true);
    assert_eq!(full["Internal"], false);
    assert_eq!(full["EnableIPv6"], false);
    assert_eq!(full["Labels"]["tier"], "back");
    let config = &full["IPAM"]["Config"][0];
    assert_eq!(config["Subnet"], "10.77.0.0/16");
    assert_eq!(config["IPRange"], "10.77.5.0/24");
    assert_eq!(config["Gateway"], "10.77.5.254");
    assert_eq!(config["AuxiliaryAddresses"]["router"], "10.77.5.1");
    let link = host
        .command("ip")
        .args(["link", "show", "hy-test"])
        .finish()
        .ok();
    assert!(link.text().contains("mtu 1400"), "{link:?}");

    network(&["create", "full"])
        .fails_with(1)
        .fails_saying("network with name full already exists");
    network(&["create", "--subnet", "10.77.3.0/24", "overlapping"])
        .fails_with(1)
        .fails_saying("Pool overlaps with other one on this address space");
    network(&["create", "-d", "nosuch", "x"])
        .fails_with(1)
        .fails_saying("plugin nosuch");
    network(&[
        "create",
        "--subnet",
        "10.1.1.0/24",
        "--gateway",
        "10.2.0.1",
        "x",
    ])
    .fails_with(1);
    network(&["create", "-o", "com.docker.network.driver.mtu=banana", "x"]).fails_with(1);

    // Addresses come from the range, skip the router's, and may be asked for.
    sleeper(&agent, &image, &["--name", "first", "--network", "full"]);
    let address = |container: &str, network: &str| {
        let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
        docker(&["inspect", "-f", &format, container]).ok().text()
    };
    let first = address("first", "full");
    assert!(
        first.starts_with("10.77.5.") && first != "10.77.5.1",
        "{first}"
    );
    let fixed = [
        "--network",
        "full",
        "--ip",
        "10.77.9.9",
        "--mac-address",
        "02:42:0a:4d:09:09",
    ];
    sleeper(&agent, &image, &[&["--name", "fixed"][..], &fixed].concat());
    assert_eq!(address("fixed", "full"), "10.77.9.9");
    let link = exec(&agent, "fixed", "ip addr show eth0").ok().text();
    assert!(
        link.contains("02:42:0a:4d:09:09") && link.contains("10.77.9.9/16"),
        "{link}"
    );
    docker(&[
        "run",
        "--rm",
        "--network",
        "full",
        "--ip",
        "10.77.9.9",
        &image,
        "true",
    ])
    .fails_with(125)
    .fails_saying("Address already in use");
    // Older command lines of docker's keep such a wish to themselves.
    agent
        .hythe(&["run", "--rm", "--ip", "172.17.0.99", &image, "true"])
        .finish()
        .fails_with(125)
        .fails_saying("user specified IP address is supported");
    docker(&["run", "--rm", "--network", "nosuch", &image, "true"])
        .fails_with(125)
        .fails_saying("network nosuch not found");
    let members = &inspect(&agent, "full")["Containers"];
    let names: Vec<&str> = members
        .as_object()
        .expect("members")
        .values()
        .filter_map(|member| member["Name"].as_str())
        .collect();
    assert!(
        names.contains(&"first") && names.contains(&"fixed"),
        "{members}"
    );

    // ls
    let list = |filter: &str| {
        network(&["ls", "-q", "--no-trunc", "-f", filter])
            .ok()
            .lines()
    };
    assert_eq!(list("name=ful"), std::slice::from_ref(&id));
    assert_eq!(list("label=tier=back"), std::slice::from_ref(&id));
    assert_eq!(list("type=custom"), std::slice::from_ref(&id));
    assert_eq!(list("driver=bridge").len(), 2);
    assert_eq!(
        list(&format!("id={}", &id[..12])),
        std::slice::from_ref(&id)
    );
    assert_eq!(list("dangling=true"), [""; 0]);
    network(&["ls", "-f", "nosuch=1"])
        .fails_with(1)
        .fails_saying("invalid filter");

    // connect and disconnect a running container, with aliases and a fixed address
    network(&["create", "--subnet", "10.78.0.0/24", "second"]).ok();
    network(&[
        "connect",
        "--alias",
        "db",
        "--alias",
        "store",
        "--ip",
        "10.78.0.50",
        "second",
        "first",
    ])
    .ok();
    assert_eq!(address("first", "second"), "10.78.0.50");
    assert!(
        exec(&agent, "first", "ip addr")
            .ok()
            .text()
            .contains("10.78.0.50/24")
    );
    sleeper(&agent, &image, &["--name", "asker", "--network", "second"]);
    for name in ["db", "store", "first"] {
        let seen = exec(&agent, "asker", &format!("ping -c1 -W2 {name}"))
            .ok()
            .text();
        assert!(seen.contains("(10.78.0.50)"), "{name}: {seen}");
    }
    network(&["connect", "second", "first"])
        .fails_with(1)
        .fails_saying("already exists in network");
    network(&["rm", "second"])
        .fails_with(1)
        .fails_saying("has active endpoints");
    network(&["disconnect", "second", "first"]).ok();
    assert!(
        !exec(&agent, "first", "ip addr")
            .ok()
            .text()
            .contains("10.78.0.50")
    );
    network(&["disconnect", "second", "first"])
        .fails_with(1)
        .fails_saying("is not connected to network second");
    network(&["connect", "nosuch", "first"])
        .fails_with(1)
        .fails_saying("network nosuch not found");
    network(&["connect", "second", "nosuch"])
        .fails_with(1)
        .fails_saying("No such container: nosuch");

    // A stopped container keeps what it was connected to.
    docker(&["stop", "-t", "0", "first"]).ok();
    network(&["connect", "second", "first"]).ok();
    docker(&["start", "first"]).ok();
    assert!(address("first", "second").starts_with("10.78.0."));
    network(&["disconnect", "-f", "second", "first"]).ok();

    // rm and prune
    network(&["rm", "nosuch"])
        .fails_with(1)
        .fails_saying("nosuch");
    agent
        .hythe(&["network", "rm", "-f", "nosuch"])
        .finish()
        .ok();
    network(&["create", "--label", "keep", "unused-1"]).ok();
    network(&["create", "unused-2"]).ok();
    let pruned = network(&["prune", "-f", "--filter", "label!=keep"])
        .ok()
        .text();
    assert!(
        pruned.contains("unused-2") && !pruned.contains("unused-1"),
        "{pruned}"
    );
    assert!(!pruned.contains("full"), "a network in use stays: {pruned}");
    docker(&["rm", "-f", "first", "fixed", "asker"]).ok();
    network(&["rm", "full", "second", "unused-1"]).ok();
    host.command("ip")
        .args(["link", "show", "hy-test"])
        .finish()
        .fails_saying("does not exist");
}

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
fn every_form_of_publishing_reaches_the_container() {
    let host = Host::new();
    let other = Host::new();
    host.link("10.199.8.1/24", &other, "10.199.8.2/24");
    for (on, address) in [(&host, "fd00:8::1/64"), (&other, "fd00:8::2/64")] {
        let links = on
            .command("ip")
            .args(["-j", "link", "show", "type", "veth"])
            .finish()
            .ok();
        let links: Value = serde_json::from_slice(&links.stdout).expect("JSON");
        let name = links[0]["ifname"].as_str().expect("a name");
        on.command("ip")
            .args(["addr", "add", address, "dev", name, "nodad"])
            .finish()
            .ok();
    }
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let docker = |words: &[&str]| agent.docker(words).finish();
    let serve = "for p in 80 81 82; do mkdir -p /w$p; echo page-$p > /w$p/index.html; \
                 httpd -p $p -h /w$p; done; sleep 1000";
    let web = |name: &str, publish: &[&str]| {
        let mut words = vec!["run", "-d", "--name", name];
        for port in publish {
            words.extend(["-p", port]);
        }
        words.extend([image.as_str(), "sh", "-c", serve]);
        docker(&words)
    };
    let page = |from: &Host, url: &str| {
        let words = ["-s", "-g", "--max-time", "3", url];
        from.command("curl").args(words).finish()
    };
    let answers = |from: &Host, url: &str, wanted: &str| {
        eventually(&format!("{url} answers {wanted}"), SHORT, || {
            (page(from, url).text() == wanted).then_some(())
        });
    };

    // A range onto a range, one address alone, a random port.
    web("ranged", &["19080-19082:80-82"]).ok();
    for (port, wanted) in [(19080, "page-80"), (19081, "page-81"), (19082, "page-82")] {
        for (from, address) in [
            (&host, "127.0.0.1"),
            (&host, "[::1]"),
            (&other, "10.199.8.1"),
            (&other, "[fd00:8::1]"),
        ] {
            answers(from, &format!("http://{address}:{port}/"), wanted);
        }
    }
    web("local", &["127.0.0.1:19090:80", "80"]).ok();
    answers(&host, "http://127.0.0.1:19090/", "page-80");
    assert_ne!(
        page(&other, "http://10.199.8.1:19090/").code,
        0,
        "bound to loopback alone"
    );
    let random = docker(&["port", "local", "80"]).ok().lines();
    assert!(random.contains(&"127.0.0.1:19090".to_owned()), "{random:?}");
    let any = random
        .iter()
        .find(|line| line.starts_with("0.0.0.0:"))
        .expect("a random port");
    let port = any.rsplit(':').next().expect("a port");
    answers(&other, &format!("http://10.199.8.1:{port}/"), "page-80");

    // From another container, and UDP from another host.
    let url = "http://10.199.8.1:19080/";
    let seen = docker(&["run", "--rm", &image, "wget", "-q", "-O", "-", url]).ok();
    assert_eq!(seen.text(), "page-80");
    let nginx = push(&host, &server, &debian_nginx(), "nginx:1");
    let echo = "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 53, \
                Proto => 'udp'); while ($s->recv(my $d, 512)) { $s->send(\"udp $d\") }";
    let words = ["run", "-d", "--name", "udp", "-p", "19053:53/udp", &nginx];
    docker(&[&words[..], &["perl", "-e", echo]].concat()).ok();
    let ask = "exec 3<>/dev/udp/10.199.8.1/19053; echo ask >&3; timeout 2 head -n 1 <&3";
    eventually("a datagram is answered", SHORT, || {
        let run = other.command("bash").args(["-c", ask]).finish();
        (run.text() == "udp ask").then_some(())
    });

    // Ports in use, ports that are none.
    web("again", &["19080:80"])
        .fails_with(125)
        .fails_saying("port is already allocated");
    docker(&["rm", "-f", "again"]).ok();
    for bad in [
        "70000:80",
        "80:0:80",
        "a:b",
        "1.2.3.4.5:1:1",
        "80:80/nosuch",
    ] {
        docker(&["create", "-p", bad, &image]).fails_with(125);
    }
    web("elsewhere", &["10.99.99.99:19099:80"]).fails_with(125);
    docker(&["rm", "-f", "elsewhere"]).ok();

    // The rules come back after somebody else's `nft flush ruleset`.
    host.command("nft").args(["flush", "ruleset"]).finish().ok();
    answers(&other, "http://10.199.8.1:19080/", "page-80");
    eventually("the rules are back", SHORT, || {
        let rules = host
            .command("nft")
            .args(["list", "ruleset"])
            .finish()
            .text();
        rules.contains("19080").then_some(())
    });
    docker(&["rm", "-f", "ranged"]).ok();
    assert_ne!(page(&other, "http://10.199.8.1:19080/").code, 0);
}

#[test]
fn ports_and_networks_survive_the_agent() {
    let host = Host::new();
    let other = Host::new();
    host.link("10.199.9.1/24", &other, "10.199.9.2/24");
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let mut agent = Agent::start(&host);
    agent.docker(&["network", "create", "net"]).finish().ok();
    let serve = "echo page > /tmp/index.html; exec httpd -f -p 80 -h /tmp";
    let words = [
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "net",
        "-p",
        "19070:80",
        &image,
    ];
    agent
        .docker(&[&words[..], &["sh", "-c", serve]].concat())
        .finish()
        .ok();
    let answers = || {
        eventually("the port answers", SHORT, || {
            let words = ["-s", "--max-time", "3", "http://10.199.9.1:19070/"];
            let run = other.command("curl").args(words).finish();
            (run.text() == "page").then_some(())
        });
    };
    answers();
    agent.kill_dash_nine();
    answers();
    agent.restart();
    answers();
    sleeper(&agent, &image, &["--name", "asker", "--network", "net"]);
    exec(&agent, "asker", "ping -c1 -W2 web").ok();
    agent.docker(&["rm", "-f", "web", "asker"]).finish().ok();
    agent.docker(&["network", "rm", "net"]).finish().ok();
}

#[test]
fn macvlan_and_ipvlan_reach_the_neighbours() {
    let host = Host::new();
    let other = Host::new();
    host.link("10.199.10.1/24", &other, "10.199.10.2/24");
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let links = host
        .command("ip")
        .args(["-j", "link", "show", "type", "veth"])
        .finish()
        .ok();
    let links: Value = serde_json::from_slice(&links.stdout).expect("JSON");
    let parent = format!("parent={}", links[0]["ifname"].as_str().expect("a name"));
    for driver in ["macvlan", "ipvlan"] {
        let probe = ["link", "add", "probe", "link", &parent[7..], "type", driver];
        if host.command("ip").args(probe).finish().code != 0 {
            // The kernel lacks it, which has to be said.
            let words = ["network", "create", "-d", driver, "-o", &parent, driver];
            agent.docker(&words).finish().ok();
            let words = ["run", "--rm", "--network", driver, &image, "true"];
            agent
                .docker(&words)
                .finish()
                .fails_with(125)
                .fails_saying("needs kernel support");
            agent.docker(&["network", "rm", driver]).finish().ok();
            continue;
        }
        host.command("ip")
            .args(["link", "delete", "probe"])
            .finish()
            .ok();
        let words = [
            "network",
            "create",
            "-d",
            driver,
            "--subnet",
            "10.199.10.0/24",
        ];
        let rest = ["--ip-range", "10.199.10.128/25", "-o", &parent, driver];
        agent.docker(&[&words[..], &rest].concat()).finish().ok();
        let words = ["run", "--rm", "--network", driver, &image];
        let ping = ["ping", "-c1", "-W2", "10.199.10.2"];
        agent.docker(&[&words[..], &ping].concat()).finish().ok();
        agent.docker(&["network", "rm", driver]).finish().ok();
    }
    let words = [
        "network",
        "create",
        "-d",
        "macvlan",
        "-o",
        "parent=nosuch",
        "x",
    ];
    agent.docker(&words).finish().fails_with(1);
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
    let serve = "echo six > /tmp/index.html; exec httpd -f -p 80 -h /tmp";
    let words = [
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "six",
        "--ip6",
        "fd00:77::99",
    ];
    docker(&[&words[..], &["-p", "19066:80", &image, "sh", "-c", serve]].concat()).ok();
    sleeper(&agent, &image, &["--name", "asker", "--network", "six"]);
    let found = exec(&agent, "asker", "nslookup -type=AAAA web").ok().text();
    assert!(found.contains("fd00:77::99"), "{found}");
    exec(&agent, "asker", "ping6 -c1 -W2 web || ping -6 -c1 -W2 web").ok();
    eventually("the port answers on IPv6", SHORT, || {
        let words = ["-s", "-g", "--max-time", "3", "http://[::1]:19066/"];
        (host.command("curl").args(words).finish().text() == "six").then_some(())
    });
}
