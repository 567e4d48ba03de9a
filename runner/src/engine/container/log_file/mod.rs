//! Reading a json-file log while the shim writes and rotates it. Blocking.
//!
//! The current file is `PATH`, older ones are `PATH.1` (the youngest), `PATH.2` and so on, or
//! `PATH.N.gz`. A rotation renames all of them and begins a new `PATH`; the reader notices by the
//! inode that `PATH` has, and then goes through every file between its own and the new one.

mod files;

use std::cmp::Ordering;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use jiff::Timestamp;

use self::files::{OpenFile, open_all, skip_to_tail};
use crate::launch::LogRecord;
use crate::spec::StdStream;

/// About as much as is sent in one go.
const BATCH_BYTES: usize = 64 << 10;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnedRecord {
    pub(super) log: String,
    pub(super) stream: StdStream,
    pub(super) time: Timestamp,
}

/// A file being read, plain or packed.
struct Source {
    reader: Box<dyn BufRead + Send>,
    inode: u64,
    /// Grows still, or did until a moment ago.
    is_current: bool,
}

/// A position in a log.
pub(super) struct LogFiles {
    path: PathBuf,
    /// To be read, the next one last.
    sources: Vec<Source>,
    /// The beginning of a line whose end was not written yet.
    partial: Vec<u8>,
    /// Time of the last line read, and how many of the last lines have that very time; finds the
    /// place again in a file that was packed or reached by a name we did not follow.
    last: Option<(Timestamp, usize)>,
    /// The file to go on after, when `sources` has been read.
    younger_than: Option<u64>,
}

impl LogFiles {
    /// At the beginning, or `tail` lines before the end. A log that does not exist yet is empty.
    pub(super) fn open(path: &Path, tail: Option<u64>) -> io::Result<Self> {
        let mut files = open_all(path)?;
        if let Some(tail) = tail {
            skip_to_tail(&mut files, tail)?;
        }
        let sources = files.into_iter().map(OpenFile::into_source);
        let mut sources = sources.collect::<io::Result<Vec<_>>>()?;
        if let Some(newest) = sources.first_mut() {
            newest.is_current = true;
        }
        Ok(Self {
            path: path.to_owned(),
            sources,
            partial: Vec::new(),
            last: None,
            younger_than: None,
        })
    }

    /// Some lines, or none when there are no more for now.
    pub(super) fn read_some(&mut self) -> io::Result<Vec<OwnedRecord>> {
        let mut records = Vec::new();
        let mut n_bytes = 0;
        while n_bytes < BATCH_BYTES {
            let Some(source) = self.sources.last_mut() else {
                match self.younger_than.take() {
                    Some(inode) => self.queue_younger_than(inode)?,
                    None if self.reopen()? => {}
                    None => break,
                }
                continue;
            };
            let read = source.reader.read_until(b'\n', &mut self.partial)?;
            n_bytes += read;
            if self.partial.ends_with(b"\n") {
                let line = std::mem::take(&mut self.partial);
                if let Some(record) = parse(&line) {
                    self.note(record.time);
                    records.push(record);
                }
            } else if read == 0 && !self.advance()? {
                break;
            }
        }
        Ok(records)
    }

    fn note(&mut self, time: Timestamp) {
        self.last = match self.last {
            Some((last, n)) if last == time => Some((time, n + 1)),
            _ => Some((time, 1)),
        };
    }

    /// At the end of a file: false when it is the current one and nothing follows.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(source) = self.sources.last() else {
            return Ok(false);
        };
        if !source.is_current {
            self.partial.clear();
            self.sources.pop();
            return Ok(true);
        }
        let inode = source.inode;
        match std::fs::metadata(&self.path) {
            Ok(metadata) if metadata.ino() == inode => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        // Rotated. The shim may have written between our last read and the rotation.
        let mut rest = Vec::new();
        if let Some(source) = self.sources.last_mut() {
            source.reader.read_to_end(&mut rest)?;
        }
        let mut unread = std::mem::take(&mut self.partial);
        unread.extend(rest);
        // Only when that is read do we know where the younger files go on.
        self.younger_than = Some(inode);
        self.sources = vec![Source {
            reader: Box::new(io::Cursor::new(unread)),
            inode,
            is_current: false,
        }];
        Ok(true)
    }

    /// Queues every file that came after the one with `inode`.
    fn queue_younger_than(&mut self, inode: u64) -> io::Result<()> {
        let files = open_all(&self.path)?;
        let ours = files.iter().position(|file| file.inode == inode);
        let (n_younger, must_skip) = match ours {
            Some(position) => (position, false),
            // Ours was packed or dropped meanwhile: all are candidates, what we know is skipped.
            None => (files.len(), true),
        };
        self.sources = files
            .into_iter()
            .take(n_younger)
            .map(OpenFile::into_source)
            .collect::<io::Result<_>>()?;
        if let Some(newest) = self.sources.first_mut() {
            newest.is_current = true;
        }
        if must_skip {
            self.skip_known();
        }
        Ok(())
    }

    /// Drops from the queue what was read before, by its time.
    fn skip_known(&mut self) {
        let Some((last, n_same)) = self.last else {
            return;
        };
        let seen = Seen {
            last,
            n_same: Arc::new(AtomicUsize::new(n_same)),
        };
        for source in &mut self.sources {
            let reader = std::mem::replace(&mut source.reader, Box::new(io::empty()));
            source.reader = Box::new(BufReader::new(Unseen {
                inner: reader,
                seen: seen.clone(),
                ready: io::Cursor::default(),
            }));
        }
    }

    /// A log that was not there at first.
    fn reopen(&mut self) -> io::Result<bool> {
        if !self.path.exists() {
            return Ok(false);
        }
        let opened = Self::open(&self.path, None)?;
        self.sources = opened.sources;
        Ok(!self.sources.is_empty())
    }
}

/// How far a reader got before it lost its place.
#[derive(Clone)]
struct Seen {
    last: Timestamp,
    /// Lines of that very time still to be left out, over all files.
    n_same: Arc<AtomicUsize>,
}

/// Leaves out the lines that were seen.
struct Unseen {
    inner: Box<dyn BufRead + Send>,
    seen: Seen,
    ready: io::Cursor<Vec<u8>>,
}

impl Read for Unseen {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let n_bytes = self.ready.read(buffer)?;
            if n_bytes > 0 {
                return Ok(n_bytes);
            }
            let mut line = Vec::new();
            if self.inner.read_until(b'\n', &mut line)? == 0 {
                return Ok(0);
            }
            let is_known = parse(&line).is_some_and(|record| {
                let left = &self.seen.n_same;
                match record.time.cmp(&self.seen.last) {
                    Ordering::Less => true,
                    Ordering::Greater => false,
                    Ordering::Equal => left
                        .try_update(Relaxed, Relaxed, |n| n.checked_sub(1))
                        .is_ok(),
                }
            });
            if !is_known {
                self.ready = io::Cursor::new(line);
            }
        }
    }
}

/// One line; `None` for one that is no record, such as a torn one after a power loss.
fn parse(line: &[u8]) -> Option<OwnedRecord> {
    let record: LogRecord<'_> = serde_json::from_slice(line).ok()?;
    Some(OwnedRecord {
        log: record.log.into_owned(),
        stream: record.stream,
        time: record.time,
    })
}

#[cfg(test)]
mod tests;
