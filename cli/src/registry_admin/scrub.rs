//! `hythe registry scrub`: reads every blob now and says which are not what their digest says.

use clap::Args;
use hythe_server::{BadBlob, Remedy, Scrubbed};

use super::check::hurt;
use super::show::{FormatArguments, counted, lines};
use super::stores::StoreArguments;
use crate::failure::Outcome;
use crate::format::binary_size;

#[derive(Debug, Args)]
pub(super) struct ScrubArguments {
    /// The most that is read in a second [default: what the configuration says]
    #[arg(long, value_name = "BYTES")]
    bytes_per_second: Option<u64>,
    #[command(flatten)]
    format: FormatArguments,
}

/// Ends with 1 when a blob is left that is served to nobody.
pub(super) async fn run(arguments: &ScrubArguments, stores: &StoreArguments) -> Outcome {
    let registry = stores.open().await?;
    let scrubbed = registry.scrub(arguments.bytes_per_second).await?;
    arguments
        .format
        .show(|| told(&scrubbed), || serde_json::to_value(&scrubbed))?;
    let left = |bad: &BadBlob| bad.remedy == Remedy::Quarantined;
    Ok(u8::from(
        scrubbed.unread > 0 || scrubbed.bad.iter().any(left),
    ))
}

fn told(scrubbed: &Scrubbed) -> String {
    let mut sum = format!(
        "read {} ({}), {} wrong",
        counted(scrubbed.blobs, "blob"),
        binary_size(scrubbed.bytes),
        scrubbed.bad.len()
    );
    for (count, what) in [
        (scrubbed.unread, "not given by the store"),
        (scrubbed.released, "right again after a quarantine"),
    ] {
        if count > 0 {
            sum += ", ";
            sum += &counted(count, "blob");
            sum += " ";
            sum += what;
        }
    }
    lines(scrubbed.bad.iter().map(line), sum)
}

fn line(bad: &BadBlob) -> String {
    let remedy = match bad.remedy {
        Remedy::Quarantined => "quarantined until it is pushed again",
        Remedy::Repaired => "repaired from the replica",
    };
    format!(
        "blob {} is bad, {}; {remedy}; it hurts {}",
        bad.digest,
        bad.reason,
        hurt(&bad.hurts)
    )
}
