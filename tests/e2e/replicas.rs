//! Several registries on one PostgreSQL and one bucket are equal, whichever of them dies.

use std::process::Child;
use std::process::Stdio;

use hythe_tests::{
    CommandExt as _, Finished, Host, Postgres, S3, SHORT, Server, ServerOptions, eventually,
    sha256_digest,
};

/// Servers on ports 5001, 5002, … of the host, all on the same back ends.
fn replicas<'host>(
    host: &'host Host,
    s3: &S3<'host>,
    postgres: &Postgres,
    count: u16,
) -> Vec<Server<'host>> {
    (1..=count)
        .map(|number| {
            let options = ServerOptions {
                port: 5000 + number,
                environment: s3.environment(&s3.address()),
                ..ServerOptions::default()
            };
            let options = options
                .with("HYTHE_STORAGE", &s3.url())
                .with("HYTHE_DATABASE", &postgres.url());
            Server::start_as(host, &options)
        })
        .collect()
}

fn begin_push(host: &Host, to: &Server<'_>, tag: &str) -> Child {
    host.command("skopeo")
        .args([
            "copy",
            "--insecure-policy",
            "--dest-tls-verify=false",
            "--quiet",
        ])
        .arg(hythe_tests::busybox().transport())
        .arg(format!("docker://{}/{tag}", to.address()))
        .stdin(Stdio::null())
        .spawn()
        .expect("skopeo starts")
}

/// Pulls a tag with every blob; skopeo verifies each digest.
#[track_caller]
fn pull(host: &Host, from: &Server<'_>, tag: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    host.command("skopeo")
        .args([
            "copy",
            "--insecure-policy",
            "--src-tls-verify=false",
            "--quiet",
        ])
        .arg(format!("docker://{}/{tag}", from.address()))
        .arg(format!("dir:{}", directory.path().display()))
        .finish()
        .ok();
}

#[test]
fn one_takes_a_push_another_gives_it_while_a_third_is_killed() {
    let host = Host::new();
    let (s3, postgres) = (S3::start(&host), Postgres::start());
    let mut servers = replicas(&host, &s3, &postgres, 3);
    for round in 0..6 {
        let (pushed, pulled, killed) = (round % 3, (round + 1) % 3, (round + 2) % 3);
        // A repository of its own: every blob is sent again.
        let tag = format!("round{round}/busybox:1");
        // The victim has an upload under way, which nobody will end.
        let stranded = begin_push(
            &host,
            &servers[killed],
            &format!("stranded{round}/busybox:1"),
        );
        let push = begin_push(&host, &servers[pushed], &tag);
        servers[killed].kill_dash_nine();
        let [push, stranded] = [push, stranded].map(Child::wait_with_output);
        let push = push.expect("it can be waited for");
        assert!(push.status.success(), "round {round}: {push:?}");
        // Whether it was quicker than the kill does not matter.
        stranded.expect("it can be waited for");
        pull(&host, &servers[pulled], &tag);
        servers[killed].restart();
        pull(&host, &servers[killed], &tag);
    }
    for round in [0, 3] {
        for server in &servers {
            pull(&host, server, &format!("round{round}/busybox:1"));
        }
    }
}

