//! `hythe registry user|robot|group|token|grant|identity`: who there is and who may do what, one
//! file per noun. Works on the registry's database; a server that runs on it learns of a change
//! within two seconds.

mod grant;
mod group;
mod identity;
mod robot;
mod token;
mod user;

use hythe_server::Accounts;

pub(super) use grant::GrantArguments;
pub(super) use group::GroupArguments;
pub(super) use identity::IdentityArguments;
pub(super) use robot::RobotArguments;
pub(super) use token::TokenArguments;
pub(super) use user::UserArguments;

use super::show::FormatArguments;
use super::stores::StoreArguments;
use crate::failure::Outcome;
use crate::output;

/// What any of them is asked to do.
#[derive(Debug)]
pub(super) enum Noun {
    User(UserArguments),
    Robot(RobotArguments),
    Group(GroupArguments),
    Token(TokenArguments),
    Grant(GrantArguments),
    Identity(IdentityArguments),
}

pub(super) async fn run(noun: Noun, stores: &StoreArguments) -> Outcome {
    let accounts = stores.accounts().await?;
    match noun {
        Noun::User(arguments) => user::run(arguments, &accounts).await,
        Noun::Robot(arguments) => robot::run(arguments, &accounts).await,
        Noun::Group(arguments) => group::run(arguments, &accounts).await,
        Noun::Token(arguments) => token::run(arguments, &accounts).await,
        Noun::Grant(arguments) => grant::run(arguments, &accounts).await,
        Noun::Identity(arguments) => identity::run(arguments, &accounts).await,
    }
}

/// The names and kinds of all accounts of one kind.
async fn list_accounts(
    accounts: &Accounts,
    kind: &str,
    format: &FormatArguments,
) -> anyhow::Result<()> {
    let mut all = accounts.accounts().await?;
    all.retain(|account| account.kind == kind);
    let rows = all.iter().map(|account| {
        let state = if account.disabled {
            "disabled"
        } else {
            "enabled"
        };
        vec![
            account.name.clone(),
            state.to_owned(),
            account.groups.join(","),
            account.created_at.clone(),
        ]
    });
    let human = || table(&["NAME", "STATE", "GROUPS", "CREATED"], rows.collect());
    format.show(human, || serde_json::to_value(&all))
}

/// Columns as wide as what is in them.
fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut all = vec![
        head.iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>(),
    ];
    all.extend(rows);
    let width = |column: usize| {
        let lengths = all.iter().filter_map(|row| row.get(column));
        lengths
            .map(|text| text.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for row in &all {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text += line.join("   ").trim_end();
        text.push('\n');
    }
    text
}

/// One line, on which a name or an id is what scripts want.
fn say(line: &str) -> Outcome {
    output::line(line)?;
    Ok(0)
}
