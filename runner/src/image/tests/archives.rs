//! Save and load, commit and import: what goes out comes in again, and others can read it.

use std::io::Read as _;
use std::process::Command;

use futures_util::TryStreamExt as _;

use super::*;
use crate::image::unpack::tests::describe;

async fn saved(store: &ImageStore, targets: &[&str]) -> Vec<u8> {
    let targets: Vec<String> = targets.iter().map(|&target| target.to_owned()).collect();
    let pieces: Vec<bytes::Bytes> = store.save(&targets).unwrap().try_collect().await.unwrap();
    pieces.concat()
}

async fn with_image(name: &str) -> (Ground, ImageId) {
    let (registry, ground) = (Registry::start().await, Ground::new().await);
    let base = layer_tar("base", &noise(7, 100_000));
    Built::of(&[base, layer_tar("top", b"t")]).push_to(&registry, "app", "1");
    let id = ground.pull(&registry, "app:1").await.unwrap().id;
    let reference = ground.store.parse_reference(name).unwrap();
    ground.store.tag(&id, &reference).await.unwrap();
    (ground, id)
}

fn skopeo(arguments: &[&str]) -> String {
    let output = Command::new("skopeo").args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_saved_is_loaded_with_the_same_ids() {
    let (ground, id) = with_image("team/app:2").await;
    let archive = saved(&ground.store, &["team/app:2", id.0.hex()]).await;
    let manifest = ground.store.get(&id).unwrap().manifests;

    let other = Ground::new().await;
    let packed = gzip(&archive);
    let loaded = other
        .store
        .load(std::io::Cursor::new(packed))
        .await
        .unwrap();
    let reference = other.store.parse_reference("team/app:2").unwrap();
    let expected = Loaded {
        id: id.clone(),
        names: vec![reference],
    };
    assert_eq!(loaded, [expected]);
    let image = other.store.resolve("team/app:2").unwrap();
    assert_eq!((image.id, image.manifests), (id.clone(), manifest));
    assert_eq!(other.remains(), (4, 2, 0));
    let lower = other.store.rootfs_layers(&id).unwrap();
    assert_eq!(std::fs::read(lower[0].join("top")).unwrap(), b"t");

    // skopeo reads it as both formats, and writes what we read.
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("ours.tar"), &archive).unwrap();
    let hex = id.0.hex();
    for (from, to) in [
        (
            format!("docker-archive:{}", path("ours.tar")),
            format!("docker-archive:{}:x/y:3", path("docker.tar")),
        ),
        (
            format!("oci-archive:{}", path("ours.tar")),
            format!("oci-archive:{}:x/y:3", path("oci.tar")),
        ),
    ] {
        skopeo(&["--insecure-policy", "copy", "--quiet", &from, &to]);
        let file = to.split(':').nth(1).unwrap().to_owned();
        let third = Ground::new().await;
        let loaded = third
            .store
            .load(std::fs::File::open(file).unwrap())
            .await
            .unwrap();
        assert_eq!(loaded[0].id.0.hex(), hex, "{to}");
        assert_eq!(third.store.resolve("x/y:3").unwrap().id, id, "{to}");
    }
}

#[tokio::test]
async fn archives_that_are_none_leave_nothing() {
    let (source, _) = with_image("app").await;
    let good = saved(&source.store, &["app"]).await;
    let mut entries = tar::Archive::new(good.as_slice());
    let mut lying = tar::Builder::new(Vec::new());
    for entry in entries.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if bytes.len() > 50_000 {
            bytes = gzip(&layer_tar("base", b"another"));
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        lying
            .append_data(&mut header, path, bytes.as_slice())
            .unwrap();
    }
    let lying = lying.into_inner().unwrap();
    let link = {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, "manifest.json", "/etc/passwd")
            .unwrap();
        tar.into_inner().unwrap()
    };
    for (case, archive, said) in [
        ("no tar", b"x".repeat(5000), "damaged"),
        ("another tar", layer_tar("a", b"x"), "neither"),
        ("cut", good[..good.len() / 2].to_vec(), "ends in the middle"),
        (
            "a manifest that is none",
            layer_tar("manifest.json", b"{"),
            "manifest.json",
        ),
        (
            "a layer that is not there",
            layer_tar("manifest.json", br#"[{"Config":"x","Layers":["y"]}]"#),
            "open",
        ),
        ("a link to the host", link, "open"),
        ("a layer that is another", lying, "DiffId"),
    ] {
        let ground = Ground::new().await;
        let error = ground
            .store
            .load(std::io::Cursor::new(archive))
            .await
            .unwrap_err();
        let text = chain(&error);
        assert!(
            text.contains(said) || text.contains("manifest.json"),
            "{case}: {text}"
        );
        assert!(ground.store.list().unwrap().is_empty(), "{case}");
        assert_eq!(ground.reopen().await.remains(), (0, 0, 0), "{case}");
    }
}

