//! Containers finding each other by name.

use std::net::UdpSocket;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use hythe_runner::network::{NetworkSettings, Networks, RestoredEndpoint};

use crate::host::{Host, meanwhile, on_new_host};
use crate::support::{Container, ipv4, open, request};

/// Asks `server` from inside `host`; the answers' data, sorted, or the response code.
fn ask(host: &Host, server: &str, name: &str, tcp: bool) -> Result<Vec<String>, ResponseCode> {
    let kind = RecordType::A;
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    let bytes = query.to_vec().unwrap();
    let answer = if tcp {
        host.exchange_tcp(server, &bytes)
    } else {
        host.exchange_udp(server, &bytes)
    };
    let answer = Message::from_vec(&answer.unwrap()).unwrap();
    if answer.metadata.response_code != ResponseCode::NoError {
        return Err(answer.metadata.response_code);
    }
    let mut found: Vec<String> = answer.answers.iter().map(|r| r.data.to_string()).collect();
    found.sort();
    Ok(found)
}

async fn resolve(container: &Container, name: &'static str) -> Result<Vec<String>, ResponseCode> {
    let host = container.host.clone();
    meanwhile(move || ask(&host, "127.0.0.11:53", name, false)).await
}

/// A name server of the world: every name has the address 192.0.2.7.
fn serve_world(host: &Host) {
    let socket = host.run(|| UdpSocket::bind("127.0.0.1:53").unwrap());
    std::thread::spawn(move || {
        let mut buffer = [0; 600];
        while let Ok((n_bytes, client)) = socket.recv_from(&mut buffer) {
            let query = Message::from_vec(&buffer[..n_bytes]).unwrap();
            let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
            let question = query.queries[0].clone();
            answer.add_answer(hickory_proto::rr::Record::from_rdata(
                question.name().clone(),
                60,
                hickory_proto::rr::RData::A("192.0.2.7".parse().unwrap()),
            ));
            answer.add_query(question);
            drop(socket.send_to(&answer.to_vec().unwrap(), client));
        }
    });
}

fn container(name: &str, names: &[&str]) -> Container {
    let mut container = Container::new(name);
    container.request.names = names.iter().map(|&n| n.to_owned()).collect();
    container.request.resolvers = vec!["127.0.0.1".parse().unwrap()];
    container
}

#[test]
fn neighbours_are_found_and_the_world_is_asked_for_the_rest() {
    on_new_host(|host| async move {
        serve_world(&host);
        let networks = open("hythe").await;
        networks.create(request("a")).await.unwrap();
        networks.create(request("b")).await.unwrap();
        let (web, one, two, far) = (
            container("web", &["web"]),
            container("db-1", &["db-1", "db"]),
            container("db-2", &["db-2", "db"]),
            container("far", &["far"]),
        );
        web.attach(&networks, "a").await.unwrap();
        let first = one.attach(&networks, "a").await.unwrap();
        let second = two.attach(&networks, "a").await.unwrap();
        far.attach(&networks, "b").await.unwrap();

        assert_eq!(resolve(&web, "db-1.").await.unwrap(), [ipv4(&first)]);
        assert_eq!(
            resolve(&web, "db.a.").await.unwrap(),
            [ipv4(&first), ipv4(&second)]
        );
        assert_eq!(resolve(&web, "example.org.").await.unwrap(), ["192.0.2.7"]);
        // A container of another network is a name like any other in the world.
        assert_eq!(resolve(&web, "far.").await.unwrap(), ["192.0.2.7"]);
        let inside = web.host.clone();
        let over_tcp = meanwhile(move || ask(&inside, "127.0.0.11:53", "db-2.", true)).await;
        assert_eq!(over_tcp.unwrap(), [ipv4(&second)]);
        // Port 53 is the container's own.
        web.host.run(|| UdpSocket::bind("0.0.0.0:53").unwrap());

        networks.detach_ended(&first).await;
        assert_eq!(resolve(&web, "db.").await.unwrap(), [ipv4(&second)]);
    });
}

#[test]
fn the_default_bridge_has_no_names() {
    on_new_host(|_| async move {
        let networks = open("hythe").await;
        let web = container("web", &["web"]);
        web.attach(&networks, "bridge").await.unwrap();
        assert!(web.host.ask_udp("127.0.0.11:53").is_err());
    });
}

#[test]
fn an_internal_network_asks_nobody() {
    on_new_host(|host| async move {
        serve_world(&host);
        let networks = open("hythe").await;
        let mut quiet = request("quiet");
        quiet.internal = true;
        networks.create(quiet).await.unwrap();
        let web = container("web", &["web"]);
        let endpoint = web.attach(&networks, "quiet").await.unwrap();
        assert_eq!(resolve(&web, "web.").await.unwrap(), [ipv4(&endpoint)]);
        let refused = resolve(&web, "example.org.").await;
        assert_eq!(refused, Err(ResponseCode::ServFail));
    });
}

#[test]
fn a_second_network_joins_and_leaves_while_the_container_runs() {
    on_new_host(|host| async move {
        serve_world(&host);
        let networks = open("hythe").await;
        networks.create(request("a")).await.unwrap();
        networks.create(request("b")).await.unwrap();
        let (mut web, db) = (container("web", &["web"]), container("db", &["db"]));
        let first = web.attach(&networks, "a").await.unwrap();
        let there = db.attach(&networks, "b").await.unwrap();
        db.host.serve_tcp(80, "db");
        let server = format!("{}:80", ipv4(&there));
        assert!(web.host.ask_tcp(&server).is_err());

        web.request.interface = "eth1".to_owned();
        web.request.default_route = false;
        let second = web.attach(&networks, "b").await.unwrap();
        assert_eq!(resolve(&web, "db.").await.unwrap(), [ipv4(&there)]);
        assert!(web.host.ask_tcp(&server).is_ok());
        let first = networks.resign_gateway(&first.id).await.unwrap();
        assert!(!first.default_route);
        let second = networks.make_gateway(&second.id, "web", &[]).await.unwrap();
        assert!(second.default_route);
        let routes = web.host.sh("ip route show default");
        assert!(
            routes.contains("dev eth1") && !routes.contains("eth0"),
            "{routes}"
        );

        networks.detach(&second).await.unwrap();
        assert_eq!(resolve(&web, "db.").await.unwrap(), ["192.0.2.7"]);
        assert!(!web.host.sh("ip -br link").contains("eth1"));
    });
}

#[test]
fn names_are_served_again_by_the_next_agent() {
    on_new_host(|_| async move {
        let networks = open("hythe").await;
        networks.create(request("a")).await.unwrap();
        let web = container("web", &["web"]);
        let endpoint = web.attach(&networks, "a").await.unwrap();
        let specs = networks.list();
        drop(networks);
        let restored = RestoredEndpoint {
            endpoint: endpoint.clone(),
            netns: web.host.netns(),
        };
        let (networks, failures) =
            Networks::open(NetworkSettings::new("hythe"), specs, vec![restored])
                .await
                .unwrap();
        assert!(failures.is_empty(), "{failures:?}");
        assert_eq!(resolve(&web, "web.").await.unwrap(), [ipv4(&endpoint)]);
        drop(networks);
    });
}
