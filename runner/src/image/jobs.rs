//! Getting one layer: downloaded, verified, unpacked. Pulls that want the same layer at the same
//! time share one job; when the last of them goes away, the job stops.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hythe_oci::client::{ClientError, RemoteRepository, Sink};
use hythe_oci::{Descriptor, DiffId, Digest};
use tokio::io::{AsyncWriteExt as _, BufWriter};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use super::layers::Unpack;
use super::{ImageError, Inner, LayerError, LayerProgress, ProgressSender};

/// Bytes gathered before they go to the disk: each write is a trip to another thread.
const WRITE_BYTES: usize = 1 << 20;

/// A layer as a manifest and a config name it together.
#[derive(Debug, Clone)]
pub(super) struct WantedLayer {
    pub(super) descriptor: Descriptor,
    pub(super) diff_id: DiffId,
}

/// Jobs under way, and how many may work at once.
#[derive(Debug)]
pub(super) struct LayerJobs {
    running: Mutex<HashMap<(Digest, DiffId), Weak<Job>>>,
    downloads: Semaphore,
    /// Unpacking is bound by processors, not by the network.
    unpacks: Semaphore,
}

/// What everybody who waits for a job can see.
#[derive(Debug, Clone, Default)]
struct News {
    /// Every state it went through; none is skipped for anybody.
    milestones: Vec<LayerProgress>,
    /// The last percentage.
    percentage: Option<LayerProgress>,
    outcome: Option<Result<(), Arc<LayerError>>>,
}

/// A job somebody waits for.
#[derive(Debug)]
struct Job {
    news: watch::Receiver<News>,
    task: AbortHandle,
    cancelled: Arc<AtomicBool>,
}

impl Drop for Job {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}

/// The job's own end of the news.
#[derive(Debug, Clone)]
struct Reporter(watch::Sender<News>);

impl Reporter {
    fn step(&self, step: LayerProgress) {
        self.0.send_modify(|news| {
            if step.is_milestone() {
                news.milestones.push(step);
                news.percentage = None;
            } else {
                news.percentage = Some(step);
            }
        });
    }
}

impl LayerJobs {
    pub(super) fn new(concurrent_downloads: usize) -> Self {
        let n_processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            running: Mutex::default(),
            downloads: Semaphore::new(concurrent_downloads.max(1)),
            unpacks: Semaphore::new(n_processors),
        }
    }
}

impl Inner {
    /// Gets a layer, telling `progress` what happens to it, also when another pull began it.
    pub(super) async fn get_layer(
        self: &Arc<Self>,
        repository: &RemoteRepository,
        wanted: &WantedLayer,
        progress: &ProgressSender,
    ) -> Result<(), ImageError> {
        let layer = &wanted.descriptor.digest;
        let job = self.join_or_start(repository, wanted);
        let mut news = job.news.clone();
        let mut n_told = 0;
        loop {
            let seen = news.borrow_and_update().clone();
            for &milestone in &seen.milestones[n_told..] {
                progress.layer(layer, milestone).await;
            }
            n_told = seen.milestones.len();
            if let Some(percentage) = seen.percentage {
                progress.layer(layer, percentage).await;
            }
            let failed = |source| ImageError::Layer {
                layer: layer.clone(),
                source,
            };
            if let Some(outcome) = seen.outcome {
                return outcome.map_err(failed);
            }
            if news.changed().await.is_err() {
                return Err(failed(Arc::new(LayerError::Cancelled)));
            }
        }
    }

    /// Whether a layer is here, packed and unpacked.
    pub(super) fn has_layer(&self, wanted: &WantedLayer) -> bool {
        let has_blob = self.content.contains(&wanted.descriptor.digest);
        has_blob.unwrap_or(false) && self.layers.contains(&wanted.diff_id)
    }

    fn join_or_start(
        self: &Arc<Self>,
        repository: &RemoteRepository,
        wanted: &WantedLayer,
    ) -> Arc<Job> {
        let key = (wanted.descriptor.digest.clone(), wanted.diff_id.clone());
        let mut running = self
            .jobs
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(job) = running.get(&key).and_then(Weak::upgrade)
            && job.news.borrow().outcome.is_none()
        {
            return job;
        }
        running.retain(|_, job| job.strong_count() > 0);
        let (sender, news) = watch::channel(News::default());
        let cancelled = Arc::new(AtomicBool::new(false));
        let work = {
            let (inner, wanted) = (Arc::clone(self), wanted.clone());
            let (repository, cancelled) = (repository.clone(), Arc::clone(&cancelled));
            async move {
                let reporter = Reporter(sender);
                let outcome = inner
                    .run_job(&repository, &wanted, cancelled, &reporter)
                    .await;
                reporter
                    .0
                    .send_modify(|news| news.outcome = Some(outcome.map_err(Arc::new)));
            }
        };
        let job = Arc::new(Job {
            news,
            task: tokio::spawn(work).abort_handle(),
            cancelled,
        });
        running.insert(key, Arc::downgrade(&job));
        job
    }

