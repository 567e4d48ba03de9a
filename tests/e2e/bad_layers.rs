//! Layers that lie about themselves or try to get out are refused by name and leave nothing.

use std::fs;
use std::path::Path;

use hythe_tests::{
    Agent, AgentOptions, CommandExt as _, Host, ImageBuilder, Layer, Layout, Server, TarBuilder,
    sha256_digest,
};
use serde_json::json;

use crate::push;

#[test]
fn a_layer_whose_bytes_changed_is_refused() {
    let host = Host::new();
    let server = Server::start(&host);
    let layer = Layer::new(
        TarBuilder::new()
            .file("hello", 0o644, &vec![7; 100_000])
            .finish(),
    );
    let image = ImageBuilder::new().layer(layer).write_temporary();
    let reference = push(&host, &server, &image, "corrupt:1");
    let digest = image.layer_digests().remove(0);
    flip_a_byte_of_blob(&server.data(), &image, &digest);

    refused(&host, &reference, &digest);
}

#[test]
fn a_layer_with_a_wrong_diff_id_is_refused() {
    let host = Host::new();
    let server = Server::start(&host);
    let tar = TarBuilder::new().file("hello", 0o644, b"hello").finish();
    let layer = Layer {
        tar,
        diff_id: sha256_digest(b"something else"),
    };
    let image = ImageBuilder::new().layer(layer).write_temporary();
    let reference = push(&host, &server, &image, "liar:1");

    refused(&host, &reference, &image.layer_digests()[0]);
}

#[test]
fn a_tar_that_tries_to_escape_is_refused() {
    let attempts = [
        TarBuilder::new().file("../../escaped", 0o644, b"out"),
        TarBuilder::new().file("a/../../../escaped", 0o644, b"out"),
        TarBuilder::new()
            .symlink("door", "/tmp")
            .file("door/escaped", 0o644, b"out"),
        TarBuilder::new()
            .symlink("door", "../../../../tmp")
            .file("door/escaped", 0o644, b"out"),
        TarBuilder::new().hard_link("shadow", "../../../../etc/shadow"),
        TarBuilder::new()
            .symlink("etc", "/etc")
            .hard_link("shadow", "etc/shadow"),
    ];
    for (number, tar) in attempts.into_iter().enumerate() {
        let host = Host::new();
        let server = Server::start(&host);
        let image = ImageBuilder::new()
            .layer(Layer::new(tar.finish()))
            .write_temporary();
        let reference = push(&host, &server, &image, "escape:1");
        let agent = Agent::start(&host);

        let pull = agent.docker(&["pull", &reference]).finish();
        assert!(
            !Path::new("/tmp/escaped").exists(),
            "attempt {number} got out"
        );
        let inside_data = find(&agent.data(), "escaped");
        assert!(
            inside_data.iter().all(|path| path.contains("/layers/")),
            "attempt {number} got out of its layer: {inside_data:?}"
        );
        // A symlink of the same layer is followed inside the layer's root, as docker does; a
        // name that leaves it is an error.
        if number < 2 {
            pull.fails_saying(&image.layer_digests()[0]);
            nothing_left(&agent);
        }
    }
}

#[test]
fn a_small_layer_that_unpacks_to_too_much_is_refused() {
    let host = Host::new();
    let server = Server::start(&host);
    let zeros = vec![0; 32 << 20];
    let tar = TarBuilder::new().file("hello", 0o644, &zeros).finish();
    let image = ImageBuilder::new().layer(Layer::new(tar)).write_temporary();
    let reference = push(&host, &server, &image, "bomb:1");
    let limited = |limit: &str| {
        let options = AgentOptions {
            arguments: vec!["--max-layer-size".to_owned(), limit.to_owned()],
            ..AgentOptions::default()
        };
        Agent::start_with(&host, options)
    };
    let agent = limited("20m");
    agent
        .docker(&["pull", &reference])
        .finish()
        .fails_saying("unpacks to more than the limit of 20971520 bytes");
    nothing_left(&agent);
    drop(agent);
    limited("40m").docker(&["pull", &reference]).finish().ok();
}

#[track_caller]
fn refused(host: &Host, reference: &str, layer: &str) {
    let agent = Agent::start(host);
    agent
        .docker(&["pull", reference])
        .finish()
        .fails_saying(layer);
    nothing_left(&agent);
    agent
        .docker(&["run", "--rm", reference, "true"])
        .finish()
        .fails_with(125);
}

#[track_caller]
fn nothing_left(agent: &Agent<'_>) {
    assert_eq!(agent.docker(&["images", "-aq"]).finish().ok().text(), "");
    for name in ["hello", "escaped"] {
        assert_eq!(find(&agent.data(), name), Vec::<String>::new());
    }
}

/// Paths below `directory` whose last part is `name`.
fn find(directory: &Path, name: &str) -> Vec<String> {
    let run = std::process::Command::new("find")
        .arg(directory)
        .args(["-name", name])
        .finish();
    run.lines()
}

/// The registry verified the blob when it came; a disk may still spoil it afterwards.
fn flip_a_byte_of_blob(data: &Path, image: &Layout, digest: &str) {
    let blob = image.path.join("blobs").join(digest.replace(':', "/"));
    let blob = fs::read(blob).expect("the layer's blob");
    let stored = all_files(data)
        .into_iter()
        .find(|path| fs::read(path).is_ok_and(|bytes| bytes == blob))
        .expect("the registry keeps the blob as a file");
    let mut bytes = blob;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(stored, bytes).expect("the stored blob is changed");
}

fn all_files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| entry.expect("entry"))
    {
        let path = entry.path();
        if path.is_dir() {
            found.extend(all_files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn whiteouts_links_and_modes_come_out_as_they_went_in() {
    let host = Host::new();
    let server = Server::start(&host);
    let busybox = hythe_tests::busybox();
    let base_tar = busybox.layer_tar(0);
    let second = TarBuilder::new()
        .directory("data/", 0o750)
        .file("data/kept", 0o640, b"kept")
        .file("data/gone", 0o644, b"gone")
        .hard_link("data/linked", "data/kept")
        .directory("opaque/", 0o755)
        .file("opaque/old", 0o644, b"old")
        .file("bin/special", 0o4755, b"set-user-id")
        .finish();
    let third = TarBuilder::new()
        .directory("data/", 0o750)
        .file("data/.wh.gone", 0o644, b"")
        .directory("opaque/", 0o755)
        .file("opaque/.wh..wh..opq", 0o644, b"")
        .file("opaque/new", 0o644, b"new")
        .finish();
    let image = ImageBuilder::new()
        .layer(Layer::new(base_tar))
        .layer(Layer::new(second))
        .layer(Layer::new(third))
        .config(json!({"Cmd": ["sh"], "Env": ["PATH=/bin"]}))
        .write_temporary();
    let reference = push(&host, &server, &image, "layers:1");
    let agent = Agent::start(&host);

    let script = "ls data opaque; stat -c '%a %h' data/kept bin/special data; cat data/linked";
    let run = agent
        .docker(&["run", "--rm", &reference, "sh", "-c", script])
        .finish()
        .ok();
    let expected = "data:\nkept\nlinked\n\nopaque:\nnew\n640 2\n4755 1\n750 1\nkept";
    assert_eq!(run.text(), expected);
}
