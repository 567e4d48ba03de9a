//! `hythe registry robot`.

use clap::{Args, Subcommand};
use hythe_server::Accounts;

use super::{list_accounts, say};
use crate::failure::Outcome;
use crate::registry_admin::show::FormatArguments;

#[derive(Debug, Args)]
pub(crate) struct RobotArguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add an account for a program; `hythe registry token add` gives it a secret
    Add {
        /// What it logs in as
        name: String,
    },
    /// Lock a robot out
    Disable {
        /// Which
        name: String,
    },
    /// Let a robot in again
    Enable {
        /// Which
        name: String,
    },
    /// Remove a robot with its tokens and grants
    Rm {
        /// Which
        name: String,
    },
    /// List robots
    Ls {
        #[command(flatten)]
        format: FormatArguments,
    },
}

pub(super) async fn run(arguments: RobotArguments, accounts: &Accounts) -> Outcome {
    match arguments.verb {
        Verb::Add { name } => {
            accounts.add_robot(&name).await?;
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
            list_accounts(accounts, "robot", &format).await?;
            Ok(0)
        }
    }
}
