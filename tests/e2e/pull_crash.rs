//! An agent that is killed in the middle of pulls, at any moment: the next one finds no stray bytes,
//! and the pull goes through.

use std::time::{Duration, Instant};

use hythe_tests::{Agent, CommandExt as _, Host, ImageBuilder, Layer, Layout, Server};
use hythe_tests::{TarBuilder, busybox};
use serde_json::json;

use crate::push;

const N_ROUNDS: u32 = 20;

/// Layers that take a while to arrive, and a while to unpack.
fn image() -> Layout {
    let mut image = ImageBuilder::new().layer(Layer::new(busybox().layer_tar(0)));
    for layer in 0..3 {
        let noise: Vec<u8> = (0..3 << 20).map(|_| rand::random()).collect();
        let mut tar = TarBuilder::new().file(&format!("noise-{layer}"), 0o644, &noise);
        for number in 0..800 {
            tar = tar.file(&format!("many-{layer}/{number}"), 0o600, &noise[..2000]);
        }
        image = image.layer(Layer::new(tar.finish()));
    }
    image
        .config(json!({"Cmd": ["sh"], "Env": ["PATH=/bin"]}))
        .write_temporary()
}

/// Names of everything directly below a directory of the agent's images.
fn entries(agent: &Agent<'_>, below: &str) -> Vec<String> {
    let path = agent.data().join("images").join(below);
    let entries = std::fs::read_dir(&path).expect("a directory of the image store");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// What is there belongs to the image, if it is there at all, or can be gone on from.
#[track_caller]
fn nothing_strays(agent: &Agent<'_>, layout: &Layout) {
    for below in ["unpacking", "removing"] {
        assert_eq!(entries(agent, below), [""; 0], "{below}");
    }
    for ingest in entries(agent, "ingest") {
        let digest = ingest.replacen('-', ":", 1);
        let digests = layout.layer_digests();
        assert!(
            digests.contains(&digest),
            "{digest} is no layer: {digests:?}"
        );
    }
    let is_here = !agent
        .docker(&["images", "-q"])
        .finish()
        .ok()
        .text()
        .is_empty();
    let blobs = entries(agent, "blobs/sha256").len();
    let layers = entries(agent, "layers/sha256").len();
    let n_layers = layout.layer_digests().len();
    // Manifest and configuration besides.
    let expected = if is_here {
        (n_layers + 2, n_layers)
    } else {
        (0, 0)
    };
    assert_eq!((blobs, layers), expected, "image there: {is_here}");
}

#[test]
fn rounds_of_pulls_that_end_by_kill_dash_nine() {
    let host = Host::new();
    let server = Server::start(&host);
    let layout = image();
    let reference = push(&host, &server, &layout, "rounds:1");
    let mut agent = Agent::start(&host);
    let pull = |agent: &Agent<'_>| agent.docker(&["pull", "-q", &reference]).finish();
    let check = |agent: &Agent<'_>| {
        let script = "cat /noise-* | wc -c; ls /many-* | grep -c '^[0-9]'";
        let run = agent.docker(&["run", "--rm", &reference, "sh", "-c", script]);
        { run }.finish().ok().lines()
    };
    let whole = [(9 << 20).to_string(), 2400.to_string()];

    let start = Instant::now();
    pull(&agent).ok();
    // How long a pull takes, at most: the machine may have been busier then.
    let mut once = start.elapsed();
    assert_eq!(check(&agent), whole);
    agent.docker(&["rmi", &reference]).finish().ok();

    let mut n_interrupted = 0;
    for round in 0..N_ROUNDS {
        let moment = once.mul_f64(rand::random_range(0.0..1.1));
        std::thread::scope(|scope| {
            let mut docker = agent.docker(&["pull", "-q", &reference]);
            let pulling = scope.spawn(move || {
                let start = Instant::now();
                (docker.finish().code, start.elapsed())
            });
            // The moment is the test's dice, not a wait for anything.
            std::thread::sleep(moment.max(Duration::from_millis(1)));
            agent.kill_dash_nine();
            match pulling.join().expect("a pull") {
                (0, elapsed) => once = once.min(elapsed),
                _ => n_interrupted += 1,
            }
        });
        agent.restart();
        nothing_strays(&agent, &layout);
        if round % 4 == 3 {
            pull(&agent).ok();
            assert_eq!(check(&agent), whole, "round {round}");
            agent.docker(&["rmi", &reference]).finish().ok();
        }
    }
    assert!(
        n_interrupted > N_ROUNDS / 4,
        "only {n_interrupted} were interrupted"
    );

    pull(&agent).ok();
    assert_eq!(check(&agent), whole);
    assert_eq!(entries(&agent, "ingest"), [""; 0]);
    agent.docker(&["rmi", &reference]).finish().ok();
    for below in [
        "blobs/sha256",
        "layers/sha256",
        "ingest",
        "unpacking",
        "removing",
    ] {
        assert_eq!(entries(&agent, below), [""; 0], "{below}");
    }
}
