//! Sends what a container writes to systemd's journal, inside the shim: the native protocol, one
//! datagram for each entry.
//!
//! A line is split at 16 KiB before it comes here, so that an entry always fits a datagram and no
//! file has to be handed over instead.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use crate::spec::StdStream;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// How long a full journal may hold a container up before a line is dropped.
const PATIENCE: Duration = Duration::from_secs(1);

/// Of syslog(3): an error, and what is just told.
const ERROR: &str = "3";
const INFORMATIONAL: &str = "6";

/// Whether this machine has a journal.
pub fn is_there() -> bool {
    Path::new(SOCKET).exists()
}

/// The journal as one container writes to it.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    /// Those that every entry has, ready to be sent.
    fields: Vec<u8>,
}

impl Journal {
    pub(super) fn open(fields: &[(String, String)]) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut constant = Vec::new();
        for (name, value) in fields {
            write_field(&mut constant, name, value.as_bytes());
        }
        Ok(Self {
            socket,
            fields: constant,
        })
    }

    /// Sends one line, with or without its end: one without is to be continued.
    pub(super) fn send(&self, stream: StdStream, line: &[u8], is_whole: bool) {
        let entry = self.entry(stream, line, is_whole);
        // By its path each time: a journal that was restarted listens anew. What it does not take
        // is lost to it, and still in the file.
        let _lost = self.socket.send_to(&entry, SOCKET);
    }

    fn entry(&self, stream: StdStream, line: &[u8], is_whole: bool) -> Vec<u8> {
        let mut entry = Vec::with_capacity(self.fields.len() + line.len() + 64);
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let priority = match stream {
            StdStream::Stdout => INFORMATIONAL,
            StdStream::Stderr => ERROR,
        };
        write_field(&mut entry, "MESSAGE", text);
        write_field(&mut entry, "PRIORITY", priority.as_bytes());
        if !is_whole {
            write_field(&mut entry, "CONTAINER_PARTIAL_MESSAGE", b"true");
        }
        entry.extend_from_slice(&self.fields);
        entry
    }
}

/// `NAME=VALUE`, or with its length where the value has line feeds.
fn write_field(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_as_the_journal_reads_them() {
        let fields = [("CONTAINER_NAME".to_owned(), "box".to_owned())];
        let journal = Journal::open(&fields).unwrap();
        assert_eq!(
            journal.entry(StdStream::Stderr, b"words\n", true),
            b"MESSAGE=words\nPRIORITY=3\nCONTAINER_NAME=box\n"
        );
        assert_eq!(
            journal.entry(StdStream::Stdout, b"a\xff", false),
            b"MESSAGE=a\xff\nPRIORITY=6\nCONTAINER_PARTIAL_MESSAGE=true\nCONTAINER_NAME=box\n"
        );
    }

    #[test]
    fn a_value_with_line_feeds_has_its_length() {
        let mut entry = Vec::new();
        write_field(&mut entry, "TAG", b"a\nb");
        assert_eq!(entry, b"TAG\n\x03\0\0\0\0\0\0\0a\nb\n");
    }
}
