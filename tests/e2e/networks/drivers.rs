//! macvlan and ipvlan, with neighbours beside our host.

use super::*;

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
