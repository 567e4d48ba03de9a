//! Our own nft table, kept equal to what it should say.
//!
//! Rules reach the kernel through `nft -f -`, one atomic transaction each. A container without
//! published ports costs no process at all; one with ports costs one `nft` (about 2 ms).

mod foreign;
mod ruleset;
mod watch;

use std::io;

pub(super) use ruleset::{BridgeRules, Mapping, Ruleset};

use super::NetworkError;
use crate::sys::program;

pub(super) use foreign::ForeignForward;
pub(super) use watch::{Change, Watch};

/// The table of one agent instance. Callers serialise their calls: see `Networks::rules`.
#[derive(Debug)]
pub(super) struct Firewall {
    table: String,
}

impl Firewall {
    pub(super) fn new(table: String) -> Self {
        Self { table }
    }

    /// Replaces the whole table.
    pub(super) async fn apply(&self, ruleset: &Ruleset) -> Result<(), NetworkError> {
        nft(&ruleset.text()).await
    }

    /// Adds ports to a table that [`apply`](Self::apply) has made.
    pub(super) async fn publish(&self, mappings: &[Mapping]) -> Result<(), NetworkError> {
        let commands: String = mappings.iter().map(|m| m.add(&self.table)).collect();
        nft(&commands).await
    }

    /// Takes ports out. Fails as a whole when one of them is not there.
    pub(super) async fn withdraw(&self, mappings: &[Mapping]) -> Result<(), NetworkError> {
        let commands: String = mappings.iter().map(|m| m.delete(&self.table)).collect();
        nft(&commands).await
    }

    /// Whether an earlier run of this agent guards forwarding in its table.
    pub(super) async fn guards_forwarding(&self) -> bool {
        let arguments = ["list", "chain", "inet", &self.table, "forward"];
        program::run("nft", &arguments, "")
            .await
            .is_ok_and(|done| done.success && done.stdout.contains(ruleset::GUARD_COMMENT))
    }

    /// Whether the table is there.
    pub(super) async fn is_present(&self) -> bool {
        let arguments = ["list", "table", "inet", &self.table];
        program::run("nft", &arguments, "")
            .await
            .is_ok_and(|done| done.success)
    }
}

async fn nft(commands: &str) -> Result<(), NetworkError> {
    if commands.is_empty() {
        return Ok(());
    }
    let done = program::run("nft", &["-f", "-"], commands)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => NetworkError::PacketFilter(
                "the program nft is not installed (package nftables)".to_owned(),
            ),
            _ => NetworkError::PacketFilter(format!("running nft: {error}")),
        })?;
    if done.success {
        return Ok(());
    }
    tracing::debug!(commands, stderr = done.stderr, "nft refused a transaction");
    Err(NetworkError::PacketFilter(first_lines(&done.stderr)))
}

/// The first error of nft; what follows repeats our own text.
fn first_lines(stderr: &str) -> String {
    stderr.lines().next().unwrap_or("nft failed").to_owned()
}