    async fn run_job(
        self: &Arc<Self>,
        repository: &RemoteRepository,
        wanted: &WantedLayer,
        cancelled: Arc<AtomicBool>,
        reporter: &Reporter,
    ) -> Result<(), LayerError> {
        let descriptor = &wanted.descriptor;
        // The blob is kept beside the unpacked layer, so that a push sends the very same bytes.
        let has_blob = self.content.contains(&descriptor.digest).unwrap_or(false);
        let has_layer = self.layers.contains(&wanted.diff_id);
        if has_blob && has_layer {
            reporter.step(LayerProgress::AlreadyExists);
            return Ok(());
        }
        reporter.step(LayerProgress::PullingFsLayer);
        if !has_blob {
            self.download(repository, descriptor, reporter).await?;
        }
        reporter.step(LayerProgress::DownloadComplete);
        if !has_layer {
            self.unpack(wanted, cancelled, reporter).await?;
        }
        reporter.step(LayerProgress::PullComplete);
        Ok(())
    }

    async fn download(
        self: &Arc<Self>,
        repository: &RemoteRepository,
        descriptor: &Descriptor,
        reporter: &Reporter,
    ) -> Result<(), LayerError> {
        let downloads = &self.jobs.downloads;
        let _slot = if let Ok(slot) = downloads.try_acquire() {
            slot
        } else {
            reporter.step(LayerProgress::Waiting);
            let slot = downloads.acquire().await;
            slot.map_err(|_| LayerError::Cancelled)?
        };
        if self.take_from_neighbour(repository, descriptor).await? {
            return Ok(());
        }
        let (digest, size_bytes) = (descriptor.digest.clone(), descriptor.size);
        let inner = Arc::clone(self);
        let ingest = tokio::task::spawn_blocking(move || inner.content.ingest(&digest, size_bytes))
            .await
            .map_err(|_| LayerError::Cancelled)?
            .map_err(LayerError::disk("begin the download"))?;
        let file = tokio::fs::File::from_std(ingest.file);
        let mut writer = BufWriter::with_capacity(WRITE_BYTES, file);
        let mut tell = |current_bytes| {
            reporter.step(LayerProgress::Downloading {
                current_bytes,
                total_bytes: size_bytes,
            });
        };
        let sink = Sink {
            writer: &mut writer,
            progress: &mut tell,
        };
        let downloaded = repository
            .download_blob(descriptor, ingest.hasher, ingest.offset_bytes, sink)
            .await;
        // Also after a failure: the next try goes on from what is in the file.
        let flushed = writer.flush().await;
        if let Err(error) = downloaded {
            if matches!(
                error,
                ClientError::WrongDigest { .. } | ClientError::WrongSize { .. }
            ) && let Err(error) = self.content.discard(&descriptor.digest)
            {
                tracing::warn!(blob = %descriptor.digest, %error, "a wrong download stays behind");
            }
            return Err(LayerError::Download(error));
        }
        flushed.map_err(LayerError::disk("write the blob"))?;
        reporter.step(LayerProgress::VerifyingChecksum);
        self.content
            .publish(&descriptor.digest)
            .map_err(LayerError::disk("keep the blob"))
    }

    async fn unpack(
        self: &Arc<Self>,
        wanted: &WantedLayer,
        cancelled: Arc<AtomicBool>,
        reporter: &Reporter,
    ) -> Result<(), LayerError> {
        let _slot = self
            .jobs
            .unpacks
            .acquire()
            .await
            .map_err(|_| LayerError::Cancelled)?;
        let inner = Arc::clone(self);
        let unpack = Unpack {
            blob: wanted.descriptor.digest.clone(),
            diff_id: wanted.diff_id.clone(),
            cancelled,
        };
        let (reporter, total_bytes) = (reporter.clone(), wanted.descriptor.size);
        let work = move || {
            inner.layers.unpack(&unpack, |current_bytes| {
                reporter.step(LayerProgress::Extracting {
                    current_bytes,
                    total_bytes,
                });
            })
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| LayerError::Cancelled)?
    }
}