#[tokio::test]
async fn a_commit_is_what_the_container_saw() {
    let (ground, id) = with_image("app").await;
    let container = ContainerId::random();
    let snapshot = ground.snapshot(&container, &id).await;
    let script = r#"
        set -e; cd "$1"
        echo new > file; ln file hard; ln -s file soft; mkdir -p dir/sub; chown 5:6 dir; chmod 2750 dir
        mknod gone c 0 0; setfattr -n trusted.overlay.opaque -v y dir/sub; echo x > dir/sub/x
        setfattr -n user.k -v v file; mknod null c 1 3; touch -d '2001-01-01 00:00:00.5' dir/sub/x
        : > "$(printf 'n%.0s' $(seq 200))"; chown 2147483648 soft -h
        setfattr -n trusted.overlay.origin -v x dir
    "#;
    let status = Command::new("bash")
        .args(["-c", script, "x", snapshot.upper.to_str().unwrap()])
        .status()
        .unwrap();
    assert!(status.success());
    let described = Described {
        config: crate::spec::ContainerConfig {
            cmd: Some(vec!["new".to_owned()]),
            exposed_ports: vec!["80/tcp".parse().unwrap()],
            ..Default::default()
        },
        author: "me".to_owned(),
        comment: "why".to_owned(),
        created_by: "sh".to_owned(),
        name: Some(ground.store.parse_reference("committed").unwrap()),
        ..Described::default()
    };
    let new = ground.store.commit(&container, described).await.unwrap();
    let image = ground.store.resolve("committed").unwrap();
    assert_eq!((&image.id, image.diff_ids.len()), (&new, 3));
    assert_eq!(
        image.config.config.cmd.as_deref(),
        Some(&["new".to_owned()][..])
    );
    assert_eq!(image.config.history.last().unwrap().comment, "why");
    assert_eq!(ground.store.history(&new).unwrap()[0].created_by, "sh");
    let top = ground.store.rootfs_layers(&new).unwrap().remove(0);
    let mut expected = describe(&snapshot.upper);
    // Overlayfs' own notes are no content.
    let dir = expected.get_mut(Path::new("dir")).unwrap();
    assert!(dir.contains("trusted.overlay.origin"));
    *dir = dir.replace(r#""trusted.overlay.origin=\"x\"""#, "");
    let mut seen = describe(&top);
    // Its whiteout has the time of the unpacking.
    let (ours, theirs) = (
        seen.remove(Path::new("gone")),
        expected.remove(Path::new("gone")),
    );
    assert!(ours.unwrap().contains("device 0") && theirs.unwrap().contains("device 0"));
    assert_eq!(seen, expected);
    ground.store.remove_snapshot(&container).await.unwrap();
    the_base_goes_with_its_child(&ground, &id).await;
}

/// The base loses its names only, and goes with the image that was made on it.
async fn the_base_goes_with_its_child(ground: &Ground, id: &ImageId) {
    let refused = ground.remove(&id.to_string(), true).await.unwrap_err();
    assert!(
        refused.to_string().contains("dependent child images"),
        "{refused}"
    );
    for name in ground.store.get(id).unwrap().tags {
        ground.remove(&name.to_string(), false).await.unwrap();
    }
    assert_eq!(ground.remains().1, 3);
    assert!(ground.store.get(id).is_ok());
    ground.remove("committed", false).await.unwrap();
    assert_eq!(ground.remains(), (0, 0, 0));
}

#[tokio::test]
async fn an_import_is_one_layer() {
    let ground = Ground::new().await;
    let request = ImportRequest {
        described: Described {
            comment: "from a tar".to_owned(),
            name: Some(ground.store.parse_reference("imported:1").unwrap()),
            ..Described::default()
        },
        platform: hythe_oci::Platform::parse("linux/arm64"),
    };
    let tar = gzip(&layer_tar("etc/motd", b"hello"));
    let id = ground
        .store
        .import(std::io::Cursor::new(tar), request)
        .await
        .unwrap();
    let image = ground.store.resolve("imported:1").unwrap();
    assert_eq!((&image.id, image.size_bytes), (&id, 5));
    assert_eq!(image.config.platform.architecture, "arm64");
    let lower = ground.store.rootfs_layers(&id).unwrap();
    assert_eq!(std::fs::read(lower[0].join("etc/motd")).unwrap(), b"hello");
}
