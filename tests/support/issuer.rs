//! An OpenID Connect issuer on a host of the test, as a CI platform has one: it publishes its keys
//! and signs what jobs are.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::faults::{read_head, serve_on};
use crate::{CommandExt as _, Host};

/// What its key is called.
const KEY: &str = "1";

/// An issuer that answers until the test's process ends.
#[derive(Debug)]
pub struct Issuer {
    port: u16,
    directory: TempDir,
}

impl Issuer {
    pub fn on(host: &Host, port: u16) -> Self {
        let issuer = Self {
            port,
            directory: TempDir::new().expect("a temporary directory"),
        };
        new_key(&issuer.key());
        let discovery = json!({
            "issuer": issuer.url(),
            "jwks_uri": format!("{}/keys", issuer.url()),
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        let keys = json!({ "keys": [public_half(&issuer.key())] });
        serve_on(host, port, move |connection| {
            // A client may leave when it likes.
            drop(answer(connection, &discovery, &keys));
        });
        issuer
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A token that is good for five minutes and says `claims` besides.
    pub fn token(&self, claims: &Value) -> String {
        sign(&self.said(claims), &self.key())
    }

    /// The same, signed by somebody else under the name of this issuer's key.
    pub fn forged(&self, claims: &Value) -> String {
        let key = self.directory.path().join("other.pem");
        new_key(&key);
        sign(&self.said(claims), &key)
    }

    fn said(&self, claims: &Value) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("a clock").as_secs();
        let mut all = json!({ "iss": self.url(), "iat": now, "nbf": now, "exp": now + 300 });
        for (name, value) in claims.as_object().expect("an object") {
            all[name] = value.clone();
        }
        all
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }
}

fn new_key(path: &Path) {
    Command::new("openssl")
        .args([
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
            "-out",
        ])
        .arg(path)
        .finish()
        .ok();
}

/// As JWKS writes it; openssl's exponent is 65537.
fn public_half(key: &Path) -> Value {
    let modulus = Command::new("openssl")
        .args(["rsa", "-noout", "-modulus", "-in"])
        .arg(key)
        .finish()
        .ok()
        .text();
    let modulus = modulus.strip_prefix("Modulus=").expect("a modulus");
    let modulus = hex::decode(modulus).expect("hexadecimal digits");
    let n = BASE64_URL_SAFE_NO_PAD.encode(modulus);
    json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY, "n": n, "e": "AQAB" })
}

fn sign(claims: &Value, key: &Path) -> String {
    let header = json!({ "typ": "JWT", "alg": "RS256", "kid": KEY });
    let parts = [&header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    let said = parts.join(".");
    let signature = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign"])
        .arg(key)
        .finish_with_input(said.as_bytes())
        .ok();
    format!("{said}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.stdout))
}

fn answer(mut client: TcpStream, discovery: &Value, keys: &Value) -> io::Result<()> {
    let Some((head, _)) = read_head(&mut client)? else {
        return Ok(());
    };
    let (status, body) = match head.split(' ').nth(1) {
        Some("/.well-known/openid-configuration") => ("200 OK", discovery.to_string()),
        Some("/keys") => ("200 OK", keys.to_string()),
        _ => ("404 Not Found", String::new()),
    };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n");
    write!(client, "{head}\r\n{body}")
}
