//! Who we are to a registry: docker's own `config.json`, so that both clients share logins.
//!
//! Credential helpers are asked and told as docker does. Nothing in here talks to a registry.

mod config_file;
mod helper;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use hythe_oci::login_file::{HUB_SERVER, image_host};
use hythe_oci::reference::DOCKER_HUB;
use serde::{Deserialize, Serialize};

pub(crate) use config_file::ConfigFile;

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

/// The server's name in `config.json` for a host as image names have it, or for its address.
pub(crate) fn server_of(host: &str) -> &str {
    match image_host(host) {
        "" | DOCKER_HUB => HUB_SERVER,
        host => host,
    }
}

/// The value of `X-Registry-Auth` for an image of this host.
pub(crate) fn header_for(host: &str) -> anyhow::Result<String> {
    let login = ConfigFile::load()?.login(server_of(host))?;
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
