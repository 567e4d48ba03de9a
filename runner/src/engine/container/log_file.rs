//! Reading a json-file log while the shim writes and rotates it. Blocking.
//!
//! The current file is `PATH`, older ones are `PATH.1` (the youngest), `PATH.2` and so on, or
//! `PATH.N.gz`. A rotation renames all of them and begins a new `PATH`; the reader notices by the
//! inode that `PATH` has, and then goes through every file between its own and the new one.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use flate2::bufread::MultiGzDecoder;
use jiff::Timestamp;

use crate::launch::LogRecord;
use crate::spec::StdStream;

/// About as much as is sent in one go.
const BATCH_BYTES: usize = 64 << 10;
/// A tail is looked for from the end in steps of this size.
const STEP_BYTES: u64 = 64 << 10;

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

/// One file of the log, held open.
struct OpenFile {
    file: File,
    inode: u64,
    packed: bool,
    /// Lines that a packed file begins with and that are not wanted.
    n_skipped: u64,
}

impl OpenFile {
    fn into_source(self) -> io::Result<Source> {
        let mut reader: Box<dyn BufRead + Send> = if self.packed {
            Box::new(BufReader::new(MultiGzDecoder::new(BufReader::new(
                self.file,
            ))))
        } else {
            Box::new(BufReader::new(self.file))
        };
        for _ in 0..self.n_skipped {
            reader.skip_until(b'\n')?;
        }
        Ok(Source {
            reader,
            inode: self.inode,
            is_current: false,
        })
    }
}

/// Opens the current file and all older ones, newest first; consistent even when a rotation
/// happens meanwhile.
fn open_all(path: &Path) -> io::Result<Vec<OpenFile>> {
    loop {
        let files = open_once(path)?;
        let newest = files.first().map(|file| file.inode);
        let now = match std::fs::metadata(path) {
            Ok(metadata) => Some(metadata.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        // In the middle of a rotation there is no current file; older ones are then all there is.
        if newest == now || now.is_none() {
            return Ok(files);
        }
    }
}

fn open_once(path: &Path) -> io::Result<Vec<OpenFile>> {
    let mut files = Vec::new();
    files.extend(open_file(path, false)?);
    for n in 1.. {
        let numbered = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{n}{suffix}"));
            PathBuf::from(name)
        };
        let file = match open_file(&numbered(""), false)? {
            Some(plain) => plain,
            None => match open_file(&numbered(".gz"), true)? {
                Some(packed) => packed,
                None => break,
            },
        };
        files.push(file);
    }
    Ok(files)
}

fn open_file(path: &Path, packed: bool) -> io::Result<Option<OpenFile>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let inode = file.metadata()?.ino();
    Ok(Some(OpenFile {
        file,
        inode,
        packed,
        n_skipped: 0,
    }))
}

/// Leaves the last `tail` lines: positions the file in which they begin, drops older ones.
fn skip_to_tail(files: &mut Vec<OpenFile>, tail: u64) -> io::Result<()> {
    let mut left = tail;
    let mut n_kept = 0;
    for file in files.iter_mut() {
        n_kept += 1;
        let n_lines = if file.packed {
            count_lines(BufReader::new(MultiGzDecoder::new(BufReader::new(
                &file.file,
            ))))?
        } else {
            seek_to_tail(&mut file.file, left)?
        };
        if file.packed {
            file.file.seek(SeekFrom::Start(0))?;
            file.n_skipped = n_lines.saturating_sub(left);
        }
        left = left.saturating_sub(n_lines);
        if left == 0 {
            break;
        }
    }
    files.truncate(n_kept);
    Ok(())
}

fn count_lines(mut reader: impl BufRead) -> io::Result<u64> {
    let mut n_lines = 0;
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        n_lines += u64::from(line.ends_with(b"\n"));
        line.clear();
    }
    Ok(n_lines)
}

/// Positions the file before its last `tail` lines; answers how many of them it has.
fn seek_to_tail(file: &mut File, tail: u64) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut n_lines = 0;
    let mut position = end;
    let mut step = Vec::new();
    while position > 0 {
        let begin = position.saturating_sub(STEP_BYTES);
        file.seek(SeekFrom::Start(begin))?;
        step.clear();
        file.by_ref()
            .take(position - begin)
            .read_to_end(&mut step)?;
        for (offset, _) in step
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, byte)| **byte == b'\n')
        {
            let after = begin + u64::try_from(offset).unwrap_or(0) + 1;
            // The line feed that ends the wanted part's predecessor.
            if n_lines == tail {
                file.seek(SeekFrom::Start(after))?;
                return Ok(n_lines);
            }
            n_lines += 1;
        }
        position = begin;
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(n_lines)
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
mod tests {
    use std::io::Write as _;

    use super::*;

