//! `push`.

use super::*;

#[test]
fn pushes_send_what_is_missing_only() {
    let host = Host::new();
    let server = Server::start(&host);
    let layout = child();
    let image = push(&host, &server, &layout, "team/child:1");
    let agent = Agent::start(&host);
    let docker = |words: &[&str]| agent.docker(words).finish();
    let hythe = |words: &[&str]| agent.hythe(words).finish();
    let [shared, own] = [0, 1].map(|n| short(&layout.layer_digests()[n]).to_owned());
    docker(&["pull", "-q", &image]).ok();

    // To where it is, to where it is not, and to another registry, which has nothing of it.
    let said = docker(&["push", &image]).ok();
    let refers = format!(
        "The push refers to repository [{}/team/child]",
        server.address()
    );
    for line in [
        refers.clone(),
        format!("{shared}: Layer already exists"),
        format!("{own}: Layer already exists"),
    ] {
        assert!(said.lines().contains(&line), "{line}: {said:?}");
    }
    let last = said.lines().pop().expect("a last line");
    let expected = format!("1: digest: {} size: ", layout.manifest_digest);
    assert!(last.starts_with(&expected), "{last}");
    let mounted = format!("{}/elsewhere/child:1", server.address());
    docker(&["tag", &image, &mounted]).ok();
    let said = docker(&["push", &mounted]).ok();
    assert!(said.text().contains("Mounted from"), "{said:?}");
    assert!(said.text().contains(&layout.manifest_digest), "{said:?}");

    let second = Server::start_at(&host, 5001, &[]);
    let there = format!("{}/child", second.address());
    for tag in ["1", "2", "latest"] {
        docker(&["tag", &image, &format!("{there}:{tag}")]).ok();
    }
    let said = docker(&["push", &format!("{there}:1")]).ok();
    assert!(said.text().contains(&format!("{own}: Pushed")), "{said:?}");
    assert_eq!(
        docker(&["push", "-q", &there]).ok().text(),
        format!("{there}:latest")
    );
    let said = hythe(&["push", "-a", &there]).ok().text();
    for tag in ["1", "2", "latest"] {
        assert!(said.contains(&format!("{tag}: digest: ")), "{said}");
    }
    docker(&["push", "-a", &there]).ok();
    let tags = host.curl(&[&second.url("/v2/child/tags/list")]).json();
    assert_eq!(tags["tags"], json!(["1", "2", "latest"]));

    for (words, why) in [
        (
            &["push", "nosuch:1"][..],
            "An image does not exist locally with the tag: nosuch",
        ),
        (
            &["push", "-a", "nosuch"],
            "An image does not exist locally with the tag: nosuch",
        ),
    ] {
        docker(words).fails_with(1).fails_saying(why);
        hythe(words).fails_with(1).fails_saying(why);
    }
    docker(&["tag", &image, "127.0.0.1:1/x:1"]).ok();
    docker(&["push", "127.0.0.1:1/x:1"])
        .fails_with(1)
        .fails_saying("127.0.0.1:1");
}
