//! Answers that go on for a while: hijacked connections, framed output, lines of JSON.

mod frame;
mod hijack;
mod lines;

pub(super) use frame::{framed_body, raw_body, stream_media_type};
pub(super) use hijack::{Hijack, PeerClosed, Upgrade};
pub(super) use lines::{LineEnd, json_lines, json_once};
