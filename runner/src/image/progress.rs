//! What a pull or a push tells while it works, in docker's own states.
//!
//! The channel is bounded and senders never wait for it: a slow reader misses intermediate
//! percentages, never the final state of a layer.

use hythe_oci::Digest;
use tokio::sync::mpsc;

/// One step of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerProgress {
    /// Known from the manifest, nothing asked yet.
    PullingFsLayer,
    /// Behind other layers in the queue.
    Waiting,
    Downloading {
        current_bytes: u64,
        total_bytes: u64,
    },
    /// A transfer broke and is tried again after this many seconds.
    Retrying {
        in_seconds: u64,
    },
    VerifyingChecksum,
    DownloadComplete,
    /// Compressed bytes taken out of the blob so far.
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
    LayerAlreadyExists,
    /// Push: taken over from another repository of the same registry.
    MountedFrom,
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
    /// The manifest was found; layers follow.
    Resolved {
        repository: String,
        tag: Option<String>,
    },
    /// `layer` is the digest of the compressed blob; docker shows its first twelve digits.
    Layer { layer: Digest, step: LayerProgress },
    /// The digest of what the reference named (an index or a manifest).
    Digest(Digest),
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
}
