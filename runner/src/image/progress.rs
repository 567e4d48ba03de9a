//! What a pull or a push tells while it works, in docker's own states.
//!
//! The channel is bounded. Percentages are dropped when the reader is slow; milestones wait for it,
//! so that every layer's story ends.

use hythe_oci::Digest;
use tokio::sync::mpsc;

/// One step of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerProgress {
    /// Known from the manifest, nothing asked yet.
    PullingFsLayer,
    /// Behind other layers in the queue.
    Waiting,
    /// So much of the packed layer has arrived.
    Downloading {
        current_bytes: u64,
        total_bytes: u64,
    },
    VerifyingChecksum,
    DownloadComplete,
    /// So much of the packed layer has been unpacked.
    Extracting {
        current_bytes: u64,
        total_bytes: u64,
    },
    PullComplete,
    /// The unpacked layer (pull) is here already.
    AlreadyExists,
    /// Push: asking whether the registry has it.
    Preparing,
    Pushing {
        current_bytes: u64,
        total_bytes: u64,
    },
    Pushed,
    /// Push: the registry has it.
    LayerAlreadyExists,
    /// Push: taken over from another repository of the same registry.
    Mounted,
}

impl LayerProgress {
    /// Whether a reader must see it; the others are only percentages.
    pub fn is_milestone(self) -> bool {
        !matches!(
            self,
            Self::Downloading { .. } | Self::Extracting { .. } | Self::Pushing { .. }
        )
    }
}

/// News of a pull or a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The manifest was found; its layers follow, lowest first.
    Resolved { layers: Vec<Digest> },
    /// `layer` is the digest of the packed blob; docker shows its first twelve digits.
    Layer { layer: Digest, step: LayerProgress },
}

/// Where progress goes. A closed receiver means that nobody listens; it cancels nothing.
#[derive(Debug, Clone)]
pub struct ProgressSender(mpsc::Sender<Progress>);

impl ProgressSender {
    /// A sender and the end to read from.
    pub fn channel() -> (Self, mpsc::Receiver<Progress>) {
        let (sender, receiver) = mpsc::channel(256);
        (Self(sender), receiver)
    }

    /// A sender whose news nobody reads.
    pub fn silent() -> Self {
        Self::channel().0
    }

    pub(super) async fn send(&self, progress: Progress) {
        // Nobody listens: nothing to tell.
        drop(self.0.send(progress).await);
    }

    pub(super) async fn layer(&self, layer: &Digest, step: LayerProgress) {
        if step.is_milestone() {
            let layer = layer.clone();
            self.send(Progress::Layer { layer, step }).await;
        } else {
            self.percentage(layer, step);
        }
    }

    /// Never waits: when the reader is slow, the next percentage says more.
    pub(super) fn percentage(&self, layer: &Digest, step: LayerProgress) {
        let layer = layer.clone();
        drop(self.0.try_send(Progress::Layer { layer, step }));
    }
}
