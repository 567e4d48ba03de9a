//! What a restart finds after a crash or a power loss.

use super::*;

#[tokio::test]
async fn wrecks_of_a_crash_are_cleared_at_the_start() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    Built::of(&[layer_tar("a", b"a"), layer_tar("b", b"b")]).push_to(&registry, "app", "1");
    let id = ground.pull(&registry, "app:1").await.unwrap().id;
    let root = ground.dir.path().join("image");
    for wreck in [
        "unpacking/half/diff/usr",
        "removing/half/diff/usr",
        &format!("snapshots/{}/upper", ContainerId::random()),
        &format!("layers/sha256/{}/diff", "0".repeat(64)),
    ] {
        std::fs::create_dir_all(root.join(wreck)).unwrap();
    }
    std::fs::write(root.join("blobs/sha256").join("1".repeat(64)), "orphan").unwrap();
    std::fs::write(root.join("catalog/.catalog.json.1-1.tmp"), "half").unwrap();
    let ground = ground.reopen().await;
    assert_eq!(ground.remains(), (4, 2, 0));
    assert_eq!(
        std::fs::read_dir(root.join("snapshots")).unwrap().count(),
        0
    );
    assert!(ground.store.get(&id).is_ok());

    // A layer lost with the power takes the image along, and the next pull brings both back.
    let lost = DiffId(Digest::of(&layer_tar("b", b"b")));
    std::fs::remove_dir_all(root.join("layers/sha256").join(lost.0.hex())).unwrap();
    let ground = ground.reopen().await;
    assert!(matches!(
        ground.store.get(&id),
        Err(ImageError::NotFound(_))
    ));
    assert_eq!(ground.remains(), (0, 0, 0));
    ground.pull(&registry, "app:1").await.unwrap();
    assert!(ground.store.get(&id).is_ok());
}

#[tokio::test]
async fn a_power_loss_takes_only_what_was_not_written_yet() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    for name in ["settled", "unsettled"] {
        Built::of(&[layer_tar(name, b"x")]).push_to(&registry, name, "1");
        ground.pull(&registry, &format!("{name}:1")).await.unwrap();
    }
    ground.store.0.settle().await.unwrap();
    let name = format!("{}/unsettled:1", registry.host);
    let id = ground.store.resolve(&name).unwrap().id;
    let marked = async |ground: &Ground, boot: String| {
        let change = |catalog: &mut catalog::Catalog| {
            catalog.images.get_mut(&id).unwrap().unsettled_boot = Some(boot);
            Ok(())
        };
        ground.store.0.catalog.update(change).await.unwrap();
    };
    // Killed in the same boot: nothing is lost, and a container waits until it is written.
    marked(&ground, settle::boot_id().unwrap()).await;
    let ground = ground.reopen().await;
    assert_eq!(ground.store.list().unwrap().len(), 2);
    let container = ContainerId::random();
    ground.snapshot(&container, &id).await;
    let catalog = ground.store.0.catalog.current();
    assert!(
        catalog
            .images
            .values()
            .all(|image| image.unsettled_boot.is_none())
    );

    marked(&ground, "another boot".to_owned()).await;
    let ground = ground.reopen().await;
    assert_eq!(ground.store.list().unwrap().len(), 1);
    assert!(ground.store.get(&id).is_err());
}
