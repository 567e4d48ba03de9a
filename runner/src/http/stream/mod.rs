//! Answers that go on for a while: hijacked connections, websockets, framed output, lines of JSON, archives.

mod connection;
mod frame;
mod hijack;
mod lines;
mod tar;
mod websocket;

pub(super) use connection::Connection;
pub(super) use frame::{framed_body, raw_body, stream_media_type};
pub(super) use hijack::{Hijack, Upgrade};
pub(super) use lines::{LineEnd, json_lines, json_once};
pub(super) use tar::tar_body;
pub(super) use websocket::Handshake;
