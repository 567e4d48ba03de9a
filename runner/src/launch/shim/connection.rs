//! One connection of the daemon: first requests and replies, then perhaps the streams of a
//! program.

use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use super::watch::{Source, Watch};
use crate::launch::AttachStdio;
use crate::launch::message::{MessageError, OutputFrame, Reply, Request, encode, take};
use crate::spec::StdStream;
use crate::sys::events::{self, Interest, Poller};

/// Beyond this a client counts as slow and holds the program back.
const MAX_PENDING_BYTES: usize = 64 * 1024;

/// What a connection is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Requests,
    /// The streams of the program with this index.
    Streams {
        program: u32,
        wanted: AttachStdio,
    },
}

/// What arrived on a connection.
#[derive(Debug)]
pub(super) enum Arrival {
    Bytes(Vec<u8>),
    /// The other side sends no more, but may still read.
    End,
    Nothing,
}

/// How much of the other side is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Present,
    /// It reads no more; what it sent before may still be here.
    HungUp,
    Gone,
}

#[derive(Debug)]
pub(super) struct Connection {
    stream: Watch<UnixStream>,
    pub(super) role: Role,
    arrived: Vec<u8>,
    pending: Vec<u8>,
    peer: Peer,
    input_ended: bool,
    /// Goes as soon as what is pending was taken.
    pub(super) closing: bool,
    /// Nothing is read until the program asked for here was started.
    pub(super) paused: bool,
}

impl Connection {
    pub(super) fn new(stream: UnixStream, index: u32) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: Watch::new(stream, Source::Connection(index)),
            role: Role::Requests,
            arrived: Vec::new(),
            pending: Vec::new(),
            peer: Peer::Present,
            input_ended: false,
            closing: false,
            paused: false,
        })
    }

    fn is_broken(&self) -> bool {
        self.peer == Peer::Gone
    }

    /// Nothing more comes from here or can be sent.
    pub(super) fn give_up(&mut self) {
        self.peer = Peer::Gone;
    }

    /// Whether nothing is left to do here.
    pub(super) fn is_done(&self) -> bool {
        self.is_broken() || (self.closing && self.pending.is_empty())
    }

    /// Whether the client takes what the program writes slower than it comes.
    pub(super) fn is_slow(&self) -> bool {
        self.pending.len() >= MAX_PENDING_BYTES
    }

    /// Whether output of `program`'s `stream` goes here.
    pub(super) fn takes(&self, program: u32, stream: StdStream) -> bool {
        let Role::Streams {
            program: mine,
            wanted,
        } = self.role
        else {
            return false;
        };
        let wants = match stream {
            StdStream::Stdout => wanted.stdout,
            StdStream::Stderr => wanted.stderr,
        };
        mine == program && wants && !self.is_broken()
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty() && !self.is_broken()
    }

    pub(super) fn is_attached_to(&self, program: u32) -> bool {
        matches!(self.role, Role::Streams { program: mine, .. } if mine == program)
    }

    pub(super) fn update_interest(
        &mut self,
        poller: &Rc<Poller>,
        input_room: bool,
    ) -> io::Result<()> {
        let interest = Interest {
            read: input_room && !self.input_ended && !self.paused && !self.closing,
            write: !self.pending.is_empty(),
        };
        // Kept in the set even without interest, so that the other side's end is told; once it
        // was, only while there is something to read.
        let wanted = (self.peer == Peer::Present || interest.read).then_some(interest);
        self.stream.set(poller, wanted)
    }

    /// The other side has closed its end.
    pub(super) fn hang_up(&mut self) {
        self.pending = Vec::new();
        self.peer = if self.input_ended || self.closing {
            Peer::Gone
        } else {
            Peer::HungUp
        };
    }

    /// Whether the program can be told that this client sends no more.
    pub(super) fn sends_input(&self) -> bool {
        matches!(self.role, Role::Streams { wanted, .. } if wanted.stdin) && !self.input_ended
    }

    /// Takes what has arrived, at most one buffer full.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Arrival {
        match events::read(self.stream.as_fd(), buffer) {
            Ok(0) => {
                self.input_ended = true;
                if self.peer == Peer::HungUp {
                    self.peer = Peer::Gone;
                }
                Arrival::End
            }
            Ok(length) => Arrival::Bytes(buffer[..length].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Arrival::Nothing,
            Err(_) => {
                self.give_up();
                Arrival::Nothing
            }
        }
    }

    /// The next whole request of what has arrived.
    pub(super) fn next_request(&mut self, more: &[u8]) -> Result<Option<Request>, MessageError> {
        self.arrived.extend_from_slice(more);
        let request = take(&mut self.arrived);
        if self.arrived.is_empty() {
            self.arrived = Vec::new();
        }
        request
    }

    /// Bytes that came behind the last request: the first of the input.
    pub(super) fn take_arrived(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.arrived)
    }

    pub(super) fn reply(&mut self, reply: &Reply) {
        match encode(reply) {
            Ok(frame) => self.send(&frame),
            // Nothing a shim says is that long.
            Err(_) => self.give_up(),
        }
    }

    pub(super) fn send_output(&mut self, stream: StdStream, bytes: &[u8]) {
        let Ok(length_bytes) = u32::try_from(bytes.len()) else {
            self.give_up();
            return;
        };
        let head = OutputFrame {
            stream,
            length_bytes,
        };
        self.pending.extend_from_slice(&head.encode());
        self.send(bytes);
    }

    fn send(&mut self, bytes: &[u8]) {
        if self.peer != Peer::Present {
            self.pending = Vec::new();
            return;
        }
        self.pending.extend_from_slice(bytes);
        self.flush();
    }

    /// Sends what is pending, as much as the other side takes now.
    pub(super) fn flush(&mut self) {
        let mut sent = 0;
        while sent < self.pending.len() && !self.is_broken() {
            match events::write(self.stream.as_fd(), &self.pending[sent..]) {
                Ok(length) => sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.give_up(),
            }
        }
        self.pending.drain(..sent);
        if self.pending.is_empty() {
            // A burst must not stay in memory.
            self.pending = Vec::new();
        }
    }

    /// Makes further input of the client fail, because nobody reads it any more.
    pub(super) fn refuse_input(&mut self) {
        if !self.input_ended {
            self.input_ended = true;
            let _other_side_is_gone = self.stream.fd.shutdown(std::net::Shutdown::Read);
        }
    }
}
