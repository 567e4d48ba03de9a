//! The command line of the runtime: runc's, as far as engines and people use it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::log::LogFormat;

/// Run containers from OCI bundles
#[derive(Debug, Parser)]
#[command(
    name = super::NAME,
    bin_name = super::NAME,
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(super) struct Arguments {
    /// Directory for the state of containers [default: /run/hythe-runtime]
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
    /// File for errors and warnings
    #[arg(long, value_name = "FILE")]
    pub(super) log: Option<PathBuf>,
    #[arg(long, value_enum, default_value = "text")]
    pub(super) log_format: LogFormat,
    /// Accepted: there is nothing more to be said
    #[arg(long)]
    pub(super) debug: bool,
    /// Not supported: control groups are made without systemd
    #[arg(long)]
    pub(super) systemd_cgroup: bool,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Create a container; its program waits for `start`
    Create(CreateArguments),
    /// Execute the program of a created container
    Start { id: String },
    /// Print the state of a container
    State { id: String },
    /// Send a signal to the init process of a container
    Kill {
        /// To all processes of the container
        #[arg(long, short)]
        all: bool,
        id: String,
        #[arg(default_value = "SIGTERM")]
        signal: String,
    },
    /// Remove a container that has ended
    Delete {
        /// End it first when it runs; no error when there is none
        #[arg(long, short)]
        force: bool,
        id: String,
    },
    /// Run one more program in a container
    Exec(Box<ExecArguments>),
    /// Create and start a container
    Run {
        /// Do not wait for its end
        #[arg(long, short)]
        detach: bool,
        /// Do not remove it at its end
        #[arg(long)]
        keep: bool,
        #[command(flatten)]
        create: CreateArguments,
    },
    /// List the processes of a container
    Ps {
        #[arg(long, short, value_enum, default_value = "table")]
        format: Format,
        id: String,
        /// Options of ps
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// List containers
    List {
        #[arg(long, short, value_enum, default_value = "table")]
        format: Format,
        /// Only ids
        #[arg(long, short)]
        quiet: bool,
    },
    /// Stop all processes of a container where they stand
    Pause { id: String },
    /// Let them go on
    Resume { id: String },
    /// Change the limits of a container
    Update {
        /// File with a `linux.resources` object; `-` is standard input
        #[arg(long, short, value_name = "FILE")]
        resources: PathBuf,
        id: String,
    },
    /// Print what this runtime can do
    Features,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
}

#[derive(Debug, Args)]
pub(super) struct CreateArguments {
    /// Directory with `config.json`
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub(super) bundle: PathBuf,
    /// Unix socket that is sent the terminal
    #[arg(long, value_name = "PATH")]
    pub(super) console_socket: Option<PathBuf>,
    /// File for the process id of init
    #[arg(long, value_name = "FILE")]
    pub(super) pid_file: Option<PathBuf>,
    /// Descriptors from 3 on that the program gets
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) preserve_fds: u32,
    /// Accepted: init always gets a session keyring of its own
    #[arg(long, hide = true)]
    pub(super) no_new_keyring: bool,
    pub(super) id: String,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub(super) struct ExecArguments {
    /// File with a `process` object
    #[arg(long, short, value_name = "FILE")]
    pub(super) process: Option<PathBuf>,
    /// Do not wait for its end
    #[arg(long, short)]
    pub(super) detach: bool,
    /// Give it a terminal
    #[arg(long, short)]
    pub(super) tty: bool,
    /// Unix socket that is sent the terminal
    #[arg(long, value_name = "PATH")]
    pub(super) console_socket: Option<PathBuf>,
    /// File for its process id
    #[arg(long, value_name = "FILE")]
    pub(super) pid_file: Option<PathBuf>,
    #[arg(long, value_name = "DIR")]
    pub(super) cwd: Option<PathBuf>,
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub(super) env: Vec<String>,
    #[arg(long, short, value_name = "UID[:GID]")]
    pub(super) user: Option<String>,
    #[arg(long, short = 'g', value_name = "GID")]
    pub(super) additional_gids: Vec<u32>,
    /// Give it one capability more
    #[arg(long, short = 'c', value_name = "NAME")]
    pub(super) cap: Vec<String>,
    #[arg(long)]
    pub(super) no_new_privs: bool,
    #[arg(long, value_name = "PROFILE")]
    pub(super) apparmor: Option<String>,
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) preserve_fds: u32,
    /// Also in a paused container
    #[arg(long)]
    pub(super) ignore_paused: bool,
    pub(super) id: String,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) command: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }
}
