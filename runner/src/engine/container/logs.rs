//! The log of a container, as callers ask for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use tokio::sync::watch;

use super::cell::{Container, Life};
use super::log_file::{LogFiles, OwnedRecord};
use super::request::LogOptions;
use crate::engine::stream::{Logs, OutputStream};
use crate::engine::{Engine, EngineError};
use crate::spec::{ContainerRef, LogDriver, StdStream};

/// How long a follower sleeps when there is nothing new; short enough to feel immediate.
const POLL: Duration = Duration::from_millis(50);

impl Engine {
    pub async fn container_logs(
        &self,
        container: &ContainerRef,
        options: LogOptions,
    ) -> Result<Logs, EngineError> {
        if !options.stdout && !options.stderr {
            return Err(EngineError::InvalidParameter(
                "Bad parameters: you must choose at least one stream".to_owned(),
            ));
        }
        let container = self.find_container(container)?;
        self.logs_of(&container, options).await
    }

    pub(super) async fn logs_of(
        &self,
        container: &Arc<Container>,
        options: LogOptions,
    ) -> Result<Logs, EngineError> {
        if container.read(|record| record.host.log.driver) == LogDriver::None {
            return Err(EngineError::NotImplemented(
                "configured logging driver does not support reading".to_owned(),
            ));
        }
        // Whether it runs is looked at before the file is: what is written after that look is
        // either read now or announced by the end of the run.
        let life = container.watch();
        let path = self.shared.paths.log(container.id());
        let tail = options.tail;
        let files = blocking(move || LogFiles::open(&path, tail)).await?;
        let tty = container.read(|record| record.config.tty);
        let output = if options.tail == Some(0) && !options.follow {
            stream::empty().boxed()
        } else {
            follow(files, life, options)
        };
        Ok(Logs { tty, output })
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, EngineError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| EngineError::internal("reading the log", &error))?
        .map_err(|error| EngineError::internal("reading the log", &error))
}

/// What a reader of a log is at.
struct Reader {
    files: LogFiles,
    life: watch::Receiver<Life>,
    n_exits: u64,
    options: LogOptions,
    done: bool,
}

/// The records that match, in pieces of what one read gave.
fn follow(files: LogFiles, mut life: watch::Receiver<Life>, options: LogOptions) -> OutputStream {
    let n_exits = life.borrow_and_update().n_exits;
    let reader = Reader {
        files,
        life,
        n_exits,
        options,
        done: false,
    };
    stream::unfold(reader, |reader| async move {
        if reader.done {
            return None;
        }
        match reader.next().await {
            Ok((chunks, reader)) => Some((stream::iter(chunks).map(Ok).boxed(), reader)),
            Err(error) => {
                tracing::warn!(%error, "a log ends early");
                None
            }
        }
    })
    .flatten()
    .boxed()
}

impl Reader {
    /// The next pieces to send; may be none, when nothing of what was read matches.
    async fn next(mut self) -> Result<(Vec<(StdStream, Bytes)>, Self), EngineError> {
        // Before the read: an end of the run that is seen here has all its output in the file.
        let over = !self.options.follow || self.is_over();
        let (records, mut this) = blocking(move || {
            let records = self.files.read_some()?;
            Ok((records, self))
        })
        .await?;
        if records.is_empty() {
            if over {
                this.done = true;
            } else {
                this.pause().await;
            }
        }
        let mut chunks = Vec::new();
        for record in records {
            if let Some(until) = this.options.until
                && record.time > until
            {
                this.done = true;
                break;
            }
            if let Some(bytes) = this.shown(&record) {
                chunks.push((record.stream, bytes));
            }
        }
        Ok((chunks, this))
    }

    fn is_over(&mut self) -> bool {
        let life = self.life.borrow_and_update();
        let until_passed = self
            .options
            .until
            .is_some_and(|until| Timestamp::now() > until);
        !life.active || life.n_exits > self.n_exits || life.removed || until_passed
    }

    /// Until there may be something new.
    async fn pause(&mut self) {
        // Either way the loop looks again.
        drop(tokio::time::timeout(POLL, self.life.changed()).await);
    }

    /// The bytes of a record as they are sent; `None` when it was not asked for.
    fn shown(&self, record: &OwnedRecord) -> Option<Bytes> {
        let options = &self.options;
        let wanted = match record.stream {
            StdStream::Stdout => options.stdout,
            StdStream::Stderr => options.stderr,
        };
        let late_enough = options.since.is_none_or(|since| record.time >= since);
        if !wanted || !late_enough {
            return None;
        }
        let mut bytes = BytesMut::with_capacity(record.log.len() + 32);
        if options.timestamps {
            bytes.put_slice(rfc3339_nano(record.time).as_bytes());
            bytes.put_u8(b' ');
        }
        if options.details {
            // This driver keeps no attributes with its lines; docker then sends a space.
            bytes.put_u8(b' ');
        }
        bytes.put_slice(record.log.as_bytes());
        Some(bytes.freeze())
    }
}

/// With all nine digits, as docker prints it.
fn rfc3339_nano(time: Timestamp) -> String {
    format!("{time:.9}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_nine_digits() {
        let time: Timestamp = "2024-05-06T07:08:09.1Z".parse().unwrap();
        assert_eq!(rfc3339_nano(time), "2024-05-06T07:08:09.100000000Z");
        let whole: Timestamp = "2024-05-06T07:08:09Z".parse().unwrap();
        assert_eq!(rfc3339_nano(whole), "2024-05-06T07:08:09.000000000Z");
    }
}
