//! What a push sends.

use super::*;

#[tokio::test]
async fn a_push_sends_what_is_missing_and_the_very_same_manifest() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    let digest =
        Built::of(&[layer_tar("a", b"a"), layer_tar("b", b"b")]).push_to(&registry, "app", "1");
    let id = ground.pull(&registry, "app:1").await.unwrap().id;
    let push = async |target: &ImageReference| {
        ground.store.tag(&id, target).await.unwrap();
        let silent = ProgressSender::silent();
        ground
            .store
            .push(target, Credentials::None, silent)
            .await
            .unwrap()
    };
    // The same registry takes the blobs over.
    let copy = reference(&registry, "copy:2");
    assert_eq!(push(&copy).await.digest.0, digest);
    let shelf = &registry.shelf;
    let (n_mounts, n_uploads) = (
        shelf.n_mounts.load(Ordering::Relaxed),
        shelf.n_uploads.load(Ordering::Relaxed),
    );
    assert_eq!((n_mounts, n_uploads), (3, 0));
    let pushed = shelf.manifests.lock().unwrap()["copy:2"].clone();
    assert_eq!(pushed, shelf.manifests.lock().unwrap()["app:1"]);

    // Another one is sent them, once.
    let other = Registry::start().await;
    let target = reference(&other, "app:1");
    assert_eq!(push(&target).await.digest.0, digest);
    assert_eq!(other.shelf.n_uploads.load(Ordering::Relaxed), 3);
    push(&target).await;
    assert_eq!(other.shelf.n_uploads.load(Ordering::Relaxed), 3);
    let back = Ground::new().await;
    assert_eq!(back.pull(&other, "app:1").await.unwrap().id, id);
    let unknown = reference(&other, "no:1");
    let unknown = ground
        .store
        .push(&unknown, Credentials::None, ProgressSender::silent());
    assert!(matches!(unknown.await, Err(ImageError::NoTag(_))));
}
