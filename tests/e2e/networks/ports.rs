//! Published ports, and what of them survives the agent.

use super::*;

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
    let options = ["--network", "net", "-p", "19070:80"];
    web(&agent, &image, "page", &options);
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
