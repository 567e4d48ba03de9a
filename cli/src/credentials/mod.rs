//! Who we are to a registry: docker's own `config.json`, so that both clients share logins.
//!
//! Credential helpers are asked and told as docker does. Nothing in here talks to a registry.

mod config_file;
mod helper;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde::{Deserialize, Serialize};

pub(crate) use config_file::ConfigFile;

/// What docker calls its hub, in `config.json` and in the API.
pub(crate) const DOCKER_HUB_SERVER: &str = "https://index.docker.io/v1/";

/// The name a helper gives to an identity token instead of a user's.
const TOKEN_USER: &str = "<token>";

/// A login, as the API has it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: String,
    #[serde(rename = "identitytoken", skip_serializing_if = "String::is_empty")]
    pub(crate) identity_token: String,
    #[serde(rename = "serveraddress")]
    pub(crate) server_address: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({} at {})", self.username, self.server_address)
    }
}

/// The server's name in `config.json` for a host as image names have it.
pub(crate) fn server_of_host(host: &str) -> &str {
    match host {
        "" | "docker.io" | "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB_SERVER,
        host => host,
    }
}

/// The value of `X-Registry-Auth` for an image of this host.
pub(crate) fn header_for(host: &str) -> anyhow::Result<String> {
    let login = ConfigFile::load()?.login(server_of_host(host))?;
    Ok(match login {
        Some(login) => encode(&login)?,
        // The API's word for nobody.
        None => encode(&serde_json::json!({}))?,
    })
}

/// The value of `X-Registry-Config`: every login there is, for a build that pulls from anywhere.
pub(crate) fn header_for_all() -> anyhow::Result<String> {
    let logins = ConfigFile::load()?.all_logins()?;
    encode(&logins)
}

fn encode(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(URL_SAFE.encode(serde_json::to_vec(value)?))
}
