//! Pulls over a slow link that loses packets and is cut again and again: they go on where they
//! were, and what they cost is counted on the wire.

use std::io::Write as _;
use std::time::Duration;

use hythe_tests::{
    Agent, AgentOptions, CommandExt as _, Host, ImageBuilder, Layer, Layout, SHORT, Server,
    ServerOptions, TarBuilder, busybox, eventually,
};
use serde_json::json;

use crate::push;

const N_CUTS: u64 = 5;
const N_LAYERS: usize = 3;
const LAYER_BYTES: usize = 8 << 20;

/// A minute or so of a slow machine.
const LONG: Duration = Duration::from_secs(150);

/// Layers of noise, which no packing makes smaller, on busybox.
fn noise() -> Layout {
    let mut image = ImageBuilder::new().layer(Layer::new(busybox().layer_tar(0)));
    for number in 0..N_LAYERS {
        let bytes: Vec<u8> = (0..LAYER_BYTES).map(|_| rand::random()).collect();
        let tar = TarBuilder::new().file(&format!("noise-{number}"), 0o644, &bytes);
        image = image.layer(Layer::new(tar.finish()));
    }
    image
        .config(json!({"Cmd": ["sh"], "Env": ["PATH=/bin"]}))
        .write_temporary()
}

/// A host with a bad link to the registry.
struct Remote {
    host: Host,
    registry: String,
    device: String,
}

/// The device that has an address.
fn device(host: &Host, address: &str) -> String {
    let words = ["-oneline", "-4", "address", "show", "to", address];
    let line = host.command("ip").args(words).finish().ok().text();
    let name = line.split_whitespace().nth(1).expect("a device");
    name.to_owned()
}

impl Remote {
    fn new(middle: &Host, number: u8) -> Self {
        let host = Host::new();
        let (there, here) = (format!("10.9.{number}.1"), format!("10.9.{number}.2"));
        middle.link(&format!("{there}/24"), &host, &format!("{here}/24"));
        let remote = Self {
            device: device(&host, &here),
            registry: there,
            host,
        };
        remote.worsen(middle);
        remote
    }

    /// What the registry sends is short of bandwidth, late, and one packet in a hundred is lost.
    fn worsen(&self, middle: &Host) {
        let line = format!("tc qdisc add dev {} root", device(middle, &self.registry));
        let queue = |words: &str| {
            let line = format!("{line} {words}");
            middle.command("env").args(line.split(' ')).finish()
        };
        if queue("netem rate 48mbit delay 8ms loss 1% limit 60").code == 0 {
            return;
        }
        // A kernel without netem: packets wait in a bucket's queue, and are lost on arrival.
        queue("tbf rate 48mbit burst 16k latency 10ms").ok();
        self.call("nft add table inet loss");
        self.call("nft add chain inet loss in { type filter hook prerouting priority -300 ; }");
        self.call("nft add rule inet loss in tcp sport 5000 numgen random mod 100 0 drop");
    }

    fn call(&self, line: &str) {
        let mut words = line.split(' ');
        let program = words.next().expect("a program");
        self.host.command(program).args(words).finish().ok();
    }

    /// Bytes that arrived, headers and what was sent twice included.
    fn received_bytes(&self) -> u64 {
        let words = ["-json", "-statistics", "link", "show", "dev", &self.device];
        let run = self.host.command("ip").args(words).finish().ok();
        let links: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON of ip");
        links[0]["stats64"]["rx"]["bytes"]
            .as_u64()
            .expect("a number")
    }

    /// Cuts the cable for a moment; no connection outlives it.
    fn cut(&self) {
        self.call(&format!("ip link set {} down", self.device));
        self.call("nft add table inet cut");
        self.call("nft add chain inet cut out { type filter hook output priority 0 ; }");
        self.call("nft add rule inet cut out tcp dport 5000 reject with tcp reset");
        self.call(&format!("ip link set {} up", self.device));
        // The registry sends once more what was not answered, and the answer ends it.
        eventually("the connections break", SHORT, || {
            let words = "-Htn state established dport = :5000";
            let left = self.host.command("ss").args(words.split(' ')).finish().ok();
            left.text().is_empty().then_some(())
        });
        self.call("nft delete table inet cut");
    }
}

#[test]
fn a_pull_over_a_bad_link_goes_on_where_it_was_cut() {
    let middle = Host::new();
    let options = ServerOptions {
        listen: Some("0.0.0.0"),
        ..ServerOptions::default()
    };
    let server = Server::start_as(
        &middle,
        &options.with("HYTHE_ALLOW_INSECURE_LISTEN", "true"),
    );
    let layout = noise();
    push(&middle, &server, &layout, "noise:1");
    push(&middle, &server, &layout, "noise:2");
    let image_bytes = layout.blob_bytes();

    let remotes = [1, 2].map(|number| Remote::new(&middle, number));
    std::thread::scope(|scope| {
        for remote in &remotes {
            let layout = &layout;
            scope.spawn(move || pull_through(remote, layout, image_bytes));
        }
    });
}

fn pull_through(remote: &Remote, layout: &Layout, image_bytes: u64) {
    let registry = format!("{}:5000", remote.registry);
    let options = AgentOptions {
        arguments: vec!["--insecure-registry".to_owned(), registry.clone()],
        ..AgentOptions::default()
    };
    let agent = Agent::start_with(&remote.host, options);
    let [first, second] = ["1", "2"].map(|tag| format!("{registry}/noise:{tag}"));
    let before = remote.received_bytes();
    std::thread::scope(|scope| {
        // The second one wants the same layers at the same time, and costs nothing.
        let pulls = [&first, &second].map(|image| {
            let mut pull = agent.docker(&["pull", "-q", image]);
            scope.spawn(move || pull.finish())
        });
        for number in 1..=N_CUTS {
            let mark = before + image_bytes * number / (N_CUTS + 1);
            eventually("the next part arrives", LONG, || {
                let ended = pulls.iter().all(std::thread::ScopedJoinHandle::is_finished);
                (remote.received_bytes() >= mark || ended).then_some(())
            });
            remote.cut();
        }
        for pull in pulls {
            pull.join().expect("a pull").ok();
        }
    });
    let wire_bytes = remote.received_bytes() - before;
    let permille = wire_bytes * 1000 / image_bytes;
    let found =
        format!("{image_bytes} bytes of image, {wire_bytes} on the wire: {permille} per mille\n");
    std::io::stdout()
        .write_all(found.as_bytes())
        .expect("it is told");
    assert!(permille <= 1100, "{wire_bytes} bytes for {image_bytes}");

    for image in [&first, &second] {
        let words = ["image", "inspect", "-f", "{{.Id}}", image];
        let id = agent.docker(&words).finish().ok().text();
        assert_eq!(id, layout.image_id);
    }
    let script = "cat /noise-* | wc -c";
    let run = agent
        .docker(&["run", "--rm", &first, "sh", "-c", script])
        .finish();
    assert_eq!(run.ok().text(), (N_LAYERS * LAYER_BYTES).to_string());
}
