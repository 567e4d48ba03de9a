//! Writes the container's log, inside the shim.
//!
//! A log that cannot be written (a full disk) never stops the container: what cannot be kept is
//! dropped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use super::journal::Journal;
use super::{LogRecord, ShimLog};
use crate::spec::StdStream;
use crate::sys::events::wait_for_end;
use crate::sys::process::{self, Child, CloneRequest};

/// Longer lines are split into records of this size, as Docker does.
const MAX_LINE_BYTES: usize = 16 * 1024;

/// The log being written.
#[derive(Debug)]
pub(super) struct LogWriter {
    config: ShimLog,
    file: File,
    journal: Option<Journal>,
    size_bytes: u64,
    stdout: Line,
    stderr: Line,
    /// The process that compresses the file that was rotated last.
    compressor: Option<Child>,
}

/// The line of one stream that has not ended yet.
#[derive(Debug, Default)]
struct Line {
    bytes: Vec<u8>,
    /// When the first piece of a line that had to be split came.
    split_since: Option<Timestamp>,
}

impl LogWriter {
    pub(super) fn open(config: ShimLog) -> io::Result<Self> {
        let file = open(&config.path)?;
        let size_bytes = file.metadata()?.len();
        let journal = config.journal.as_deref().map(Journal::open).transpose()?;
        Ok(Self {
            config,
            file,
            journal,
            size_bytes,
            stdout: Line::default(),
            stderr: Line::default(),
            compressor: None,
        })
    }

    /// Takes what a process wrote at `now`.
    pub(super) fn append(&mut self, stream: StdStream, bytes: &[u8], now: Timestamp) {
        let mut records = Vec::with_capacity(bytes.len() + 256);
        let mut ends = Vec::new();
        let line = match stream {
            StdStream::Stdout => &mut self.stdout,
            StdStream::Stderr => &mut self.stderr,
        };
        line.split(bytes, now, |text, time| {
            if let Some(journal) = &self.journal {
                journal.send(stream, text, text.ends_with(b"\n"));
            }
            write_record(&mut records, text, stream, time);
            ends.push(records.len());
        });
        self.write(&records, &ends);
    }

    /// Writes lines that never ended. Nothing may follow.
    pub(super) fn finish(&mut self) {
        for stream in [StdStream::Stdout, StdStream::Stderr] {
            let line = match stream {
                StdStream::Stdout => &mut self.stdout,
                StdStream::Stderr => &mut self.stderr,
            };
            if !line.bytes.is_empty() {
                let mut record = Vec::new();
                let time = line.split_since.unwrap_or_else(Timestamp::now);
                if let Some(journal) = &self.journal {
                    journal.send(stream, &line.bytes, true);
                }
                write_record(&mut record, &line.bytes, stream, time);
                line.bytes = Vec::new();
                let end = record.len();
                self.write(&record, &[end]);
            }
        }
        self.await_compressor();
    }

    /// Writes whole records, as many as fit at once; `ends` are their ends.
    fn write(&mut self, records: &[u8], ends: &[usize]) {
        let Some(limit) = self.config.max_size_bytes else {
            self.write_to_file(records);
            return;
        };
        let mut from = 0;
        let mut to = 0;
        for &end in ends {
            let grown = self.size_bytes + (end - from) as u64;
            if grown > limit && (self.size_bytes > 0 || to > from) {
                self.write_to_file(&records[from..to]);
                from = to;
                if self.size_bytes > 0 {
                    self.rotate();
                }
            }
            to = end;
        }
        self.write_to_file(&records[from..to]);
    }

    fn write_to_file(&mut self, bytes: &[u8]) {
        match self.file.write_all(bytes) {
            Ok(()) => self.size_bytes += bytes.len() as u64,
            Err(_full) => {
                // A partial record would spoil the next one: cut back to the last whole one.
                let _still_full = self.file.set_len(self.size_bytes);
            }
        }
    }

    /// Shifts `log` to `log.1`, `log.1` to `log.2` and so on, and starts a new file.
    fn rotate(&mut self) {
        self.await_compressor();
        let n_kept = self.config.max_files.max(1);
        if n_kept == 1 {
            let _stays_large = self.file.set_len(0);
            self.size_bytes = 0;
            return;
        }
        for number in (1..n_kept).rev() {
            for suffix in ["", ".gz"] {
                let from = self.rotated(number, suffix);
                let _missing = if number + 1 == n_kept {
                    fs::remove_file(from)
                } else {
                    fs::rename(from, self.rotated(number + 1, suffix))
                };
            }
        }
        let first = self.rotated(1, "");
        if fs::rename(&self.config.path, &first).is_err() {
            return;
        }
        match open(&self.config.path) {
            Ok(file) => {
                self.file = file;
                self.size_bytes = 0;
            }
            // Goes on in the renamed file rather than losing output.
            Err(_) => return,
        }
        if self.config.compress {
            self.compress(first);
        }
    }

    fn rotated(&self, number: u32, suffix: &str) -> PathBuf {
        let mut name = self.config.path.clone().into_os_string();
        name.push(format!(".{number}{suffix}"));
        PathBuf::from(name)
    }

    /// Compresses in a process of its own: the shim has one thread and must go on reading.
    fn compress(&mut self, path: PathBuf) {
        let target = self.rotated(1, ".gz");
        self.compressor = process::clone_process(CloneRequest::default(), move || {
            let compressed = (|| -> io::Result<()> {
                let mut encoder = GzEncoder::new(File::create(&target)?, Compression::default());
                io::copy(&mut File::open(&path)?, &mut encoder)?;
                encoder.finish()?.sync_all()?;
                fs::remove_file(&path)
            })();
            i32::from(compressed.is_err())
        })
        .ok();
    }

