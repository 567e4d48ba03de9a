//! `hythe registry …`: what an administrator does to a registry, one file per verb.
//!
//! A verb opens the registry's own stores from the same settings as `hythe server`, beside a
//! server that may be running on them, and shows what the library answers (`show`). It never
//! asks a server or an agent.

mod accounts;
mod ca;
mod check;
mod gc;
mod retention;
mod scrub;
mod show;
mod stores;
mod tags;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::failure::Outcome;
use accounts::Noun;
use stores::StoreArguments;

#[derive(Debug, Args)]
pub(crate) struct RegistryArguments {
    #[command(flatten)]
    stores: StoreArguments,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Remove content that nothing leads to
    Gc(gc::GcArguments),
    /// Read every blob and compare it with its digest
    Scrub(scrub::ScrubArguments),
    /// Remove tags that no retention rule keeps
    Retention(retention::RetentionArguments),
    /// List repositories with their tags, size and stars
    Repositories(tags::RepositoriesArguments),
    /// List tags, and say or restore what one named before
    Tags(tags::TagsArguments),
    /// Say what is wrong with schema, rows and objects, changing nothing
    Check(check::CheckArguments),
    /// Print the authority that clients have to trust, and how they do
    Ca(ca::CaArguments),
    /// People who may log in
    User(accounts::UserArguments),
    /// Accounts for programs
    Robot(accounts::RobotArguments),
    /// Groups of accounts
    Group(accounts::GroupArguments),
    /// Secrets that stand for an account
    Token(accounts::TokenArguments),
    /// Who may do what to which repositories
    Grant(accounts::GrantArguments),
    /// Whose tokens of other issuers stand for an account
    Identity(accounts::IdentityArguments),
}

/// Runs the verb to its end.
pub(crate) fn run(arguments: RegistryArguments) -> Outcome {
    arguments.stores.start_log()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(dispatch(arguments.verb, &arguments.stores));
    // What was dropped half-way (a file to remove, an upload to abort) may end in its own time.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    outcome
}

async fn dispatch(verb: Verb, stores: &StoreArguments) -> Outcome {
    match verb {
        Verb::Gc(arguments) => gc::run(&arguments, stores).await,
        Verb::Scrub(arguments) => scrub::run(&arguments, stores).await,
        Verb::Retention(arguments) => retention::run(&arguments, stores).await,
        Verb::Repositories(arguments) => tags::repositories(&arguments, stores).await,
        Verb::Tags(arguments) => tags::tags(&arguments, stores).await,
        Verb::Check(arguments) => check::run(&arguments, stores).await,
        Verb::Ca(arguments) => ca::run(&arguments, stores),
        Verb::User(arguments) => accounts::run(Noun::User(arguments), stores).await,
        Verb::Robot(arguments) => accounts::run(Noun::Robot(arguments), stores).await,
        Verb::Group(arguments) => accounts::run(Noun::Group(arguments), stores).await,
        Verb::Token(arguments) => accounts::run(Noun::Token(arguments), stores).await,
        Verb::Grant(arguments) => accounts::run(Noun::Grant(arguments), stores).await,
        Verb::Identity(arguments) => accounts::run(Noun::Identity(arguments), stores).await,
    }
}
