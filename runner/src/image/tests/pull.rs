//! What arrives, and what stays behind when something goes wrong.

use super::*;

#[tokio::test]
async fn an_image_arrives_whole_and_is_still_there_after_a_restart() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    let layers = [layer_tar("a", b"one"), layer_tar("b", &noise(1, 300_000))];
    let digest = Built::of(&layers).push_to(&registry, "team/app", "1");
    let (sender, news) = ProgressSender::channel();
    let request = PullRequest {
        reference: reference(&registry, "team/app:1"),
        platform: None,
        credentials: Credentials::None,
    };
    let pulled = ground.store.pull(request, sender).await.unwrap();
    assert_eq!((&pulled.digest.0, pulled.up_to_date), (&digest, false));
    let news = drain(news);
    let steps = |layer: &[u8]| -> Vec<_> {
        let wanted = Digest::of(&gzip(layer));
        let of_layer = |progress: &Progress| match progress {
            Progress::Layer { layer, step } if *layer == wanted && step.is_milestone() => {
                Some(*step)
            }
            _ => None,
        };
        news.iter().filter_map(of_layer).collect()
    };
    for layer in &layers {
        assert_eq!(steps(layer), WHOLE_STORY);
    }
    assert!(
        ground
            .pull(&registry, "team/app:1")
            .await
            .unwrap()
            .up_to_date
    );

    let ground = ground.reopen().await;
    let image = ground
        .store
        .resolve(&format!("{}/team/app:1", registry.host))
        .unwrap();
    assert_eq!((image.id, image.size_bytes), (pulled.id.clone(), 300_003));
    assert_eq!((image.tags.len(), image.digests.len()), (1, 1));
    let lower = ground.store.rootfs_layers(&pulled.id).unwrap();
    assert_eq!(std::fs::read(lower[0].join("b")).unwrap().len(), 300_000);
    assert_eq!(std::fs::read(lower[1].join("a")).unwrap(), b"one");
    let history = ground.store.history(&pulled.id).unwrap();
    let sizes: Vec<_> = history.iter().map(|entry| entry.size_bytes).collect();
    assert_eq!(sizes, [0, 300_000, 3]);
    assert_eq!(ground.remains(), (4, 2, 0));
    for text in [
        &pulled.id.to_string(),
        pulled.id.0.hex(),
        &pulled.id.0.hex()[..5],
    ] {
        assert_eq!(ground.store.resolve(text).unwrap().id, pulled.id, "{text}");
    }
}

#[tokio::test]
async fn nothing_stays_of_an_image_that_is_wrong() {
    let registry = Registry::start().await;
    let lie = Built {
        wrong_diff_id: true,
        ..Built::of(&[layer_tar("a", b"x")])
    };
    lie.push_to(&registry, "wrong/diff-id", "1");
    Built::of(&[layer_tar("a", b"y")]).push_to(&registry, "wrong/blob", "1");
    let layer = Digest::of(&gzip(&layer_tar("a", b"y")));
    let mut corrupt = gzip(&layer_tar("a", b"y"));
    let last = corrupt.len() - 1;
    corrupt[last] ^= 1;
    registry
        .shelf
        .blobs
        .lock()
        .unwrap()
        .insert(layer.clone(), corrupt.into());
    Built::of(&[b"no tar".repeat(200)]).push_to(&registry, "wrong/tar", "1");
    let mut escape = layer_tar("xx/escape", b"x");
    escape[..2].copy_from_slice(b"..");
    let mut header = tar::Header::from_byte_slice(&escape[..512]).clone();
    header.set_cksum();
    escape[..512].copy_from_slice(header.as_bytes());
    Built::of(&[escape]).push_to(&registry, "wrong/escape", "1");
    for (name, said) in [
        ("wrong/diff-id:1", "DiffId"),
        ("wrong/blob:1", "expected sha256:"),
        ("wrong/tar:1", "damaged"),
        ("wrong/escape:1", "points outside"),
    ] {
        let ground = Ground::new().await;
        let error = chain(&ground.pull(&registry, name).await.unwrap_err());
        assert!(
            error.starts_with("layer sha256:") && error.contains(said),
            "{name}: {error}"
        );
        assert!(ground.store.list().unwrap().is_empty());
        let (_, n_layers, n_unfinished) = ground.remains();
        assert_eq!((n_layers, n_unfinished), (0, 0), "{name}");
        assert_eq!(ground.reopen().await.remains(), (0, 0, 0), "{name}");
    }
}

