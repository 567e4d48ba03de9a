//! Everything that the daemon, a shim and its init say to each other.
//!
//! Daemon and shim speak over a stream socket in frames: four bytes of length (little endian),
//! then JSON. After [`Reply::Attached`] or [`Reply::Started`] of an exec the connection carries
//! the streams: from the shim in [`OutputFrame`]s, to the shim as bare bytes whose end is the
//! end of stdin. Shim and init speak over a socket that keeps messages whole.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use oci_spec::runtime::Process;

use super::{AttachStdio, ExitStatus, StartFailure, UserSpec};
use crate::spec::StdStream;

/// Longer frames are not ours.
pub(super) const MAX_FRAME_BYTES: usize = 8 * 1024 * 1024;

const LENGTH_BYTES: usize = 4;

/// Daemon to shim. `exec` names a program run by [`Request::Exec`]; without it, init is meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Request {
    /// What is there? Answered by [`Reply::State`].
    State,
    /// Let init execute the program. Answered when it does.
    Start,
    Signal {
        exec: Option<String>,
        signal: i32,
    },
    /// SIGKILL for every process of the container.
    KillAll,
    Resize {
        exec: Option<String>,
        rows: u16,
        columns: u16,
    },
    Attach(AttachStdio),
    Exec(Box<ExecRequest>),
    /// How far is a program that was run by an earlier daemon? Answered by [`Reply::ExecState`].
    ExecState {
        exec: String,
    },
    /// Answered by [`Reply::Exited`] or [`Reply::ExecExited`], when that is so.
    Wait {
        exec: Option<String>,
    },
}

/// One more program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ExecRequest {
    pub(super) id: String,
    pub(super) process: Process,
    pub(super) user: Option<UserSpec>,
    pub(super) stdio: AttachStdio,
    pub(super) console_size: Option<(u16, u16)>,
}

/// Shim to daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// Sent unasked on the first connection: init waits for [`Request::Start`].
    Created {
        pid: i32,
    },
    State {
        pid: i32,
        started: bool,
    },
    /// With the exit code once all of it is over.
    ExecState {
        pid: i32,
        code: Option<i32>,
    },
    Done,
    Attached,
    /// The program of [`Request::Exec`] runs.
    Started {
        pid: i32,
    },
    Exited(ExitStatus),
    ExecExited {
        code: i32,
    },
    /// The program could not be started.
    Failed(StartFailure),
    /// The request makes no sense now.
    Refused(String),
}

/// Shim to init.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum InitOrder {
    /// The ids of the new user namespace mean something now.
    IdsMapped,
    /// Nothing outside has to be done any more before the root changes.
    EnterRoot,
    /// Execute the program.
    Start,
}

/// Init (or the process of an exec) to shim. When its end closes, the program was executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum InitReport {
    /// The user namespace is there and wants its ids mapped.
    MapIds,
    /// Namespaces are there, and the root is about to be changed.
    RootIsNext,
    /// The filter asks somebody else, who needs the descriptor that comes with this.
    SeccompListener,
    /// All is set up. With the terminal's master as descriptor when there is one.
    Ready,
    Failed(StartFailure),
}

/// The message cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum MessageError {
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    #[error("a message is not understood: {0}")]
    Syntax(#[from] serde_json::Error),
}

/// `message` as a frame.
pub(super) fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, MessageError> {
    let mut frame = vec![0; LENGTH_BYTES];
    serde_json::to_writer(&mut frame, message)?;
    let length_bytes = frame.len() - LENGTH_BYTES;
    let length = u32::try_from(length_bytes)
        .ok()
        .filter(|_| length_bytes <= MAX_FRAME_BYTES)
        .ok_or(MessageError::TooLong(length_bytes))?;
    frame[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// Takes the first frame out of what has arrived; `None` while it is not whole.
pub(super) fn take<T: DeserializeOwned>(arrived: &mut Vec<u8>) -> Result<Option<T>, MessageError> {
    let Some(length) = arrived.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length_bytes = u32::from_le_bytes(*length) as usize;
    if length_bytes > MAX_FRAME_BYTES {
        return Err(MessageError::TooLong(length_bytes));
    }
    let end = LENGTH_BYTES + length_bytes;
    let Some(body) = arrived.get(LENGTH_BYTES..end) else {
        return Ok(None);
    };
    let message = serde_json::from_slice(body)?;
    arrived.drain(..end);
    Ok(Some(message))
}

/// The head of a piece of output: the stream and how many bytes follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutputFrame {
    pub(super) stream: StdStream,
    pub(super) length_bytes: u32,
}

impl OutputFrame {
    pub(super) const SIZE: usize = 5;

    pub(super) fn encode(self) -> [u8; Self::SIZE] {
        let length = self.length_bytes.to_le_bytes();
        let stream = match self.stream {
            StdStream::Stdout => 1,
            StdStream::Stderr => 2,
        };
        [stream, length[0], length[1], length[2], length[3]]
    }

    /// `None` for a stream that does not exist.
    pub(super) fn decode(head: [u8; Self::SIZE]) -> Option<Self> {
        let stream = match head[0] {
            1 => StdStream::Stdout,
            2 => StdStream::Stderr,
            _ => return None,
        };
        let length_bytes = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
        Some(Self {
            stream,
            length_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frames_are_taken_whole_and_in_order() {
        let signal = Request::Signal {
            exec: Some("x".to_owned()),
            signal: 9,
        };
        let mut bytes = encode(&Request::Start).unwrap();
        bytes.extend(encode(&signal).unwrap());
        let mut arrived = Vec::new();
        let mut seen: Vec<Request> = Vec::new();
        for byte in bytes {
            arrived.push(byte);
            seen.extend(take::<Request>(&mut arrived).unwrap());
        }
        assert_eq!(seen, [Request::Start, signal]);
        assert!(arrived.is_empty());
    }

    #[test]
    fn rubbish_is_an_error() {
        let mut too_long = u32::MAX.to_le_bytes().to_vec();
        assert!(matches!(
            take::<Request>(&mut too_long),
            Err(MessageError::TooLong(_))
        ));
        let mut not_json = vec![1, 0, 0, 0, b'{'];
        assert!(take::<Request>(&mut not_json).is_err());
        assert_eq!(OutputFrame::decode([7, 0, 0, 0, 0]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _result = take::<Request>(&mut bytes);
        }

        #[test]
        fn heads_survive(length_bytes: u32, second: bool) {
            let stream = if second { StdStream::Stderr } else { StdStream::Stdout };
            let frame = OutputFrame { stream, length_bytes };
            prop_assert_eq!(OutputFrame::decode(frame.encode()), Some(frame));
        }
    }
}
