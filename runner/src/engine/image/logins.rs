//! Logins of the agent itself, for callers that bring none: a node of a cluster pulls what nobody
//! at it has a password for.

use std::collections::BTreeMap;
use std::path::Path;

use hythe_oci::client::Credentials;
use hythe_oci::login_file::{LoginEntry, image_host};
use serde::Deserialize;
use serde_json::Value;

use super::RegistryAuth;
use crate::engine::{Engine, EngineError};

/// Docker's `config.json`, as far as it is about logins. Those that nobody asks for need not be
/// right.
#[derive(Deserialize)]
struct LoginFile {
    #[serde(default)]
    auths: BTreeMap<String, Value>,
}

impl From<LoginEntry> for RegistryAuth {
    fn from(entry: LoginEntry) -> Self {
        Self {
            username: entry.username,
            password: entry.password,
            identity_token: entry.identity_token,
            registry_token: entry.registry_token,
            server_address: String::new(),
        }
    }
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
    let Some((_, entry)) = entries.find(|(server, _)| image_host(server) == host) else {
        return Ok(Credentials::None);
    };
    let entry: LoginEntry =
        serde_json::from_value(entry).map_err(|_| format!("that of {host} cannot be decoded"))?;
    Ok(RegistryAuth::from(entry).into())
}

#[cfg(test)]
mod tests {
    use hythe_oci::client::Secret;

    use super::*;

    fn login(entry: &str, host: &str) -> Result<Credentials, String> {
        let file = format!(
            r#"{{"auths": {{"https://registry.test:5000/v2/": {entry}, "bad.test": {{"auth": "!"}}}}}}"#
        );
        login_in(file.as_bytes(), host)
    }

    #[test]
    fn the_login_of_the_host_is_found() {
        // "node:a:b"
        let pair = r#"{"auth": "bm9kZTphOmI="}"#;
        let basic = Credentials::Basic {
            user: "node".to_owned(),
            password: Secret::new("a:b".to_owned()),
        };
        assert_eq!(login(pair, "registry.test:5000").unwrap(), basic);
        let token = r#"{"auth": "bm9kZTo=", "identitytoken": "t"}"#;
        let identity = Credentials::IdentityToken(Secret::new("t".to_owned()));
        assert_eq!(login(token, "registry.test:5000").unwrap(), identity);
        for elsewhere in ["registry.test", "other.test:5000"] {
            assert_eq!(login(pair, elsewhere).unwrap(), Credentials::None);
        }
        login(pair, "bad.test").unwrap_err();
    }

    #[test]
    fn what_cannot_be_read_is_told_without_its_content() {
        for entry in [r#"{"auth": "secret"}"#, r#"{"auth": ["secret"]}"#, "secret"] {
            let why = login(entry, "registry.test:5000").unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
    }
}
