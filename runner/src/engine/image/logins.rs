//! Logins of the agent itself, for callers that bring none: a node of a cluster pulls what nobody
//! at it has a password for.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hythe_oci::client::Credentials;
use hythe_oci::reference::DOCKER_HUB;
use serde::Deserialize;

use super::RegistryAuth;
use crate::engine::{Engine, EngineError};

/// What Docker Hub is called in files of logins, besides its own name.
const HUB_NAMES: [&str; 2] = ["index.docker.io", "registry-1.docker.io"];

/// Docker's `config.json`, as far as it is about logins.
#[derive(Deserialize)]
struct LoginFile {
    #[serde(default)]
    auths: BTreeMap<String, LoginEntry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoginEntry {
    /// `user:password`, in base64.
    auth: String,
    username: String,
    password: String,
    #[serde(rename = "identitytoken")]
    identity_token: String,
    #[serde(rename = "registrytoken")]
    registry_token: String,
}

impl Engine {
    /// What the caller sent for a registry; when it sent nothing, the agent's own login there.
    pub(in crate::engine) async fn credentials_at(
        &self,
        host: &str,
        sent: RegistryAuth,
    ) -> Result<Credentials, EngineError> {
        let sent = Credentials::from(sent);
        let file = self.shared.settings.registry.auth_file.as_deref();
        match file.filter(|_| sent == Credentials::None) {
            // Read anew each time: whoever renews a login need not tell the agent.
            Some(file) => own_login(file, host).await,
            None => Ok(sent),
        }
    }
}

async fn own_login(path: &Path, host: &str) -> Result<Credentials, EngineError> {
    let text = tokio::fs::read(path).await.map_err(|error| {
        EngineError::internal(&format!("reading the logins in {}", path.display()), &error)
    })?;
    login_in(&text, host)
        .map_err(|why| EngineError::Internal(format!("the logins in {}: {why}", path.display())))
}

/// The login for a host. The reason of a failure holds nothing of the file.
fn login_in(text: &[u8], host: &str) -> Result<Credentials, String> {
    let file: LoginFile = serde_json::from_slice(text)
        .map_err(|error| format!("line {} is not what docker login writes", error.line()))?;
    let mut entries = file.auths.into_iter();
    let Some((_, entry)) = entries.find(|(server, _)| host_of(server) == host) else {
        return Ok(Credentials::None);
    };
    let (username, password) = if entry.auth.is_empty() {
        (entry.username, entry.password)
    } else {
        let pair = decoded(&entry.auth);
        pair.ok_or_else(|| format!("that of {host} cannot be decoded"))?
    };
    let login = RegistryAuth {
        username,
        password,
        identity_token: entry.identity_token,
        registry_token: entry.registry_token,
        ..RegistryAuth::default()
    };
    Ok(login.into())
}

/// User and password.
fn decoded(auth: &str) -> Option<(String, String)> {
    let pair = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    // Docker pads with zeros what it once encrypted.
    let password = password.trim_end_matches('\0');
    Some((user.to_owned(), password.to_owned()))
}

/// The host in a key of the file: `host`, `host:port`, or a whole address.
fn host_of(server: &str) -> &str {
    let server = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host = server.split('/').next().unwrap_or_default();
    if HUB_NAMES.contains(&host) {
        DOCKER_HUB
    } else {
        host
    }
}

#[cfg(test)]
mod tests {
    use hythe_oci::client::Secret;

    use super::*;

    fn login(entry: &str, host: &str) -> Result<Credentials, String> {
        let file = format!(r#"{{"auths": {{"registry.test:5000": {entry}}}, "credsStore": "x"}}"#);
        login_in(file.as_bytes(), host)
    }

    fn basic(user: &str, password: &str) -> Credentials {
        Credentials::Basic {
            user: user.to_owned(),
            password: Secret::new(password.to_owned()),
        }
    }

    #[test]
    fn logins_are_found_as_docker_and_podman_write_them() {
        let host = "registry.test:5000";
        // "node:a:b"
        let pair = r#"{"auth": "bm9kZTphOmI="}"#;
        assert_eq!(login(pair, host).unwrap(), basic("node", "a:b"));
        let spelled = r#"{"username": "node", "password": "p"}"#;
        assert_eq!(login(spelled, host).unwrap(), basic("node", "p"));
        let token = r#"{"auth": "bm9kZTo=", "identitytoken": "t"}"#;
        let identity = Credentials::IdentityToken(Secret::new("t".to_owned()));
        assert_eq!(login(token, host).unwrap(), identity);
        for elsewhere in ["registry.test", "other.test:5000", DOCKER_HUB] {
            assert_eq!(login(pair, elsewhere).unwrap(), Credentials::None);
        }
    }

    #[test]
    fn docker_hub_has_several_names() {
        for server in [
            "https://index.docker.io/v1/",
            "docker.io",
            "registry-1.docker.io",
        ] {
            assert_eq!(host_of(server), DOCKER_HUB, "{server}");
        }
        assert_eq!(host_of("https://a.test:443/v2/"), "a.test:443");
    }

    #[test]
    fn what_cannot_be_read_is_told_without_its_content() {
        for entry in [r#"{"auth": "secret"}"#, r#"{"auth": ["secret"]}"#, "secret"] {
            let why = login(entry, "registry.test:5000").unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
