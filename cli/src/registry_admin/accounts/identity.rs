//! `hythe registry identity`: whose ID tokens of which OpenID Connect issuer stand for whom.

use clap::{Args, Subcommand};
use hythe_server::Accounts;

use super::{say, table};
use crate::failure::Outcome;
use crate::registry_admin::show::FormatArguments;

#[derive(Debug, Args)]
pub(crate) struct IdentityArguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Let ID tokens of an issuer stand for an account
    Add {
        /// The user or robot
        account: String,
        /// The issuer, such as `https://token.actions.githubusercontent.com`
        #[arg(long, value_name = "URL")]
        issuer: String,
        /// The subject, in which * is any characters, such as `repo:team/*:ref:refs/heads/main`
        #[arg(long, value_name = "SUBJECT")]
        subject: String,
        /// The audience that the token has to be for
        #[arg(long, value_name = "AUDIENCE", default_value = "hythe")]
        audience: String,
    },
    /// Take an identity away
    Rm {
        /// Its id, as `ls` shows it
        id: String,
    },
    /// List identities
    Ls {
        #[command(flatten)]
        format: FormatArguments,
    },
}

pub(super) async fn run(arguments: IdentityArguments, accounts: &Accounts) -> Outcome {
    match arguments.verb {
        Verb::Add {
            account,
            issuer,
            subject,
            audience,
        } => {
            let what = (subject.as_str(), audience.as_str());
            say(&accounts.add_identity(&account, &issuer, what).await?)
        }
        Verb::Rm { id } => {
            accounts.remove_identity(&id).await?;
            say(&id)
        }
        Verb::Ls { format } => {
            let identities = accounts.identities().await?;
            let rows = identities.iter().map(|one| {
                vec![
                    one.id.clone(),
                    one.account.clone(),
                    one.issuer.clone(),
                    one.subject.clone(),
                    one.audience.clone(),
                ]
            });
            let head = ["ID", "ACCOUNT", "ISSUER", "SUBJECT", "AUDIENCE"];
            let human = || table(&head, rows.collect());
            format.show(human, || serde_json::to_value(&identities))?;
            Ok(0)
        }
    }
}
