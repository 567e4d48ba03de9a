//! Object stores of a test's own: a real S3 server over a folder, and Azure's
//! emulator in memory. Gone with the test.
//!
//! Google's has no emulator that speaks the protocol `object_store` uses there.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use object_store::azure::{AzureAccessKey, AzureAuthorizer, AzureCredential};
use object_store::client::{HttpRequest, HttpRequestBody};
use tempfile::TempDir;

use super::{Keep, storage_config};
use crate::config::{Secret, StorageConfig};

/// The bucket or container of every store here.
const BUCKET: &str = "registry";
/// The account that the emulator is born with; its key is in its manual.
const AZURE_ACCOUNT: &str = "devstoreaccount1";
const AZURE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running emulator.
#[derive(Debug)]
pub(crate) struct Emulator {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Emulator {
    /// Where the S3 server keeps its objects, and the parts of uploads.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// An S3 server; `None` where none is installed.
pub(crate) fn s3() -> Option<(StorageConfig, Keep)> {
    let emulator = start("s3s-fs", |port, folder| {
        std::fs::create_dir(folder.join(BUCKET)).unwrap();
        let mut arguments = vec!["--host".to_owned(), "127.0.0.1".to_owned()];
        arguments.extend(["--port".to_owned(), port.to_string()]);
        arguments.extend(["--access-key", "key", "--secret-key", "secret"].map(str::to_owned));
        arguments.push(folder.display().to_string());
        arguments
    })?;
    let endpoint = format!("http://127.0.0.1:{}", emulator.port);
    let options = [
        ("aws_endpoint", endpoint.as_str()),
        ("aws_allow_http", "true"),
        ("aws_region", "us-east-1"),
        ("aws_access_key_id", "key"),
        ("aws_secret_access_key", "secret"),
    ];
    Some(store("s3", &options, emulator))
}

/// Azure's emulator; `None` where it is not installed.
pub(crate) fn azure() -> Option<(StorageConfig, Keep)> {
    let emulator = start("azurite-blob", |port, _| {
        let port = port.to_string();
        [
            "--inMemoryPersistence",
            "--silent",
            "--skipApiVersionCheck",
            "--blobPort",
            &port,
        ]
        .map(str::to_owned)
        .to_vec()
    })?;
    let endpoint = format!("http://127.0.0.1:{}/{AZURE_ACCOUNT}", emulator.port);
    let mut make = HttpRequest::new(HttpRequestBody::empty());
    *make.method_mut() = http::Method::PUT;
    *make.uri_mut() = format!("{endpoint}/{BUCKET}?restype=container")
        .parse()
        .unwrap();
    make.headers_mut()
        .insert("content-length", "0".parse().unwrap());
    let key = AzureCredential::AccessKey(AzureAccessKey::try_new(AZURE_KEY).unwrap());
    let authorizer = AzureAuthorizer::new(&key, AZURE_ACCOUNT);
    authorizer.try_authorize(&mut make).unwrap();
    let mut head = String::new();
    for (name, value) in make.headers() {
        head += &[name.as_str(), ": ", value.to_str().unwrap(), "\r\n"].concat();
    }
    let path = make.uri().path_and_query().unwrap();
    ask(&emulator, &format!("PUT {path} HTTP/1.1\r\n{head}"));
    let options = [
        ("azure_storage_account_name", AZURE_ACCOUNT),
        ("azure_storage_account_key", AZURE_KEY),
        ("azure_storage_endpoint", endpoint.as_str()),
        ("azure_allow_http", "true"),
    ];
    Some(store("az", &options, emulator))
}

fn store(scheme: &str, options: &[(&str, &str)], emulator: Emulator) -> (StorageConfig, Keep) {
    let mut config = storage_config(&format!("{scheme}://{BUCKET}/under/here"));
    for (name, value) in options {
        config
            .options
            .insert((*name).to_owned(), Secret::new(*value));
    }
    let keep = Keep {
        emulator: Some(std::sync::Arc::new(emulator)),
        ..Keep::default()
    };
    (config, keep)
}

/// Starts a program that serves on a port, and waits until it does.
fn start(
    program: &str,
    arguments: impl Fn(u16, &std::path::Path) -> Vec<String>,
) -> Option<Emulator> {
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let spawned = Command::new(program)
        .args(arguments(port, folder.path()))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("{program} is not installed here; not tested on it");
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    let emulator = Emulator {
        child,
        port,
        folder,
    };
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "{program} does not start"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(emulator)
}

/// One request, which must succeed.
fn ask(emulator: &Emulator, head: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", emulator.port)).unwrap();
    let port = emulator.port;
    let rest = format!("host: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n");
    stream
        .write_all(format!("{head}{rest}").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap_or_default();
    assert!(status.starts_with('2'), "{answer}");
}