/// The session's state is in the database and its bytes are in the bucket, so any replica goes on.
#[test]
fn an_upload_goes_on_at_another_replica() {
    let host = Host::new();
    let (s3, postgres) = (S3::start(&host), Postgres::start());
    let mut servers = replicas(&host, &s3, &postgres, 3);
    // The middle chunk is larger than one part of an upload to the bucket.
    let chunks: Vec<Vec<u8>> = [3 << 20, 18 << 20, 5]
        .map(|size| (0..size).map(|_| rand::random()).collect())
        .to_vec();
    let whole = chunks.concat();
    let digest = sha256_digest(&whole);
    let octets = "Content-Type: application/octet-stream";

    let started = host.curl(&["-X", "POST", &servers[0].url("/v2/far/blobs/uploads/")]);
    assert_eq!(started.status, 202, "{started:?}");
    let mut location = started.headers["location"].clone();
    let mut offset = 0;
    for (chunk, server) in chunks.iter().zip([0, 1, 2]) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), chunk).expect("it is written");
        let data = format!("@{}", file.path().display());
        let range = format!("Content-Range: {offset}-{}", offset + chunk.len() - 1);
        let url = servers[server].url(&location);
        let words = [
            "-X",
            "PATCH",
            "-H",
            octets,
            "-H",
            &range,
            "--data-binary",
            &data,
            &url,
        ];
        let answer = host.curl(&words);
        assert_eq!(answer.status, 202, "{answer:?}");
        offset += chunk.len();
        assert_eq!(answer.headers["range"], format!("0-{}", offset - 1));
        location = answer.headers["location"].clone();
        // Whoever took the chunk is gone before the next one is sent.
        servers[server].kill_dash_nine();
        servers[server].restart();
    }
    let url = servers[1].url(&format!("{location}?digest={digest}"));
    let ended = host.curl(&["-X", "PUT", "-H", "Content-Length: 0", &url]);
    assert_eq!(ended.status, 201, "{ended:?}");
    let back = host.curl(&[&servers[0].url(&format!("/v2/far/blobs/{digest}"))]);
    assert!(
        back.status == 200 && back.body == whole,
        "it comes back whole"
    );
}

/// "GET may redirect to a presigned URL where configured": the bucket itself gives the bytes.
#[test]
fn a_pull_may_be_sent_to_the_bucket() {
    let host = Host::new();
    let (s3, postgres) = (S3::start(&host), Postgres::start());
    let options = ServerOptions {
        environment: s3.environment(&s3.address()),
        ..ServerOptions::default()
    };
    let options = options
        .with("HYTHE_STORAGE", &s3.url())
        .with("HYTHE_DATABASE", &postgres.url())
        .with("HYTHE_REDIRECT_BLOBS", "true");
    let server = Server::start_as(&host, &options);
    crate::push_busybox(&host, &server);
    pull(&host, &server, "busybox:1");

    let content = b"straight from the bucket";
    let digest = sha256_digest(content);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), content).expect("it is written");
    let data = format!("@{}", file.path().display());
    let url = server.url(&format!("/v2/direct/blobs/uploads/?digest={digest}"));
    let octets = "Content-Type: application/octet-stream";
    let pushed = host.curl(&["-X", "POST", "-H", octets, "--data-binary", &data, &url]);
    assert_eq!(pushed.status, 201, "{pushed:?}");

    let blob = server.url(&format!("/v2/direct/blobs/{digest}"));
    let sent = host.curl(&[&blob]);
    assert_eq!(sent.status, 307, "{sent:?}");
    let location = &sent.headers["location"];
    assert!(
        location.starts_with(&format!("http://{}/", s3.address())),
        "{location}"
    );
    let given = host.curl(&[location]);
    assert_eq!((given.status, given.body.as_slice()), (200, &content[..]));
    // The address is good for this object alone.
    let (before, signature) = location.split_once("Signature=").expect("a signature");
    let other = if signature.starts_with('0') { '1' } else { '0' };
    let forged = format!("{before}Signature={other}{}", &signature[1..]);
    assert_eq!(host.curl(&[&forged]).status, 403, "signatures are checked");
}

/// Copies with skopeo as the robot `ci`; `there` is what it copies to.
#[track_caller]
fn push_as_robot(host: &Host, to: &Server<'_>, (secret, tag): (&str, &str)) -> Finished {
    host.command("skopeo")
        .args([
            "copy",
            "--insecure-policy",
            "--dest-tls-verify=false",
            "--quiet",
        ])
        .arg(format!("--dest-creds=ci:{secret}"))
        .arg(hythe_tests::busybox().transport())
        .arg(format!("docker://{}/{tag}", to.address()))
        .finish()
}

