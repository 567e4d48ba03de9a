//! Names, and what goes with the last of them.

use super::*;

#[tokio::test]
async fn the_last_name_takes_the_image_along_and_leaves_what_others_need() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    let (base, top) = (layer_tar("base", b"b"), layer_tar("top", b"t"));
    Built::of(std::slice::from_ref(&base)).push_to(&registry, "base", "1");
    Built::of(&[base, top]).push_to(&registry, "app", "1");
    let base_id = ground.pull(&registry, "base:1").await.unwrap().id;
    let app_id = ground.pull(&registry, "app:1").await.unwrap().id;
    assert_eq!(ground.remains(), (6, 2, 0));
    let other = ImageReference::parse("other:2", "docker.io").unwrap();
    ground.store.tag(&app_id, &other).await.unwrap();

    let by_id = ground.remove(app_id.0.hex(), false).await.unwrap_err();
    assert!(by_id.to_string().contains("must be forced"), "{by_id}");
    let app = format!("{}/app:1", registry.host);
    let removed = ground.remove(&app, false).await.unwrap();
    let untagged = |removed: &[Removed]| {
        removed
            .iter()
            .filter(|removed| matches!(removed, Removed::Untagged(_)))
            .count()
    };
    // The tag, and the digest that nothing in the repository explains any more.
    assert_eq!((removed.len(), untagged(&removed)), (2, 2));
    let removed = ground.remove("other:2", false).await.unwrap();
    assert_eq!(removed[0], Removed::Untagged("other:2".to_owned()));
    assert_eq!(removed[1], Removed::Deleted(app_id.0));
    assert_eq!(removed.len(), 3);
    assert_eq!(ground.remains(), (3, 1, 0));
    assert_eq!(ground.store.list().unwrap().len(), 1);
    ground.remove(&base_id.0.hex()[..12], false).await.unwrap();
    assert_eq!(ground.remains(), (0, 0, 0));
}

#[tokio::test]
async fn containers_keep_their_image() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    Built::of(&[layer_tar("a", b"a")]).push_to(&registry, "app", "1");
    let id = ground.pull(&registry, "app:1").await.unwrap().id;
    let container = ContainerId::random();
    let snapshot = ground.snapshot(&container, &id).await;
    std::fs::write(snapshot.upper.join("written"), "x").unwrap();
    let remove = |is_running, force| {
        let request = RemoveRequest {
            target: format!("{}/app:1", registry.host),
            force,
            keep_parents: false,
            uses: vec![Use {
                image: id.clone(),
                container: container.clone(),
                is_running,
            }],
        };
        ground.store.remove(request)
    };
    let refused = remove(false, false).await.unwrap_err().to_string();
    assert!(
        refused.contains("must force") && refused.contains(container.short()),
        "{refused}"
    );
    // Forced from under a running container it only loses its names.
    assert_eq!(remove(true, true).await.unwrap().len(), 2);
    assert!(ground.store.get(&id).unwrap().tags.is_empty());
    let request = RemoveRequest {
        target: id.to_string(),
        force: true,
        keep_parents: false,
        uses: Vec::new(),
    };
    ground.store.remove(request).await.unwrap();
    assert_eq!(ground.remains().1, 1, "the layer stays for the container");

    let ground = ground.reopen().await;
    assert_eq!(ground.store.snapshot(&container).unwrap(), snapshot);
    assert_eq!(std::fs::read(snapshot.lower[0].join("a")).unwrap(), b"a");
    assert_eq!(std::fs::read(snapshot.upper.join("written")).unwrap(), b"x");
    ground.store.remove_snapshot(&container).await.unwrap();
    ground.store.remove_snapshot(&container).await.unwrap();
    assert!(ground.store.snapshot(&container).is_err());
    assert_eq!(ground.remains(), (0, 0, 0));
}

#[tokio::test]
async fn names_and_ids_are_told_apart() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    Built::of(&[layer_tar("a", b"a")]).push_to(&registry, "app", "1");
    let id = ground.pull(&registry, "app:1").await.unwrap().id;
    let tag = async |name: &str| {
        let reference = ground.store.parse_reference(name).unwrap();
        ground.store.tag(&id, &reference).await
    };
    tag("short").await.unwrap();
    for known in [
        "short",
        "short:latest",
        "docker.io/library/short",
        "library/short",
    ] {
        assert_eq!(ground.store.resolve(known).unwrap().id, id, "{known}");
    }
    for unknown in ["short:2", "other", "sha256:ffffffff", &"f".repeat(64), "zz"] {
        let found = ground.store.resolve(unknown);
        assert!(matches!(found, Err(ImageError::NotFound(_))), "{unknown}");
    }
    let found = ground.store.resolve("Not A Name");
    assert!(matches!(found, Err(ImageError::InvalidReference(_))));
    let by_digest = format!("short@{}", id.0);
    assert!(matches!(
        tag(&by_digest).await,
        Err(ImageError::TagWithDigest)
    ));
    let nobody = ImageId(Digest::of(b"nobody"));
    let reference = ground.store.parse_reference("x").unwrap();
    assert!(ground.store.tag(&nobody, &reference).await.is_err());
}
