//! The pass over every blob that all processes on one database make together.

use std::time::Duration;

use crate::error_chain::Chain;
use crate::registry::{BadBlob, Remedy, Scrubbed, Scrubber, Turn};

/// How often it is asked whether a pass is due or another process is gone.
const ASK_EVERY: Duration = Duration::from_secs(30);

const BLOBS: &str = "hythe_scrub_blobs_total";
const BYTES: &str = "hythe_scrub_bytes_total";
const BAD: &str = "hythe_scrub_bad_blobs_total";
const UNREAD: &str = "hythe_scrub_unread_blobs_total";
const PASSES: &str = "hythe_scrub_passes_total";
const QUARANTINED: &str = "hythe_quarantined_blobs";
const FAILURES: &str = "hythe_scrub_failures_total";

pub(super) fn describe() {
    metrics::describe_counter!(BLOBS, "Blobs read again and compared with their digest");
    metrics::describe_counter!(BYTES, "Bytes read for that");
    metrics::describe_counter!(BAD, "Blobs found wrong, by remedy");
    metrics::describe_counter!(UNREAD, "Blobs that an answering store did not give");
    metrics::describe_gauge!(QUARANTINED, "Blobs that are served to nobody");
    metrics::describe_counter!(PASSES, "Whole passes over the store");
    metrics::describe_counter!(
        FAILURES,
        "Interruptions by a store or database that is gone"
    );
}

pub(super) async fn repeat(every: Duration, mut scrubber: Scrubber) {
    loop {
        match scrubber.turn(every).await {
            Ok(Turn::Went(scrubbed)) => {
                tell(&scrubbed);
                if scrubbed.released > 0 || !scrubbed.bad.is_empty() {
                    count(&scrubber).await;
                }
            }
            Ok(Turn::Finished) => {
                metrics::counter!(PASSES).increment(1);
                tracing::info!("every blob was read again");
            }
            Ok(Turn::Waiting) => {
                // A push may have repaired one.
                count(&scrubber).await;
                tokio::time::sleep(ASK_EVERY.min(every)).await;
            }
            Err(error) => {
                metrics::counter!(FAILURES).increment(1);
                tracing::warn!(error = %Chain(&error), "the scrub was interrupted; it goes on");
                tokio::time::sleep(ASK_EVERY).await;
            }
        }
    }
}

async fn count(scrubber: &Scrubber) {
    // When the database is gone, the next turn says so.
    if let Ok(quarantined) = scrubber.quarantined().await {
        metrics::gauge!(QUARANTINED).set(u32::try_from(quarantined).unwrap_or(u32::MAX));
    }
}

fn tell(scrubbed: &Scrubbed) {
    metrics::counter!(BLOBS).increment(scrubbed.blobs);
    metrics::counter!(BYTES).increment(scrubbed.bytes);
    metrics::counter!(UNREAD).increment(scrubbed.unread);
    for bad in &scrubbed.bad {
        let remedy = match bad.remedy {
            Remedy::Quarantined => "quarantined",
            Remedy::Repaired => "repaired",
        };
        metrics::counter!(BAD, "remedy" => remedy).increment(1);
        tracing::error!(
            digest = %bad.digest,
            reason = bad.reason,
            remedy,
            hurts = hurts(bad),
            "a blob is not what its digest says"
        );
    }
}

/// `web:latest, web:1.2, tools`.
fn hurts(bad: &BadBlob) -> String {
    let mut names = Vec::new();
    for hurt in &bad.hurts {
        if hurt.tags.is_empty() {
            names.push(hurt.repository.to_string());
        }
        names.extend(
            hurt.tags
                .iter()
                .map(|tag| format!("{}:{tag}", hurt.repository)),
        );
    }
    names.join(", ")
}
