//! Repairing the packet filter when somebody else changed it.

use std::sync::Weak;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::super::firewall::{Change, Watch};
use super::{Inner, Networks};

/// A firewall that reloads makes many changes; they are waited out before anything is repaired.
const CALM: Duration = Duration::from_millis(300);

impl Networks {
    /// Starts watching. Without it [`reconcile`](Self::reconcile) is left to others.
    pub(super) fn watch_rules(&self) {
        let watch = match Watch::new(self.inner.settings.table()) {
            Ok(watch) => watch,
            Err(error) => {
                tracing::warn!(%error, "changes of the packet filter will not be noticed");
                return;
            }
        };
        let task = tokio::spawn(repair_on_change(
            watch,
            std::sync::Arc::downgrade(&self.inner),
        ));
        // `open` calls this once.
        drop(self.inner.watcher.set(AbortOnDropHandle::new(task)));
    }
}

async fn repair_on_change(mut watch: Watch, inner: Weak<Inner>) {
    loop {
        let mut change = match watch.next().await {
            Ok(change) => change,
            Err(error) => {
                tracing::warn!(%error, "changes of the packet filter are no longer noticed");
                return;
            }
        };
        while let Ok(Ok(next)) = tokio::time::timeout(CALM, watch.next()).await {
            change = change.max(next);
        }
        let Some(inner) = inner.upgrade() else {
            return;
        };
        let networks = Networks { inner };
        let needed = match change {
            Change::OwnTable => networks.has_lost_rules().await,
            Change::Forward => true,
        };
        if needed {
            tracing::info!(
                ?change,
                "the host's packet filter changed: repairing our part"
            );
            if let Err(error) = networks.reconcile().await {
                tracing::warn!(%error, "repairing the packet filter");
            }
        }
    }
}
