//! `hythe registry user`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use hythe_server::Accounts;

use super::{list_accounts, say};
use crate::failure::Outcome;
use crate::output;
use crate::registry_admin::show::FormatArguments;
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct UserArguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add a person
    Add {
        /// What they log in as
        name: String,
        #[command(flatten)]
        password: PasswordArguments,
        /// Without a password: they log in with a token, or through an identity
        #[arg(long, conflicts_with = "password_stdin")]
        no_password: bool,
    },
    /// Give a person another password; logins with the old one end
    Password {
        /// Whose
        name: String,
        #[command(flatten)]
        password: PasswordArguments,
    },
    /// Lock a person out
    Disable {
        /// Whom
        name: String,
    },
    /// Let a person in again
    Enable {
        /// Whom
        name: String,
    },
    /// Remove a person with their tokens and grants
    Rm {
        /// Whom
        name: String,
    },
    /// List people
    Ls {
        #[command(flatten)]
        format: FormatArguments,
    },
    /// Add every user of an htpasswd file with bcrypt hashes
    Import {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        format: FormatArguments,
    },
}

#[derive(Debug, Args)]
struct PasswordArguments {
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordArguments {
    fn read(&self) -> anyhow::Result<String> {
        if self.password_stdin {
            let text = std::io::read_to_string(std::io::stdin())?;
            return Ok(text.trim_end_matches(['\r', '\n']).to_owned());
        }
        Ok(terminal::ask_password("Password: ")?)
    }
}

pub(super) async fn run(arguments: UserArguments, accounts: &Accounts) -> Outcome {
    match arguments.verb {
        Verb::Add {
            name,
            password,
            no_password,
        } => {
            let password = if no_password {
                None
            } else {
                Some(password.read()?)
            };
            accounts.add_user(&name, password.as_deref()).await?;
            say(&name)
        }
        Verb::Password { name, password } => {
            accounts.set_password(&name, &password.read()?).await?;
            say(&name)
        }
        Verb::Disable { name } => {
            accounts.set_disabled(&name, true).await?;
            say(&name)
        }
        Verb::Enable { name } => {
            accounts.set_disabled(&name, false).await?;
            say(&name)
        }
        Verb::Rm { name } => {
            accounts.remove_account(&name).await?;
            say(&name)
        }
        Verb::Ls { format } => {
            list_accounts(accounts, "user", &format).await?;
            Ok(0)
        }
        Verb::Import { file, format } => import(accounts, file, &format).await,
    }
}

/// Ends with 1 when somebody was left out.
async fn import(accounts: &Accounts, file: PathBuf, format: &FormatArguments) -> Outcome {
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let imported = accounts.import_htpasswd(&text).await?;
    for skipped in &imported.skipped {
        output::remark(&format!("left out: {skipped}"));
    }
    let human = || {
        let names = imported.added.iter();
        names.flat_map(|name| [name.as_str(), "\n"]).collect()
    };
    format.show(human, || serde_json::to_value(&imported))?;
    Ok(u8::from(!imported.skipped.is_empty()))
}
