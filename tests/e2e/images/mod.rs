//! Every image command with its options: the real docker command line, and ours beside it.

mod disk_usage;
mod lists;
mod pull;
mod push;

use hythe_tests::{
    Agent, AgentOptions, CommandExt as _, Finished, Host, ImageBuilder, Layer, Layout, Server,
};
use hythe_tests::{SHORT, TarBuilder, busybox, docker_is_recent, eventually};
use serde_json::{Value, json};

use crate::{push, push_busybox};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Bytes of the file that only [`child`] has.
const OWN_BYTES: usize = 20_000;

/// Younger than busybox, on its layer, and labelled.
fn child() -> Layout {
    let tar = TarBuilder::new().file("own", 0o644, &vec![7; OWN_BYTES]);
    ImageBuilder::new()
        .layer(Layer::new(busybox().layer_tar(0)))
        .layer(Layer::new(tar.finish()))
        .created("2024-06-01T00:00:00Z")
        .config(json!({"Cmd": ["sh"], "Env": ["PATH=/bin"], "Labels": {"tier": "front"}}))
        .write_temporary()
}

/// An agent that has pulled busybox, and the image made on it: their names.
fn agent_with_both<'host>(
    host: &'host Host,
    server: &Server<'host>,
) -> (Agent<'host>, String, String) {
    let image = push_busybox(host, server);
    let young = push(host, server, &child(), "team/child:1");
    let agent = Agent::start(host);
    for image in [&image, &young] {
        agent.docker(&["pull", "-q", image]).finish().ok();
    }
    (agent, image, young)
}

/// What docker's command line says, or ours.
fn one_of(agent: &Agent<'_>, ours: bool, words: &[&str]) -> Finished {
    let mut command = if ours {
        agent.hythe(words)
    } else {
        agent.docker(words)
    };
    command.finish()
}

/// What both command lines say to the same question, which is the same.
#[track_caller]
fn both(agent: &Agent<'_>, words: &[&str]) -> Finished {
    let docker = agent.docker(words).finish();
    let hythe = agent.hythe(words).finish();
    assert_eq!(hythe.code, docker.code, "{hythe:?}{docker:?}");
    assert_eq!(hythe.text(), docker.text(), "{hythe:?}{docker:?}");
    docker
}

#[track_caller]
fn id_of(agent: &Agent<'_>, image: &str) -> String {
    let words = ["image", "inspect", "-f", "{{.Id}}", image];
    agent.docker(&words).finish().ok().text()
}

/// The lines that both say, sorted: docker lists the repositories of one image as its map has them.
#[track_caller]
fn both_lists(agent: &Agent<'_>, words: &[&str]) -> Vec<String> {
    let sorted = |list: Finished| {
        let mut lines = list.ok().lines();
        lines.sort();
        lines
    };
    let docker = sorted(agent.docker(words).finish());
    assert_eq!(sorted(agent.hythe(words).finish()), docker, "{words:?}");
    docker
}

/// `REPOSITORY:TAG` of a list, sorted.
#[track_caller]
fn names(agent: &Agent<'_>, words: &[&str]) -> Vec<String> {
    let format = ["images", "--format", "{{.Repository}}:{{.Tag}}"];
    both_lists(agent, &[&format[..], words].concat())
}

fn short(digest: &str) -> &str {
    let hex = digest.strip_prefix("sha256:").expect("a sha256");
    &hex[..12]
}

/// Docker's `units.HumanSizeWithPrecision`: lists of images have 3 digits, disk usage 4.
fn human(bytes: u64, precision: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "sizes of small images")]
    let (mut size, mut unit) = (bytes as f64, 0);
    while size >= 1000.0 {
        size /= 1000.0;
        unit += 1;
    }
    let digits = precision
        - if size >= 100.0 {
            3
        } else {
            1 + usize::from(size >= 10.0)
        };
    let text = format!("{size:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{}", ["B", "kB", "MB", "GB"][unit])
}
