//! The files of a log, opened all at once, and where in them a tail begins.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::Source;

/// A tail is looked for from the end in steps of this size.
const STEP_BYTES: u64 = 64 << 10;

/// One file of the log, held open.
pub(super) struct OpenFile {
    file: File,
    pub(super) inode: u64,
    packed: bool,
    /// Lines that a packed file begins with and that are not wanted.
    n_skipped: u64,
}

impl OpenFile {
    pub(super) fn into_source(self) -> io::Result<Source> {
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
pub(super) fn open_all(path: &Path) -> io::Result<Vec<OpenFile>> {
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
pub(super) fn skip_to_tail(files: &mut Vec<OpenFile>, tail: u64) -> io::Result<()> {
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
