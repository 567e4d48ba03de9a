//! An agent that is killed while networks and their members come and go: whatever step it was in,
//! the next one puts it right.

use std::time::{Duration, Instant};

use hythe_tests::{Agent, CommandExt as _, Finished, Host, SHORT, Server, eventually};

use crate::push_busybox;

const N_ROUNDS: u32 = 15;

/// Makes a network and a container with a port on it, and takes both away again.
fn come_and_go(image: &str) -> [Vec<String>; 4] {
    [
        "network create --subnet 10.80.0.0/24 net".to_owned(),
        format!("run -d --name member --network net -p 8080:80 {image} sleep 1000"),
        "rm -f member".to_owned(),
        "network rm net".to_owned(),
    ]
    .map(|line| line.split(' ').map(str::to_owned).collect())
}

fn docker(agent: &Agent<'_>, line: &str) -> Finished {
    agent.docker(&line.split(' ').collect::<Vec<_>>()).finish()
}

/// Devices of a kind on the host.
fn devices(host: &Host, kind: &str) -> usize {
    let words = ["-oneline", "link", "show", "type", kind];
    host.command("ip").args(words).finish().ok().lines().len()
}

/// Devices and rules are those of the networks and containers that there are.
#[track_caller]
fn all_is_right(agent: &Agent<'_>) {
    let networks = docker(agent, "network ls -q -f driver=bridge").ok().lines();
    let running = docker(agent, "ps -q").ok().lines();
    let host = agent.host();
    let seen = (devices(host, "bridge"), devices(host, "veth"));
    assert_eq!(
        seen,
        (networks.len(), running.len()),
        "{networks:?} {running:?}"
    );
    let rules = host.command("nft").args(["list", "ruleset"]).finish().ok();
    let is_published = rules.text().contains("8080");
    assert_eq!(is_published, !running.is_empty(), "{rules:?}");
}

#[test]
fn networks_are_put_right_after_kill_dash_nine() {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let mut agent = Agent::start(&host);
    docker(&agent, &format!("pull -q {image}")).ok();
    let lines = come_and_go(&image);
    let all = |agent: &Agent<'_>| {
        lines.clone().map(|words| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            agent.docker(&words)
        })
    };
    let start = Instant::now();
    for mut command in all(&agent) {
        command.finish().ok();
    }
    let once = start.elapsed();
    all_is_right(&agent);

    for round in 0..N_ROUNDS {
        let moment = once.mul_f64(rand::random_range(0.0..1.0));
        std::thread::scope(|scope| {
            let commands = all(&agent);
            scope.spawn(move || {
                for mut command in commands {
                    // It fails when the agent has gone, at whichever of them that is.
                    if command.finish().code != 0 {
                        return;
                    }
                }
            });
            // The moment is the test's dice, not a wait for anything.
            std::thread::sleep(moment.max(Duration::from_millis(1)));
            agent.kill_dash_nine();
        });
        agent.restart();
        // A shim that was about to start its container may still be on its way to the end.
        eventually("what was under way is over", SHORT, || {
            let created = docker(&agent, "ps -aq -f status=running").ok().lines();
            (created == docker(&agent, "ps -q").ok().lines()).then_some(())
        });
        all_is_right(&agent);
        // Everything that is there can be taken away, and nothing stays.
        if !docker(&agent, "ps -aq -f name=member")
            .ok()
            .text()
            .is_empty()
        {
            docker(&agent, "rm -f member").ok();
        }
        if !docker(&agent, "network ls -q -f name=net")
            .ok()
            .text()
            .is_empty()
        {
            docker(&agent, "network rm net").ok();
        }
        all_is_right(&agent);
        assert_eq!(devices(&host, "bridge"), 1, "round {round}");
    }
    for mut command in all(&agent) {
        command.finish().ok();
    }
}