    struct Log {
        dir: tempfile::TempDir,
        n_written: i64,
    }

    impl Log {
        fn new() -> Self {
            Self {
                dir: tempfile::tempdir().unwrap(),
                n_written: 0,
            }
        }

        fn path(&self) -> PathBuf {
            self.dir.path().join("x-json.log")
        }

        fn numbered(&self, n: usize) -> PathBuf {
            self.dir.path().join(format!("x-json.log.{n}"))
        }

        fn write(&mut self, n: usize) {
            let mut file = File::options()
                .create(true)
                .append(true)
                .open(self.path())
                .unwrap();
            for _ in 0..n {
                // Several lines share a time, as they do on a fast machine.
                let time = Timestamp::from_second(1_700_000_000 + self.n_written / 3).unwrap();
                let log = format!("{}\n", self.n_written);
                let record = serde_json::json!({"log": log, "stream": "stdout", "time": time});
                writeln!(file, "{record}").unwrap();
                self.n_written += 1;
            }
        }

        fn rotate(&self, pack: bool) {
            for n in (1..9).rev() {
                for suffix in ["", ".gz"] {
                    let from = PathBuf::from(format!("{}{suffix}", self.numbered(n).display()));
                    let to = PathBuf::from(format!("{}{suffix}", self.numbered(n + 1).display()));
                    drop(std::fs::rename(from, to));
                }
            }
            std::fs::rename(self.path(), self.numbered(1)).unwrap();
            if pack {
                let bytes = std::fs::read(self.numbered(1)).unwrap();
                let packed = format!("{}.gz", self.numbered(1).display());
                let mut encoder = flate2::write::GzEncoder::new(
                    File::create(packed).unwrap(),
                    flate2::Compression::fast(),
                );
                encoder.write_all(&bytes).unwrap();
                encoder.finish().unwrap();
                std::fs::remove_file(self.numbered(1)).unwrap();
            }
            File::create(self.path()).unwrap();
        }
    }

    fn read(files: &mut LogFiles) -> Vec<i64> {
        let mut numbers = Vec::new();
        loop {
            let records = files.read_some().unwrap();
            if records.is_empty() {
                return numbers;
            }
            numbers.extend(
                records
                    .iter()
                    .map(|record| record.log.trim().parse::<i64>().unwrap()),
            );
        }
    }

    #[test]
    fn rotated_files_are_read_in_order() {
        for pack in [false, true] {
            let mut log = Log::new();
            for n in [3, 2, 4] {
                log.write(n);
                log.rotate(pack);
            }
            log.write(2);
            let all: Vec<i64> = (0..11).collect();
            assert_eq!(read(&mut LogFiles::open(&log.path(), None).unwrap()), all);
            for tail in [1, 2, 3, 6, 7, 11, 20] {
                let expected: Vec<i64> = (i64::max(0, 11 - tail)..11).collect();
                let tail = u64::try_from(tail).unwrap();
                let mut files = LogFiles::open(&log.path(), Some(tail)).unwrap();
                let numbers = read(&mut files);
                assert_eq!(numbers, expected, "{tail}");
            }
        }
    }

    #[test]
    fn a_follower_loses_nothing_over_rotations() {
        for pack in [false, true] {
            let mut log = Log::new();
            let mut files = LogFiles::open(&log.path(), None).unwrap();
            assert!(read(&mut files).is_empty());
            let mut numbers = Vec::new();
            for n_rotations in [0, 1, 2, 3, 0, 1] {
                log.write(4);
                for _ in 0..n_rotations {
                    log.rotate(pack);
                    log.write(2);
                }
                numbers.extend(read(&mut files));
            }
            let all: Vec<i64> = (0..log.n_written).collect();
            assert_eq!(numbers, all, "packed: {pack}");
        }
    }

    #[test]
    fn a_line_is_read_only_when_it_is_whole() {
        let mut log = Log::new();
        log.write(1);
        let mut files = LogFiles::open(&log.path(), None).unwrap();
        assert_eq!(read(&mut files), [0]);
        let line = br#"{"log":"1\n","stream":"stderr","time":"2024-01-01T00:00:00Z"}"#;
        let mut file = File::options().append(true).open(log.path()).unwrap();
        file.write_all(&line[..20]).unwrap();
        assert!(read(&mut files).is_empty());
        file.write_all(&line[20..]).unwrap();
        file.write_all(b"\n").unwrap();
        assert_eq!(read(&mut files), [1]);
    }

    #[test]
    fn damaged_lines_are_passed_over() {
        let mut log = Log::new();
        log.write(1);
        let mut file = File::options().append(true).open(log.path()).unwrap();
        file.write_all(b"\0\0garbage\n").unwrap();
        log.write(1);
        assert_eq!(
            read(&mut LogFiles::open(&log.path(), None).unwrap()),
            [0, 1]
        );
    }
}
