//! "Content Discovery": tags and the catalogue, page by page.

use hythe_tests::Host;
use serde_json::json;

use super::registry::Registry;

/// "Upon success, the response MUST be a json body"; "tags … MUST be in lexical order"; "`n` … the
/// number of entries … MUST NOT be more than"; "`last` … begin after".
#[test]
fn tags_come_in_order_and_in_pages() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let image = registry.image("x");
    for tag in ["b", "a", "d", "c", "A", "10", "9"] {
        assert_eq!(registry.put_manifest(tag, &image).status, 201);
    }
    let all = registry.get("tags/list");
    let order = json!(["10", "9", "A", "a", "b", "c", "d"]);
    assert_eq!(
        all.json(),
        json!({"name": registry.repository, "tags": order})
    );

    let mut seen = Vec::new();
    let mut path = "tags/list?n=3".to_owned();
    loop {
        let page = registry.get(&path);
        let tags = page.json()["tags"].as_array().expect("a list").clone();
        assert!(tags.len() <= 3);
        seen.extend(tags);
        let Some(link) = page.headers.get("link") else {
            break;
        };
        assert!(link.ends_with(">; rel=\"next\""), "{link}");
        path = link[1..link.find('>').expect("a target")].to_owned();
    }
    assert_eq!(json!(seen), order);
    assert_eq!(
        registry.get("tags/list?last=A&n=2").json()["tags"],
        json!(["a", "b"])
    );
    assert_eq!(
        registry.get("tags/list?last=unknown").json()["tags"],
        json!([])
    );
    assert_eq!(registry.get("tags/list?n=0").json()["tags"], json!([]));
}

/// A repository that is not there has no tags.
#[test]
fn an_unknown_repository_has_no_tags() {
    let host = Host::new();
    let registry = Registry::start(&host);
    let answer = registry.get("/v2/no/such/repository/tags/list");
    assert_eq!(answer.status, 404, "{answer:?}");
    assert_eq!(answer.json()["errors"][0]["code"], "NAME_UNKNOWN");
    let bad = registry.get("tags/list?n=minus");
    assert_eq!(bad.status, 400, "{bad:?}");
}

/// Docker's `_catalog`, which clients still ask.
#[test]
fn the_catalogue_lists_repositories() {
    let host = Host::new();
    let registry = Registry::start(&host);
    registry.push_image("x");
    let mut path = "/v2/_catalog?n=1".to_owned();
    for _ in 0..10_000 {
        let page = registry.get(&path);
        assert_eq!(page.status, 200, "{page:?}");
        let names = page.json()["repositories"].clone();
        if names
            .as_array()
            .expect("a list")
            .contains(&json!(registry.repository))
        {
            return;
        }
        let link = page.headers.get("link").expect("ours is on a later page");
        path = link[1..link.find('>').expect("a target")].to_owned();
    }
    panic!("the catalogue has no end");
}
