//! `hythe registry token`.

use std::time::Duration;

use clap::{Args, Subcommand};
use hythe_server::{Accounts, Limit};

use super::{say, table};
use crate::failure::Outcome;
use crate::output;
use crate::registry_admin::show::FormatArguments;

#[derive(Debug, Args)]
pub(crate) struct TokenArguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a token of a user or a robot, and print its secret: the one time that it is seen
    Add {
        /// Whose
        account: String,
        /// What to call it
        #[arg(long, default_value = "")]
        label: String,
        /// Only for this: `repository:PATTERN:ACTIONS`, such as `repository:ci/*:pull,push`
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<Limit>,
        /// How long it is good: `30m`, `12h`, `90d` [default: until it is revoked]
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires: Option<Duration>,
        #[command(flatten)]
        format: FormatArguments,
    },
    /// Make a token good for nothing
    Revoke {
        /// Its id, as `ls` shows it
        id: String,
    },
    /// List tokens
    Ls {
        /// Of this account only
        account: Option<String>,
        #[command(flatten)]
        format: FormatArguments,
    },
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: a number and s, m, h or d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number = text.trim_end_matches(unit);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let total = number.checked_mul(seconds).ok_or_else(wrong)?;
    Ok(Duration::from_secs(total))
}

pub(super) async fn run(arguments: TokenArguments, accounts: &Accounts) -> Outcome {
    match arguments.verb {
        Verb::Add {
            account,
            label,
            scopes,
            expires,
            format,
        } => {
            let made = accounts
                .make_token(&account, &label, &scopes, expires)
                .await?;
            output::remark(&format!(
                "token {} of {account}; its secret is not shown again:",
                made.id
            ));
            let human = || format!("{}\n", made.secret);
            format.show(human, || serde_json::to_value(&made))?;
            Ok(0)
        }
        Verb::Revoke { id } => {
            accounts.revoke_token(&id).await?;
            say(&id)
        }
        Verb::Ls { account, format } => {
            let tokens = accounts.tokens(account.as_deref()).await?;
            let rows = tokens.iter().map(|token| {
                let state = match (&token.revoked_at, &token.expires_at) {
                    (Some(at), _) => format!("revoked {at}"),
                    (None, Some(at)) => format!("until {at}"),
                    (None, None) => "good".to_owned(),
                };
                let scopes = match token.scopes.as_slice() {
                    [] => "everything".to_owned(),
                    scopes => scopes.join(" "),
                };
                vec![
                    token.id.clone(),
                    token.account.clone(),
                    token.label.clone(),
                    scopes,
                    state,
                ]
            });
            let head = ["ID", "ACCOUNT", "LABEL", "SCOPES", "STATE"];
            let human = || table(&head, rows.collect());
            format.show(human, || serde_json::to_value(&tokens))?;
            Ok(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_number_and_a_unit() {
        assert_eq!(lifetime("90d"), Ok(Duration::from_hours(90 * 24)));
        assert_eq!(lifetime("15m"), Ok(Duration::from_mins(15)));
        for wrong in ["", "d", "10", "1w", "-1d", "99999999999999999d", "dd"] {
            assert!(lifetime(wrong).is_err(), "{wrong}");
        }
    }
}