    fn await_compressor(&mut self) {
        if let Some(child) = self.compressor.take() {
            let _ended = wait_for_end(child.pidfd.as_fd());
            let _reaped = process::reap(child.pidfd.as_fd());
        }
    }
}

impl Line {
    /// Hands each line in `bytes` (with its line feed) or full piece (without) to `emit`.
    fn split(&mut self, mut bytes: &[u8], now: Timestamp, mut emit: impl FnMut(&[u8], Timestamp)) {
        while !bytes.is_empty() {
            let room = MAX_LINE_BYTES - self.bytes.len();
            let window = &bytes[..bytes.len().min(room)];
            match window.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    let time = self.split_since.take().unwrap_or(now);
                    if self.bytes.is_empty() {
                        emit(&bytes[..=end], time);
                    } else {
                        self.bytes.extend_from_slice(&bytes[..=end]);
                        emit(&self.bytes, time);
                        // Freed, not kept: most containers write whole lines.
                        self.bytes = Vec::new();
                    }
                    bytes = &bytes[end + 1..];
                }
                None if window.len() == room => {
                    self.bytes.extend_from_slice(window);
                    emit(&self.bytes, *self.split_since.get_or_insert(now));
                    self.bytes = Vec::new();
                    bytes = &bytes[room..];
                }
                None => {
                    self.bytes.extend_from_slice(window);
                    return;
                }
            }
        }
    }
}

fn write_record(records: &mut Vec<u8>, line: &[u8], stream: StdStream, time: Timestamp) {
    let record = LogRecord {
        log: String::from_utf8_lossy(line),
        stream,
        time,
    };
    // A vector takes all, and a record has nothing that JSON does not know.
    if serde_json::to_writer(&mut *records, &record).is_ok() {
        records.push(b'\n');
    }
}

fn open(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn writer(directory: &std::path::Path, max_size_bytes: Option<u64>) -> LogWriter {
        LogWriter::open(ShimLog {
            path: directory.join("log"),
            max_size_bytes,
            max_files: 3,
            compress: false,
            journal: None,
        })
        .unwrap()
    }

    fn records(directory: &std::path::Path) -> Vec<(String, StdStream)> {
        let text = fs::read_to_string(directory.join("log")).unwrap();
        text.lines()
            .map(|line| {
                let record: LogRecord<'_> = serde_json::from_str(line).unwrap();
                (record.log.into_owned(), record.stream)
            })
            .collect()
    }

    #[test]
    fn lines_are_split_as_docker_does() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = writer(directory.path(), None);
        let now = Timestamp::now();
        log.append(StdStream::Stdout, b"a\nb", now);
        log.append(StdStream::Stderr, b"err\n", now);
        log.append(StdStream::Stdout, b"c\n", now);
        log.append(StdStream::Stdout, &vec![b'x'; MAX_LINE_BYTES + 5], now);
        log.append(StdStream::Stdout, b"\nlast", now);
        log.finish();
        let lengths: Vec<_> = records(directory.path())
            .into_iter()
            .map(|(text, _)| (text.len(), text.ends_with('\n')))
            .collect();
        let expected = [
            (2, true),
            (4, true),
            (3, true),
            (16384, false),
            (6, true),
            (4, false),
        ];
        assert_eq!(lengths, expected);
    }

    #[test]
    fn records_look_as_docker_writes_them() {
        let mut record = Vec::new();
        let time: Timestamp = "2024-01-02T03:04:05.000000006Z".parse().unwrap();
        write_record(&mut record, b"a\"\xff\n", StdStream::Stderr, time);
        let expected = "{\"log\":\"a\\\"\u{fffd}\\n\",\"stream\":\"stderr\",\
                        \"time\":\"2024-01-02T03:04:05.000000006Z\"}\n";
        assert_eq!(String::from_utf8(record).unwrap(), expected);
    }

    #[test]
    fn old_files_go_when_the_log_rotates() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = writer(directory.path(), Some(200));
        for number in 0..20 {
            let line = format!("line {number}\n");
            log.append(StdStream::Stdout, line.as_bytes(), Timestamp::now());
        }
        let mut names: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["log", "log.1", "log.2"]);
        for name in names {
            let size = fs::metadata(directory.path().join(name)).unwrap().len();
            assert!(size <= 200 && size > 0);
        }
        assert_eq!(records(directory.path()).last().unwrap().0, "line 19\n");
    }

    #[test]
    fn rotated_files_are_compressed() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = writer(directory.path(), Some(100));
        log.config.compress = true;
        for _ in 0..3 {
            log.append(StdStream::Stdout, &[b'z'; 60], Timestamp::now());
            log.append(StdStream::Stdout, b"\n", Timestamp::now());
        }
        log.finish();
        assert!(directory.path().join("log.1.gz").is_file());
        assert!(directory.path().join("log.2.gz").is_file());
        assert!(!directory.path().join("log.1").exists());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_however_it_arrives(
            pieces in proptest::collection::vec("[a-c\n]{0,40}", 0..20)
        ) {
            let directory = tempfile::tempdir().unwrap();
            let mut log = writer(directory.path(), None);
            for piece in &pieces {
                log.append(StdStream::Stdout, piece.as_bytes(), Timestamp::now());
            }
            log.finish();
            let all: String = records(directory.path()).into_iter().map(|it| it.0).collect();
            prop_assert_eq!(all, pieces.concat());
        }
    }
}