#[tokio::test]
async fn what_is_no_image_is_refused() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    let chart = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"{}","size":2}},"layers":[]}}"#,
        media_type::OCI_MANIFEST,
        Digest::of(b"{}")
    );
    registry.put_manifest("chart", "1", media_type::OCI_MANIFEST, chart);
    let error = chain(&ground.pull(&registry, "chart:1").await.unwrap_err());
    assert!(error.contains("no container image"), "{error}");
    let error = ground.pull(&registry, "nothing:1").await.unwrap_err();
    assert!(matches!(error, ImageError::Registry { .. }));
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#,
        media_type::OCI_INDEX
    );
    registry.put_manifest("empty", "1", media_type::OCI_INDEX, index);
    let error = ground.pull(&registry, "empty:1").await.unwrap_err();
    assert!(matches!(error, ImageError::NoMatchingPlatform { .. }));
    assert_eq!(ground.remains(), (0, 0, 0));
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_was() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    let layer = layer_tar("a", &noise(2, 1 << 20));
    Built::of(std::slice::from_ref(&layer)).push_to(&registry, "cut", "1");
    registry
        .shelf
        .cut_after_bytes
        .store(300_000, Ordering::Relaxed);
    ground.pull(&registry, "cut:1").await.unwrap();
    let sent_bytes = registry.shelf.n_sent_bytes.load(Ordering::Relaxed);
    let size_bytes = gzip(&layer).len() as u64;
    assert!(
        sent_bytes < size_bytes + size_bytes / 10,
        "{sent_bytes} of {size_bytes}"
    );
    assert!(registry.shelf.n_downloads.load(Ordering::Relaxed) > 3);
}

#[tokio::test]
async fn pulls_of_one_layer_share_its_download() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    let layers = [layer_tar("a", &noise(3, 1 << 20))];
    for (tag, comment) in [("1", "one"), ("2", "two"), ("3", "three")] {
        let built = Built {
            comment,
            ..Built::of(&layers)
        };
        built.push_to(&registry, "shared", tag);
    }
    registry.shelf.delay_ms.store(2, Ordering::Relaxed);
    let (one, two, three) = tokio::join!(
        ground.pull(&registry, "shared:1"),
        ground.pull(&registry, "shared:2"),
        ground.pull(&registry, "shared:3"),
    );
    let ids = [one.unwrap().id, two.unwrap().id, three.unwrap().id];
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    // Three configs and one layer.
    assert_eq!(registry.shelf.n_downloads.load(Ordering::Relaxed), 4);
    assert_eq!(ground.remains(), (3 + 3 + 1, 1, 0));
}

#[tokio::test]
async fn a_pull_that_nobody_waits_for_stops_and_the_next_goes_on() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    let layer = layer_tar("a", &noise(4, 2 << 20));
    Built::of(std::slice::from_ref(&layer)).push_to(&registry, "slow", "1");
    registry.shelf.delay_ms.store(5, Ordering::Relaxed);
    {
        let pull = ground.pull(&registry, "slow:1");
        tokio::pin!(pull);
        let far_enough = async {
            while registry.shelf.n_sent_bytes.load(Ordering::Relaxed) < 1 << 20 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = &mut pull => panic!("it was to be slow"),
            () = far_enough => {}
        }
    }
    assert_eq!(ground.remains().1, 0);
    registry.shelf.delay_ms.store(0, Ordering::Relaxed);
    ground.pull(&registry, "slow:1").await.unwrap();
    let sent_bytes = registry.shelf.n_sent_bytes.load(Ordering::Relaxed);
    assert!(sent_bytes < 4 << 20, "{sent_bytes} bytes sent");
    assert_eq!(ground.remains(), (3, 1, 0));
}

#[tokio::test]
async fn the_index_has_one_for_this_machine() {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    let mut entries = Vec::new();
    for architecture in ["riscv64", "amd64", "arm64"] {
        let built = Built {
            comment: architecture,
            ..Built::of(&[layer_tar(architecture, b"x")])
        };
        let digest = built.push_to(&registry, "multi", architecture);
        let (_, manifest) =
            registry.shelf.manifests.lock().unwrap()[&format!("multi:{architecture}")].clone();
        entries.push(format!(
            r#"{{"mediaType":"{}","digest":"{digest}","size":{},"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#,
            media_type::OCI_MANIFEST,
            manifest.len()
        ));
    }
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#,
        media_type::OCI_INDEX,
        entries.join(",")
    );
    let digest = registry.put_manifest("multi", "latest", media_type::OCI_INDEX, index);
    let pulled = ground.pull(&registry, "multi").await.unwrap();
    assert_eq!(pulled.digest.0, digest);
    let host = hythe_oci::Platform::host().architecture;
    assert_eq!(ground.store.get(&pulled.id).unwrap().config.comment, host);
    let wanted = PullRequest {
        reference: reference(&registry, "multi"),
        platform: hythe_oci::Platform::parse("linux/riscv64"),
        credentials: Credentials::None,
    };
    let other = ground
        .store
        .pull(wanted, ProgressSender::silent())
        .await
        .unwrap();
    assert_eq!(
        ground.store.get(&other.id).unwrap().config.comment,
        "riscv64"
    );
    // The name moved on; the first image lies there without one.
    assert!(ground.store.get(&pulled.id).unwrap().tags.is_empty());
}

#[tokio::test]
async fn whoever_waited_for_a_download_leaves_the_blob_alone() {
    let ground = Ground::new().await;
    let content = &ground.store.0.content;
    let digest = Digest::of(b"blob");
    let first = content.ingest(&digest, 4).unwrap();
    let waiting = {
        let (content, digest) = (content.clone(), digest.clone());
        // A manifest that lies about the size would have what is there cut off.
        std::thread::spawn(move || content.ingest(&digest, 1).unwrap().offset_bytes)
    };
    std::io::Write::write_all(&mut &first.file, b"blob").unwrap();
    content.publish(&digest).unwrap();
    drop(first);
    assert_eq!(waiting.join().unwrap(), 0);
    assert_eq!(content.read_document(&digest).unwrap(), b"blob");
}
