//! The registry dies by `kill -9` again and again while clients push: what it acknowledged is
//! there after every restart, whole, and what it did not is there whole or not at all.
//!
//! `HYTHE_CRASH_ROUNDS` says how often it dies. The figures are in the test's output.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use hythe_tests::{Connection, Host, Response, Server, sha256_digest};
use serde_json::{Value, json};

const PUSHERS: usize = 6;
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A tag and what was pushed under it.
#[derive(Clone, Debug)]
struct Push {
    repository: String,
    tag: String,
    digest: String,
}

/// What one client did until the server went away.
#[derive(Debug, Default)]
struct Pushed {
    acknowledged: Vec<Push>,
    /// Asked for, and no answer came.
    unanswered: Option<Push>,
}

#[derive(Debug, Default)]
struct Figures {
    rounds: usize,
    acknowledged: usize,
    unanswered: usize,
    unanswered_but_there: usize,
    blobs: usize,
    bytes: usize,
}

#[test]
fn rounds_of_pushes_that_end_by_kill_dash_nine() {
    let rounds: usize = std::env::var("HYTHE_CRASH_ROUNDS")
        .map_or(20, |text| text.parse().expect("a number of rounds"));
    let host = Host::new();
    let mut server = Server::start(&host);
    let address = server.address();
    let mut everything = Vec::new();
    let mut figures = Figures::default();
    let started = Instant::now();
    // More of them where a busy machine pushes hardly anything in one.
    for round in 0..5 * rounds {
        if round >= rounds && figures.acknowledged > rounds {
            break;
        }
        let pushed = thread::scope(|scope| {
            let pushers: Vec<_> = (0..PUSHERS)
                .map(|number| {
                    let (host, address) = (host.name(), &address);
                    scope.spawn(move || push_until_it_dies(host, address, round, number))
                })
                .collect();
            // Not a wait for something: the moment of death is meant to be any.
            thread::sleep(Duration::from_millis(rand::random_range(5..400)));
            server.kill_dash_nine();
            let join = |pusher: thread::ScopedJoinHandle<'_, Pushed>| pusher.join();
            let pushed: Result<Vec<Pushed>, _> = pushers.into_iter().map(join).collect();
            pushed.expect("no answer was wrong while the server lived")
        });
        server.restart();
        let mut acknowledged = Vec::new();
        let mut unanswered = Vec::new();
        for client in pushed {
            acknowledged.extend(client.acknowledged);
            unanswered.extend(client.unanswered);
        }
        in_host(&host, &address, |connection| {
            for push in &acknowledged {
                let there = verify(connection, push, &mut figures);
                assert!(
                    there,
                    "round {round}: {push:?} was acknowledged and is lost"
                );
            }
            for push in &unanswered {
                let there = verify(connection, push, &mut figures);
                figures.unanswered_but_there += usize::from(there);
            }
        });
        figures.rounds += 1;
        figures.acknowledged += acknowledged.len();
        figures.unanswered += unanswered.len();
        everything.extend(acknowledged);
    }
    // And none was lost by a later death.
    in_host(&host, &address, |connection| {
        for push in &everything {
            assert!(verify(connection, push, &mut figures), "{push:?} is lost");
        }
    });
    println!(
        "{} rounds in {:?}: {} acknowledged pushes, 0 lost; {} unanswered, {} of them there \
         and whole; {} blobs of {} MiB pulled and verified",
        figures.rounds,
        started.elapsed(),
        figures.acknowledged,
        figures.unanswered,
        figures.unanswered_but_there,
        figures.blobs,
        figures.bytes >> 20,
    );
    assert!(
        figures.acknowledged > rounds,
        "hardly anything was pushed: {figures:?}"
    );
}

/// Runs on a thread of its own, inside the host.
fn in_host(host: &Host, address: &str, work: impl FnOnce(&mut Connection) + Send) {
    thread::scope(|scope| {
        let work = scope.spawn(move || {
            let mut connection = Connection::open(host.name(), address).expect("the server is up");
            work(&mut connection);
        });
        work.join().expect("everything is as it should be");
    });
}

