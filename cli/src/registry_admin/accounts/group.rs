//! `hythe registry group`.

use clap::{Args, Subcommand};
use hythe_server::Accounts;

use super::{say, table};
use crate::failure::Outcome;
use crate::registry_admin::show::FormatArguments;

#[derive(Debug, Args)]
pub(crate) struct GroupArguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add a group
    Add {
        /// What it is called
        name: String,
    },
    /// Put accounts into a group
    Join {
        /// The group
        group: String,
        /// The accounts
        #[arg(required = true)]
        accounts: Vec<String>,
    },
    /// Take accounts out of a group
    Leave {
        /// The group
        group: String,
        /// The accounts
        #[arg(required = true)]
        accounts: Vec<String>,
    },
    /// Remove a group with its grants
    Rm {
        /// Which
        name: String,
    },
    /// List groups and who is in them
    Ls {
        #[command(flatten)]
        format: FormatArguments,
    },
}

pub(super) async fn run(arguments: GroupArguments, accounts: &Accounts) -> Outcome {
    match arguments.verb {
        Verb::Add { name } => {
            accounts.add_group(&name).await?;
            say(&name)
        }
        Verb::Join {
            group,
            accounts: members,
        } => {
            for member in &members {
                accounts.set_member(&group, member, true).await?;
            }
            say(&group)
        }
        Verb::Leave {
            group,
            accounts: members,
        } => {
            for member in &members {
                accounts.set_member(&group, member, false).await?;
            }
            say(&group)
        }
        Verb::Rm { name } => {
            accounts.remove_group(&name).await?;
            say(&name)
        }
        Verb::Ls { format } => {
            let groups = accounts.groups().await?;
            let rows = groups
                .iter()
                .map(|group| vec![group.name.clone(), group.members.join(",")]);
            let human = || table(&["NAME", "MEMBERS"], rows.collect());
            format.show(human, || serde_json::to_value(&groups))?;
            Ok(0)
        }
    }
}
