//! Rules of a registry as its clients and its administrator meet them.

use hythe_tests::{
    Agent, CommandExt as _, Finished, Host, ImageBuilder, Layer, Layout, SHORT, Server,
    ServerOptions, TarBuilder, eventually, hythe_binary,
};

use crate::push;

/// A small image that is another one for each text.
fn image_of(content: &[u8]) -> Layout {
    let file = TarBuilder::new().file("content", 0o644, content);
    let image = ImageBuilder::new().layer(Layer::new(file.finish()));
    image.write_temporary()
}

fn registry(server: &Server<'_>, environment: &[(&str, &str)], words: &[&str]) -> Finished {
    std::process::Command::new(hythe_binary())
        .envs(environment.iter().copied())
        .args(["registry", "--data"])
        .arg(server.data())
        .args(words)
        .finish()
}

#[test]
fn a_tag_is_restored_beside_a_running_server() {
    let host = Host::new();
    let server = Server::start(&host);
    let (one, two) = (image_of(b"one"), image_of(b"two"));
    push(&host, &server, &one, "team/app:1");
    push(&host, &server, &two, "team/app:1");
    let named = || {
        let url = server.url("/v2/team/app/manifests/1");
        hythe_tests::sha256_digest(&host.curl(&[&url]).body)
    };
    assert_eq!(named(), two.manifest_digest);

    let history = registry(&server, &[], &["tags", "history", "team/app:1"]).ok();
    let (first, second) = (&one.manifest_digest, &two.manifest_digest);
    assert!(
        history
            .text()
            .contains(&format!("from {first} to {second}")),
        "{history:?}"
    );
    assert!(history.text().ends_with("2 moves"), "{history:?}");
    let restored = registry(&server, &[], &["tags", "restore", "team/app:1"]).ok();
    assert_eq!(restored.text(), format!("team/app:1 is {first} again"));
    eventually("the server hears of it", SHORT, || {
        (named() == *first).then_some(())
    });
    registry(
        &server,
        &[],
        &["tags", "restore", "team/app:1", "--digest", second],
    )
    .ok();
    eventually("the server hears of it", SHORT, || {
        (named() == *second).then_some(())
    });
    registry(&server, &[], &["tags", "restore", "team/app:2"])
        .fails_with(1)
        .fails_saying("no history of tag 2");
    registry(&server, &[], &["tags", "restore", "team/app"])
        .fails_with(1)
        .fails_saying("NAME:TAG");

    let listed = registry(&server, &[], &["tags", "ls", "team/app"]).ok();
    assert!(listed.text().contains("linux/"), "{listed:?}");
    let listed = registry(
        &server,
        &[],
        &["tags", "ls", "team/app", "--format", "json"],
    )
    .ok();
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(listed[0]["digest"], *second);
    let listed = registry(&server, &[], &["repositories"]).ok();
    assert!(listed.lines()[1].starts_with("team/app"), "{listed:?}");
}

#[test]
fn clients_say_why_a_push_is_refused() {
    let host = Host::new();
    let immutable = r#"[{ repositories = "fixed/**", tags = "v*" }]"#;
    let quotas = r#"[{ repositories = "small/**", bytes = 5_000 }]"#;
    let options = ServerOptions::default()
        .with("HYTHE_IMMUTABLE_TAGS", immutable)
        .with("HYTHE_QUOTAS", quotas);
    let server = Server::start_as(&host, &options);
    let noise: Vec<u8> = (0..20_000u32)
        .flat_map(|n| (n.wrapping_mul(2_654_435_761)).to_be_bytes())
        .collect();
    let (one, two, large) = (image_of(b"one"), image_of(b"two"), image_of(&noise));
    push(&host, &server, &one, "fixed/app:v1");
    // The same again is no move.
    push(&host, &server, &one, "fixed/app:v1");
    push(&host, &server, &two, "two:1");
    push(&host, &server, &large, "large:1");

    let agent = Agent::start(&host);
    let address = server.address();
    let immutable = "tag v1 of fixed/app is immutable";
    let quota = "the quota of small/** is 5000 bytes";
    for (source, target, why) in [
        ("two:1", "fixed/app:v1", immutable),
        ("large:1", "small/app:1", quota),
    ] {
        let (source, target) = (format!("{address}/{source}"), format!("{address}/{target}"));
        agent.docker(&["pull", "-q", &source]).finish().ok();
        agent.docker(&["tag", &source, &target]).finish().ok();
        for mut pushing in [
            agent.docker(&["push", &target]),
            agent.hythe(&["push", &target]),
        ] {
            pushing.finish().fails_with(1).fails_saying(why);
        }
    }
    // What podman and buildah say comes from the same library as skopeo's words.
    for (image, target, why) in [
        (&two, "fixed/app:v1", immutable),
        (&large, "small/app:1", quota),
    ] {
        let target = format!("docker://{address}/{target}");
        let copy = ["copy", "--insecure-policy", "--dest-tls-verify=false"];
        host.command("skopeo")
            .args(copy)
            .arg(image.transport())
            .arg(&target)
            .finish()
            .fails_with(1)
            .fails_saying(why);
    }
    let delete = format!("http://{address}/v2/fixed/app/manifests/v1");
    let refused = host.curl(&["-X", "DELETE", &delete]);
    assert_eq!(refused.status, 403, "{refused:?}");
    // Nothing of it happened, and what fits is taken.
    let there = host.curl(&[&format!("http://{address}/v2/fixed/app/manifests/v1")]);
    assert_eq!(hythe_tests::sha256_digest(&there.body), one.manifest_digest);
    push(&host, &server, &two, "small/app:2");
}

#[test]
fn retention_explains_itself_first() {
    let host = Host::new();
    let server = Server::start(&host);
    for tag in ["pr-1", "pr-2", "pr-3", "v1"] {
        push(
            &host,
            &server,
            &image_of(tag.as_bytes()),
            &format!("ci/app:{tag}"),
        );
    }
    let rule = r#"[{ repositories = "ci/**", tags = "pr-*", keep_last = 1 }]"#;
    let rules = [("HYTHE_RETENTION", rule)];
    let none = registry(&server, &[], &["retention", "--dry-run"]).ok();
    assert_eq!(none.text(), "0 tags to remove, 0 tags to keep");
    let told = registry(&server, &rules, &["retention", "--dry-run"]).ok();
    let expected = [
        "keep ci/app:pr-3: number 1 of the last 1 of pr-*",
        "remove ci/app:pr-2: number 2 of pr-*, 1 are kept",
        "remove ci/app:pr-1: number 3 of pr-*, 1 are kept",
        "2 tags to remove, 1 tag to keep",
    ];
    assert_eq!(told.lines(), expected);
    let collection = registry(&server, &rules, &["gc", "--dry-run"]).ok();
    assert!(
        collection.text().contains("tag ci/app:pr-2: number 2"),
        "{collection:?}"
    );
    let removed = registry(&server, &rules, &["gc"]).ok();
    assert!(removed.text().contains("2 tags"), "{removed:?}");
    let tags = || host.curl(&[&server.url("/v2/ci/app/tags/list")]).json()["tags"].clone();
    eventually("they are gone", SHORT, || {
        (tags() == serde_json::json!(["pr-3", "v1"])).then_some(())
    });
}
