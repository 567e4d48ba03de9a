//! `hythe login` and `hythe logout`.

use std::io::BufRead as _;

use clap::Args;
use serde::Deserialize;

use crate::api::{Api, Call};
use crate::credentials::{ConfigFile, Login, server_of};
use crate::failure::Outcome;
use crate::output;
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct LoginArguments {
    /// Password
    #[arg(long, short, value_name = "PASSWORD")]
    password: Option<String>,
    /// Read the password from standard input
    #[arg(long, conflicts_with = "password", requires = "username")]
    password_stdin: bool,
    /// User name
    #[arg(long, short, value_name = "NAME")]
    username: Option<String>,
    /// Registry; docker.io without one
    #[arg(value_name = "SERVER")]
    server: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LogoutArguments {
    /// Registry; docker.io without one
    #[arg(value_name = "SERVER")]
    server: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    status: String,
    #[serde(default)]
    identity_token: String,
}

/// The registry checks the login before it is kept.
pub(super) async fn login(api: &Api, arguments: LoginArguments) -> Outcome {
    let server = server(arguments.server.as_deref());
    let mut file = ConfigFile::load()?;
    if arguments.password.is_some() {
        output::remark("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    }
    let username = match arguments.username {
        Some(username) => username,
        None => ask_username()?,
    };
    let password = match arguments.password {
        Some(password) => password,
        None if arguments.password_stdin => {
            let mut text = std::io::read_to_string(std::io::stdin())?;
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
            text
        }
        None => terminal::ask_password("Password: ")?,
    };
    if password.is_empty() {
        return Err(anyhow::anyhow!("password required").into());
    }
    let mut login = Login {
        username,
        password,
        server_address: server,
        ..Login::default()
    };
    let answer: Answer = api.json(Call::post("/auth").json(&login)?).await?;
    if !answer.identity_token.is_empty() {
        login.password.clear();
        login.identity_token = answer.identity_token;
    }
    if file.keep(&login)? {
        output::remark(&format!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\n\
             Configure a credential helper to remove this warning.\n",
            file.path().display()
        ));
    }
    if !answer.status.is_empty() {
        output::line(&answer.status)?;
    }
    Ok(0)
}

pub(super) fn logout(arguments: &LogoutArguments) -> Outcome {
    let server = server(arguments.server.as_deref());
    output::line(&format!("Removing login credentials for {server}"))?;
    if !ConfigFile::load()?.forget(&server)? {
        output::line(&format!("Not logged in to {server}"))?;
    }
    Ok(0)
}

/// The server as `config.json` has it: a host, whatever URL was typed.
fn server(said: Option<&str>) -> String {
    server_of(said.unwrap_or_default()).to_owned()
}

fn ask_username() -> anyhow::Result<String> {
    anyhow::ensure!(
        terminal::input_is_terminal(),
        "cannot perform an interactive login from a non TTY device"
    );
    output::print("Username: ")?;
    let mut name = String::new();
    std::io::stdin().lock().read_line(&mut name)?;
    let name = name.trim();
    anyhow::ensure!(!name.is_empty(), "username is required");
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        let cases = [
            (None, "https://index.docker.io/v1/"),
            (Some("docker.io"), "https://index.docker.io/v1/"),
            (
                Some("https://index.docker.io/v1/"),
                "https://index.docker.io/v1/",
            ),
            (Some("127.0.0.1:5000"), "127.0.0.1:5000"),
            (Some("https://r.example/"), "r.example"),
        ];
        for (said, expected) in cases {
            assert_eq!(server(said), expected);
        }
    }
}
