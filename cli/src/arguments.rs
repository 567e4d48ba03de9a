//! What the user typed, before anything is made of it.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::commands::ClientCommand;
use crate::failure::{Failure, NOT_RUN};
use crate::{registry_admin, serve};

/// A private image registry with a container runner built in.
#[derive(Debug, Parser)]
#[command(name = "hythe", version, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Address of the agent, else that in `HYTHE_HOST` or `DOCKER_HOST`
    #[arg(long, short = 'H', value_name = "ADDRESS")]
    pub(crate) host: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run registry and agent together, on embedded defaults
    Up(Box<serve::up::UpArguments>),
    /// Run the registry
    Server(serve::server::ServerArguments),
    /// Run the node agent, which speaks the Docker Engine API
    Agent(Box<serve::agent::AgentArguments>),
    /// Run containers from OCI bundles, for other engines
    #[command(disable_help_flag = true)]
    Runtime {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// Administrate a registry: collect garbage, check
    Registry(registry_admin::RegistryArguments),
    #[command(flatten)]
    Client(ClientCommand),
}

impl Command {
    /// Whether it is one of the modes that run until they are ended.
    pub(crate) fn is_served(&self) -> bool {
        matches!(self, Self::Up(_) | Self::Server(_) | Self::Agent(_))
    }
}

/// Reads the process's arguments.
pub(crate) fn parse() -> Result<Arguments, Failure> {
    parse_from(std::env::args_os().collect())
}

fn parse_from(words: Vec<OsString>) -> Result<Arguments, Failure> {
    let mut command = Arguments::command();
    if words.iter().any(gives_a_bool_its_value) {
        command = with_bool_values(command);
    }
    command
        .try_get_matches_from_mut(words)
        .and_then(|matches| Arguments::from_arg_matches(&matches))
        .map_err(|error| refusal(&error))
}

/// `--rm=false` and its kin, which docker's flags all allow.
fn gives_a_bool_its_value(word: &OsString) -> bool {
    word.to_str().is_some_and(|word| {
        word.starts_with('-') && word.ends_with("=true") || word.ends_with("=false")
    })
}

/// Lets every switch take a value. Only done when one was given: the help is clearer without.
fn with_bool_values(command: clap::Command) -> clap::Command {
    let subcommands: Vec<String> = command
        .get_subcommands()
        .map(|subcommand| subcommand.get_name().to_owned())
        .collect();
    let command = command.mut_args(|argument| match argument.get_action() {
        clap::ArgAction::SetTrue => argument
            .action(clap::ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .value_parser(clap::value_parser!(bool))
            .default_value("false")
            .default_missing_value("true"),
        _ => argument,
    });
    subcommands.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, with_bool_values)
    })
}

/// Help goes to standard output and is no failure; a mistake is told in our own voice, with
/// docker's codes: 125 for a flag, 1 for a missing argument or an unknown command.
fn refusal(error: &clap::Error) -> Failure {
    let code = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
        ErrorKind::MissingRequiredArgument
        | ErrorKind::InvalidSubcommand
        | ErrorKind::MissingSubcommand
        | ErrorKind::TooFewValues
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => 1,
        _ => NOT_RUN,
    };
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return match error.print() {
            Ok(()) => Failure::silent(code),
            Err(error) => error.into(),
        };
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    Failure::new(code, anyhow::Error::msg(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
        with_bool_values(Arguments::command()).debug_assert();
    }
}
