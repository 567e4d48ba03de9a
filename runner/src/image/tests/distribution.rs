//! The same against the registry that everybody runs (distribution), with skopeo as the witness.

use std::process::{Child, Command, Stdio};

use super::*;

struct Distribution {
    process: Child,
    host: String,
}

impl Drop for Distribution {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Distribution {
    async fn start(dir: &Path) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let host = free.local_addr().unwrap().to_string();
        drop(free);
        let config = dir.join("registry.yml");
        let data = dir.join("registry");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n",
            data.display()
        );
        std::fs::write(&config, text).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while tokio::net::TcpStream::connect(&host).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        Self { process, host }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_through_distribution_comes_back_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, ground) = (Registry::start().await, Ground::new().await);
    let distribution = Distribution::start(dir.path()).await;
    let layers = [layer_tar("a", &noise(5, 3 << 20)), layer_tar("b", b"b")];
    let digest = Built::of(&layers).push_to(&ours, "app", "1");
    let id = ground.pull(&ours, "app:1").await.unwrap().id;

    let target = format!("{}/team/app:1", distribution.host);
    let reference = ground.store.parse_reference(&target).unwrap();
    ground.store.tag(&id, &reference).await.unwrap();
    let silent = ProgressSender::silent();
    let pushed = ground
        .store
        .push(&reference, Credentials::None, silent)
        .await
        .unwrap();
    assert_eq!(pushed.digest.0, digest);

    let seen = Command::new("skopeo")
        .args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}"])
        .arg(format!("docker://{target}"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&seen.stdout).trim(),
        digest.to_string()
    );

    let back = Ground::new().await;
    let request = PullRequest {
        reference,
        platform: None,
        credentials: Credentials::None,
    };
    let pulled = back
        .store
        .pull(request, ProgressSender::silent())
        .await
        .unwrap();
    assert_eq!((pulled.id, pulled.digest.0), (id, digest));
    assert_eq!(back.store.list().unwrap()[0].size_bytes, (3 << 20) + 1);
}