fn push_until_it_dies(host: &str, address: &str, round: usize, number: usize) -> Pushed {
    let mut pushed = Pushed::default();
    let Ok(mut connection) = Connection::open(host, address) else {
        return pushed;
    };
    // Half of the clients share a repository, so that changes meet.
    let repository = match number % 2 {
        0 => "crash/shared".to_owned(),
        _ => format!("crash/{number}"),
    };
    for image in 0.. {
        let tag = format!("r{round}-c{number}-{image}");
        if let Err(Ended) = push(&mut connection, &repository, &tag, &mut pushed) {
            break;
        }
    }
    pushed
}

/// The server went away.
struct Ended;

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// One image: a layer in two pieces, a configuration in one, a manifest.
fn push(
    connection: &mut Connection,
    repository: &str,
    tag: &str,
    pushed: &mut Pushed,
) -> Result<(), Ended> {
    // Pieces of 1 MiB and more go another way through the server.
    let most = if rand::random_ratio(1, 16) {
        6_000_000
    } else {
        200_000
    };
    let mut layer = vec![0; rand::random_range(1..most)];
    rand::fill(&mut layer[..]);
    let config = json!({"architecture": "amd64", "os": "linux", "created-for": tag}).to_string();
    let uploads = format!("/v2/{repository}/blobs/uploads/");
    let layer_digest = sha256_digest(&layer);
    let octets = ["content-type: application/octet-stream"];

    let opened = connection.ask("POST", &uploads, &[], b"")?;
    let session = location(&opened, 202);
    let (first, second) = layer.split_at(layer.len() / 2);
    let appended = connection.ask("PATCH", &session, &octets, first)?;
    let session = location(&appended, 202);
    let separator = if session.contains('?') { '&' } else { '?' };
    let last = format!("{session}{separator}digest={layer_digest}");
    expect(&connection.ask("PUT", &last, &octets, second)?, 201);

    let config_digest = sha256_digest(config.as_bytes());
    let whole = format!("{uploads}?digest={config_digest}");
    expect(
        &connection.ask("POST", &whole, &octets, config.as_bytes())?,
        201,
    );

    let manifest = json!({
        "schemaVersion": 2, "mediaType": IMAGE,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config_digest, "size": config.len(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": layer_digest, "size": layer.len(),
        }],
    })
    .to_string();
    pushed.unanswered = Some(Push {
        repository: repository.to_owned(),
        tag: tag.to_owned(),
        digest: sha256_digest(manifest.as_bytes()),
    });
    let content_type = format!("content-type: {IMAGE}");
    let path = format!("/v2/{repository}/manifests/{tag}");
    expect(
        &connection.ask("PUT", &path, &[&content_type], manifest.as_bytes())?,
        201,
    );
    pushed.acknowledged.extend(pushed.unanswered.take());
    Ok(())
}

fn expect(answer: &Response, status: u16) {
    assert_eq!(
        answer.status,
        status,
        "{:?} {}",
        answer.headers,
        answer.text()
    );
}

fn location(answer: &Response, status: u16) -> String {
    expect(answer, status);
    let location = &answer.headers["location"];
    // Only the path: this client has its connection already.
    match location.strip_prefix("http://") {
        Some(rest) => rest[rest.find('/').expect("a path")..].to_owned(),
        None => location.clone(),
    }
}

/// Whether the tag is there; if it is, everything under it has to be.
fn verify(connection: &mut Connection, push: &Push, figures: &mut Figures) -> bool {
    let Push {
        repository,
        tag,
        digest,
    } = push;
    let mut get = |path: String| {
        connection
            .ask("GET", &format!("/v2/{repository}/{path}"), &[], b"")
            .expect("the server lives")
    };
    let manifest = get(format!("manifests/{tag}"));
    if manifest.status == 404 {
        return false;
    }
    expect(&manifest, 200);
    assert_eq!(&sha256_digest(&manifest.body), digest, "{push:?}");
    let manifest: Value = manifest.json();
    for descriptor in [&manifest["config"], &manifest["layers"][0]] {
        let digest = descriptor["digest"].as_str().expect("a digest");
        let blob = get(format!("blobs/{digest}"));
        expect(&blob, 200);
        assert_eq!(sha256_digest(&blob.body), digest, "{push:?}");
        figures.blobs += 1;
        figures.bytes += blob.body.len();
    }
    true
}