/// "Its token stops working within seconds of revocation on every replica", and so does what it
/// bought before.
#[test]
fn what_is_revoked_at_one_is_refused_by_all() {
    let host = Host::new();
    let (s3, postgres) = (S3::start(&host), Postgres::start());
    let admin = |words: &[&str]| {
        std::process::Command::new(hythe_tests::hythe_binary())
            .args(["registry", "--database", &postgres.url()])
            .args(words)
            .finish()
            .ok()
            .text()
    };
    let servers = replicas(&host, &s3, &postgres, 2);
    admin(&["robot", "add", "ci"]);
    admin(&["grant", "add", "robot:ci", "push", "ci/*"]);
    let make = |label: &str| {
        let made = admin(&["token", "add", "ci", "--label", label, "--format", "json"]);
        let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        (text("id"), text("secret"))
    };
    let ((id, revoked), (_, kept)) = (make("revoked"), make("kept"));
    let status = |server: &Server<'_>, options: &[&str], path: &str| {
        let url = server.url(path);
        host.curl(&[options, &[&url]].concat()).status
    };
    let user = |secret: &str| format!("ci:{secret}");
    for server in &servers {
        eventually("every replica knows the robot", SHORT, || {
            let by = |secret: &str| status(server, &["--user", &user(secret)], "/v2/");
            let nobody = status(server, &[], "/v2/");
            ([nobody, by(&revoked), by(&kept)] == [401, 200, 200]).then_some(())
        });
    }
    // It does what it may at each of them, and nothing else.
    let bought: Vec<String> = servers
        .iter()
        .map(|server| {
            let path = "/token?service=hythe&scope=repository:ci/app:push";
            let url = server.url(path);
            let token = host.curl(&["--user", &user(&revoked), &url]).json();
            format!(
                "Authorization: Bearer {}",
                token["token"].as_str().expect("a token")
            )
        })
        .collect();
    let upload = "/v2/ci/app/blobs/uploads/";
    for (number, server) in servers.iter().enumerate() {
        push_as_robot(&host, server, (&revoked, &format!("ci/app:{number}"))).ok();
        let by = ["--user", &user(&revoked)];
        assert_eq!(
            status(server, &by, "/v2/ci/app/manifests/0"),
            403,
            "no pull"
        );
        let delete = ["--request", "DELETE", by[0], by[1]];
        assert_eq!(
            status(server, &delete, "/v2/ci/app/manifests/0"),
            403,
            "no delete"
        );
        let elsewhere = ["--request", "POST", by[0], by[1]];
        assert_eq!(
            status(server, &elsewhere, "/v2/team/app/blobs/uploads/"),
            403
        );
        // What one of them sold is good at the other.
        for bearer in &bought {
            let post = ["--request", "POST", "--header", bearer];
            assert_eq!(status(server, &post, upload), 202);
        }
    }
    admin(&["token", "revoke", &id]);
    for server in &servers {
        eventually("every replica refuses it", SHORT, || {
            let by = ["--user", &user(&revoked)];
            (status(server, &by, "/v2/") == 401).then_some(())
        });
        push_as_robot(&host, server, (&revoked, "ci/app:2")).fails_saying("was revoked");
        for bearer in &bought {
            let post = ["--request", "POST", "--header", bearer];
            assert_eq!(status(server, &post, upload), 401, "bought before");
        }
        push_as_robot(&host, server, (&kept, "ci/app:2")).ok();
    }
    // A robot without its right is as quickly one that may do nothing.
    let grants = admin(&["grant", "ls", "--format", "json"]);
    let grants: serde_json::Value = serde_json::from_str(&grants).expect("JSON");
    admin(&["grant", "rm", grants[0]["id"].as_str().expect("an id")]);
    for server in &servers {
        eventually("every replica knows that", SHORT, || {
            let post = ["--request", "POST", "--user", &user(&kept)];
            (status(server, &post, upload) == 403).then_some(())
        });
    }
}
