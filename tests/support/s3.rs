//! A real S3 server on a host of the test: it checks signatures, and keeps objects in a folder.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::{CommandExt as _, Host, SHORT, eventually};

const BUCKET: &str = "registry";

/// A running S3 server; its objects outlive a [`S3::stop`].
#[derive(Debug)]
pub struct S3<'host> {
    host: &'host Host,
    directory: TempDir,
    port: u16,
    process: Option<Child>,
}

impl<'host> S3<'host> {
    /// Starts one with an empty bucket.
    pub fn start(host: &'host Host) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        std::fs::create_dir(directory.path().join(BUCKET)).expect("a bucket");
        let mut server = Self {
            host,
            directory,
            port: 9000,
            process: None,
        };
        server.resume();
        server
    }

    /// Where the registry finds it.
    pub fn url(&self) -> String {
        format!("s3://{BUCKET}/of/tests")
    }

    /// `127.0.0.1:9000`, for what stands before it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The settings that the registry needs to speak to it at `address`.
    pub fn environment(&self, address: &str) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT", format!("http://{address}")),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// The files that hold finished objects, for whoever wants to spoil them.
    pub fn objects(&self) -> Vec<PathBuf> {
        let listing = Command::new("find")
            .arg(self.directory.path().join(BUCKET))
            .args(["-type", "f", "-path", "*/blobs/*"])
            .finish()
            .ok();
        listing.lines().into_iter().map(PathBuf::from).collect()
    }

    /// How many parts of unfinished uploads it keeps.
    pub fn parts(&self) -> usize {
        let entries = std::fs::read_dir(self.directory.path()).expect("the folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with(".upload_id-"))
            .count()
    }

    /// Starts it again over the same objects.
    pub fn resume(&mut self) {
        let child = self
            .host
            .command("s3s-fs")
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--access-key", "key", "--secret-key", "secret"])
            .arg(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("s3s-fs starts; tests/run installs it");
        self.process = Some(child);
        eventually("the S3 server answers", SHORT, || {
            let probe = self
                .host
                .command("curl")
                .args(["--silent", "--noproxy", "*", "--output", "/dev/null"])
                .arg(format!("http://{}", self.address()))
                .status();
            probe.is_ok_and(|status| status.success()).then_some(())
        });
    }

    /// Ends it as a machine that goes away does.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it can be killed");
            process.wait().expect("it can be waited for");
        }
    }
}

impl Drop for S3<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}
