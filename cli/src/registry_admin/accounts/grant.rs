//! `hythe registry grant`.

use clap::{Args, Subcommand};
use hythe_server::{Accounts, Actions, Effect, Principal, RepositoryPattern};

use super::{say, table};
use crate::failure::Outcome;
use crate::registry_admin::show::FormatArguments;

#[derive(Debug, Args)]
pub(crate) struct GrantArguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Allow somebody something
    Add {
        #[command(flatten)]
        what: What,
        /// Deny it, whatever else is granted
        #[arg(long)]
        deny: bool,
    },
    /// Take a grant back
    Rm {
        /// Its id, as `ls` shows it
        id: String,
    },
    /// List grants
    Ls {
        #[command(flatten)]
        format: FormatArguments,
    },
}

#[derive(Debug, Args)]
struct What {
    /// Whom: `user:NAME`, `robot:NAME`, `group:NAME` or `anonymous`
    principal: Principal,
    /// What: `pull`, `push`, `delete` and `admin`, with commas between
    actions: Actions,
    /// Where: `team/app`, `team/*` (one level), `team/**` (all below) or `**`
    pattern: RepositoryPattern,
}

pub(super) async fn run(arguments: GrantArguments, accounts: &Accounts) -> Outcome {
    match arguments.verb {
        Verb::Add { what, deny } => {
            let effect = if deny { Effect::Deny } else { Effect::Allow };
            let how = (effect, what.actions);
            say(&accounts.grant(&what.principal, how, &what.pattern).await?)
        }
        Verb::Rm { id } => {
            accounts.remove_grant(&id).await?;
            say(&id)
        }
        Verb::Ls { format } => {
            let grants = accounts.grants().await?;
            let rows = grants.iter().map(|grant| {
                vec![
                    grant.id.clone(),
                    grant.effect.clone(),
                    grant.principal.clone(),
                    grant.actions.clone(),
                    grant.pattern.clone(),
                ]
            });
            let head = ["ID", "EFFECT", "WHO", "ACTIONS", "WHERE"];
            let human = || table(&head, rows.collect());
            format.show(human, || serde_json::to_value(&grants))?;
            Ok(0)
        }
    }
}
