//! Docker's `config.json`, as far as it says who somebody is to a registry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::reference::DOCKER_HUB;

/// What the file and the Engine API call Docker Hub.
pub const HUB_SERVER: &str = "https://index.docker.io/v1/";

/// Docker Hub's hosts, which no image name has.
const HUB_HOSTS: [&str; 2] = ["index.docker.io", "registry-1.docker.io"];

/// One entry of `auths`; what is empty was not said.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct LoginEntry {
    pub username: String,
    pub password: String,
    /// A refresh token, used instead of the password.
    pub identity_token: String,
    /// A bearer token, used as it is.
    pub registry_token: String,
}

impl std::fmt::Debug for LoginEntry {
    /// Never prints a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginEntry")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Written {
    /// `user:password`, in base64; says more than the two apart.
    auth: String,
    username: String,
    password: String,
    #[serde(rename = "identitytoken")]
    identity_token: String,
    #[serde(rename = "registrytoken")]
    registry_token: String,
}

impl TryFrom<Written> for LoginEntry {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let (username, password) = if written.auth.is_empty() {
            (written.username, written.password)
        } else {
            decoded(&written.auth).ok_or("auth is not a user and a password in base64")?
        };
        Ok(Self {
            username,
            password,
            identity_token: written.identity_token,
            registry_token: written.registry_token,
        })
    }
}

fn decoded(auth: &str) -> Option<(String, String)> {
    let pair = String::from_utf8(STANDARD.decode(auth.trim()).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    // Docker once padded it so.
    let password = password.trim_end_matches('\0');
    Some((user.to_owned(), password.to_owned()))
}

/// The host, and the port if there is one, of a key of the file: `https://host:5000/v1/` is about
/// `host:5000`.
pub fn hostname(server: &str) -> &str {
    let rest = server
        .strip_prefix("https://")
        .or_else(|| server.strip_prefix("http://"))
        .unwrap_or(server);
    rest.split('/').next().unwrap_or(rest)
}

/// The host that names of images have for a key of the file.
pub fn image_host(server: &str) -> &str {
    let host = hostname(server);
    if HUB_HOSTS.contains(&host) {
        DOCKER_HUB
    } else {
        host
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn entry(written: Value) -> Result<LoginEntry, String> {
        from_value(written).map_err(|error| error.to_string())
    }

    #[test]
    fn entries_are_read_as_docker_and_podman_write_them() {
        let named = |username: &str, password: &str| LoginEntry {
            username: username.to_owned(),
            password: password.to_owned(),
            ..LoginEntry::default()
        };
        // "node:a:b"
        let pair = json!({"auth": "bm9kZTphOmI="});
        assert_eq!(entry(pair).unwrap(), named("node", "a:b"));
        let apart = json!({"username": "node", "password": "p", "email": "x"});
        assert_eq!(entry(apart).unwrap(), named("node", "p"));
        let token = entry(json!({"auth": "bm9kZTo=", "identitytoken": "t"}));
        assert_eq!(token.unwrap().identity_token, "t");
        assert_eq!(entry(json!({})).unwrap(), LoginEntry::default());
        for auth in ["secret", "c2VjcmV0"] {
            let why = entry(json!({ "auth": auth })).unwrap_err();
            assert!(!why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn servers_are_hosts() {
        for (server, host, image) in [
            ("host:5000", "host:5000", "host:5000"),
            ("https://host:5000/v1/", "host:5000", "host:5000"),
            (HUB_SERVER, "index.docker.io", DOCKER_HUB),
            ("registry-1.docker.io", "registry-1.docker.io", DOCKER_HUB),
            ("", "", ""),
        ] {
            assert_eq!((hostname(server), image_host(server)), (host, image));
        }
    }
}
