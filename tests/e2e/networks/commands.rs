//! Every `docker network` command with its options.

use super::*;

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
