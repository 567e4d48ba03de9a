use std::fs::File;
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
