//! `docker-credential-NAME`: programs that keep logins elsewhere. One word of command, JSON or a
//! server's name on standard input, JSON on standard output.
//! <https://github.com/docker/docker-credential-helpers#development>

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde::Deserialize;

use super::{Login, TOKEN_USER};

/// What helpers say when they do not have a login; it is no error.
const NOT_FOUND: &str = "credentials not found in native keychain";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Found {
    pub(super) username: String,
    pub(super) secret: String,
}

pub(super) fn get(helper: &str, server: &str) -> anyhow::Result<Option<Found>> {
    let Some(output) = ask(helper, "get", server.as_bytes())? else {
        return Ok(None);
    };
    let found = serde_json::from_slice(&output)
        .with_context(|| format!("docker-credential-{helper} gave no login"))?;
    Ok(Some(found))
}

/// The servers that the helper has logins for.
pub(super) fn list(helper: &str) -> anyhow::Result<Vec<String>> {
    let Some(output) = ask(helper, "list", b"")? else {
        return Ok(Vec::new());
    };
    let servers: BTreeMap<String, String> = serde_json::from_slice(&output)
        .with_context(|| format!("docker-credential-{helper} gave no list"))?;
    Ok(servers.into_keys().collect())
}

pub(super) fn store(helper: &str, login: &Login) -> anyhow::Result<()> {
    let (username, secret) = if login.identity_token.is_empty() {
        (login.username.as_str(), &login.password)
    } else {
        (TOKEN_USER, &login.identity_token)
    };
    let input = serde_json::json!({
        "ServerURL": login.server_address,
        "Username": username,
        "Secret": secret,
    });
    ask(helper, "store", input.to_string().as_bytes())?;
    Ok(())
}

pub(super) fn erase(helper: &str, server: &str) -> anyhow::Result<()> {
    ask(helper, "erase", server.as_bytes())?;
    Ok(())
}

/// Runs the helper; `None` means that it has no such login.
fn ask(helper: &str, verb: &str, input: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
    let program = format!("docker-credential-{helper}");
    let failed = || format!("cannot run {program}");
    let mut child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that did not want to read says why by how it ends.
        _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().with_context(failed)?;
    if output.status.success() {
        return Ok(Some(output.stdout));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    if said.trim() == NOT_FOUND {
        return Ok(None);
    }
    anyhow::bail!("{program} {verb}: {}: {}", output.status, said.trim())
}
