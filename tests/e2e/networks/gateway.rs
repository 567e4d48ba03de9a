//! Through which of its networks a container reaches elsewhere, and what else an endpoint can be
//! asked for.

use super::*;

const PORT: &str = "18181";

fn gateway(agent: &Agent<'_>, container: &str) -> String {
    exec(agent, container, "ip route | grep ^default || true")
        .ok()
        .text()
}

/// Whether the container answers on its published port, through whichever network.
fn answers(host: &Host) {
    let url = format!("http://127.0.0.1:{PORT}/");
    eventually("the published port answers", SHORT, || {
        let words = ["-s", "--max-time", "3", &url];
        let page = host.command("curl").args(words).finish();
        (page.text() == "a page").then_some(())
    });
}

#[test]
fn the_default_route_and_the_ports_follow_the_networks() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let mut agent = Agent::start(&host);
    let hythe = |agent: &Agent<'_>, words: &[&str]| agent.hythe(words).finish();
    for (name, subnet, options) in [
        ("middle", "10.81.2.0/24", &[][..]),
        ("alone", "10.81.3.0/24", &["--internal"]),
        ("early", "10.81.1.0/24", &[]),
        ("late", "10.81.4.0/24", &[]),
    ] {
        let create = ["network", "create", "--subnet", subnet, name];
        hythe(&agent, &[&create, options].concat()).ok();
    }
    let publish = format!("127.0.0.1:{PORT}:80");
    let serve = "mkdir /w; echo a page > /w/index.html; httpd -h /w; sleep 1000";
    let run = ["run", "-d", "--name=box", "--network=middle", "-p"];
    let command = [publish.as_str(), &image, "sh", "-c", serve];
    hythe(&agent, &[&run[..], &command].concat()).ok();
    assert!(gateway(&agent, "box").contains("via 10.81.2.1 "));
    answers(&host);

    // The first name wins, an internal network leads nowhere, and a priority is above names.
    let connect = |agent: &Agent<'_>, options: &[&str], network: &str| {
        let words = [&["network", "connect"], options, &[network, "box"]].concat();
        hythe(agent, &words).ok();
    };
    connect(&agent, &[], "alone");
    assert!(gateway(&agent, "box").contains("via 10.81.2.1 "));
    connect(&agent, &[], "early");
    assert!(gateway(&agent, "box").contains("via 10.81.1.1 "));
    answers(&host);
    connect(&agent, &["--gw-priority=1"], "late");
    assert!(gateway(&agent, "box").contains("via 10.81.4.1 "));
    answers(&host);
    let format = "{{(index .NetworkSettings.Networks \"late\").GwPriority}}";
    let said = hythe(&agent, &["inspect", "-f", format, "box"]).ok();
    assert_eq!(said.text(), "1");

    // The agent knows it still when it comes back, and so does the next start.
    agent.restart();
    answers(&host);
    let disconnect = |agent: &Agent<'_>, network: &str| {
        hythe(agent, &["network", "disconnect", network, "box"]).ok();
    };
    disconnect(&agent, "late");
    assert!(gateway(&agent, "box").contains("via 10.81.1.1 "));
    answers(&host);
    hythe(&agent, &["restart", "-t", "0", "box"]).ok();
    assert!(gateway(&agent, "box").contains("via 10.81.1.1 "));
    // Its directory is there already.
    exec(&agent, "box", "httpd -h /w || true").ok();
    answers(&host);
    disconnect(&agent, "early");
    assert!(gateway(&agent, "box").contains("via 10.81.2.1 "));
    answers(&host);
    disconnect(&agent, "middle");
    assert_eq!(gateway(&agent, "box"), "");
}

#[test]
fn a_port_that_somebody_has_taken_leaves_the_gateway_where_it_was() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let hythe = |words: &[&str]| agent.hythe(words).finish();
    hythe(&["network", "create", "alone", "--internal"]).ok();
    hythe(&["network", "create", "open", "--subnet", "10.82.1.0/24"]).ok();
    // On an internal network nothing is published: the port is free until there is a way out.
    let publish = format!("127.0.0.1:{PORT}:80");
    let run = ["run", "-d", "--name=box", "--network=alone", "-p", &publish];
    hythe(&[&run[..], &[&image, "sleep", "1000"]].concat()).ok();
    let other = ["run", "-d", "--name=other", "-p", &publish];
    hythe(&[&other[..], &[&image, "sleep", "1000"]].concat()).ok();
    hythe(&["network", "connect", "open", "box"])
        .fails_with(1)
        .fails_saying("port is already allocated");
    let format = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
    let networks = hythe(&["inspect", "-f", format, "box"]).ok().text();
    assert_eq!(networks.trim(), "alone");
    assert_eq!(
        exec(&agent, "box", "ls /sys/class/net").ok().text(),
        "eth0\nlo"
    );
    hythe(&["rm", "-f", "other"]).ok();
    hythe(&["network", "connect", "open", "box"]).ok();
    assert!(gateway(&agent, "box").contains("via 10.82.1.1 "));
}

#[test]
fn an_endpoint_has_the_name_the_switches_and_the_addresses_asked_for() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let agent = Agent::start(&host);
    let hythe = |words: &[&str]| agent.hythe(words).finish();
    hythe(&["network", "create", "front"]).ok();
    hythe(&["network", "create", "back"]).ok();
    let front = "name=front,driver-opt=com.docker.network.endpoint.ifname=eth1,\
                 link-local-ip=169.254.9.9,link-local-ip=fe80::99,\
                 driver-opt=com.docker.network.endpoint.sysctls=\
                 net.ipv4.conf.IFNAME.log_martians=1";
    let run = ["run", "-d", "--name=box", "--network", front];
    let command = ["--network=back", &image, "sleep", "1000"];
    hythe(&[&run[..], &command].concat()).ok();
    let inside = |script: &str| exec(&agent, "box", script).ok().text();
    let links = inside("ls /sys/class/net");
    assert_eq!(links, "eth0\neth1\nlo");
    let addresses = inside("ip addr show eth1");
    assert!(addresses.contains("169.254.9.9/16"), "{addresses}");
    assert!(addresses.contains("fe80::99/64"), "{addresses}");
    let martians = |link: &str| inside(&format!("cat /proc/sys/net/ipv4/conf/{link}/log_martians"));
    assert_eq!(martians("eth1"), "1");
    assert_eq!(martians("eth0"), "0");

    hythe(&["network", "create", "more"]).ok();
    let option = "com.docker.network.endpoint.ifname=more0";
    hythe(&["network", "connect", "--driver-opt", option, "more", "box"]).ok();
    assert!(inside("ls /sys/class/net").contains("more0"));
    let format = "{{json (index .NetworkSettings.Networks \"more\").DriverOpts}}";
    let options = hythe(&["inspect", "-f", format, "box"]).ok().text();
    assert!(options.contains("more0"), "{options}");
    for option in [
        "com.docker.network.endpoint.sysctls=net.core.somaxconn=1",
        "com.docker.network.endpoint.ifname=a/b",
    ] {
        let network = format!("name=more,driver-opt={option}");
        hythe(&["run", "--rm", "--network", &network, &image, "true"])
            .fails_with(125)
            .fails_saying("invalid ");
    }
    let network = "name=none,link-local-ip=169.254.9.9";
    hythe(&["run", "--rm", "--network", network, &image, "true"])
        .fails_with(125)
        .fails_saying("gives containers no link");
}
