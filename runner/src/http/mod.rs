//! The Docker Engine API: HTTP on a unix socket, and on TCP for those with a certificate, above, [`crate::engine::Engine`] below.
//!
//! ```text
//! listen, tls     sockets that clients connect to
//! serve           connections; the version comes off the path (target)
//! router          every route on one screen
//! <noun>          handlers: read the request, call the engine, make the answer
//! request/        query, JSON and credentials, read as Docker's server reads them
//! convert/        wire shapes <-> words of the engine; pure
//! wire/           JSON shapes, field for field as Docker has them
//! stream/         hijacked connections, frames, lines of JSON
//! error           the one place where an error meets a status code
//! ```
//!
//! Nobody below this folder sees a path, a status code or JSON of the API; nobody in it decides
//! anything about a container.

mod absent;
mod archives;
mod build;
mod containers;
mod convert;
mod error;
mod exec;
mod images;
mod listen;
mod networks;
mod request;
mod router;
#[cfg(test)]
mod router_tests;
mod serve;
mod stream;
mod system;
mod target;
mod tls;
mod volumes;
mod wire;

pub use listen::{ListenError, listen, take_over};
pub use serve::serve;
pub use tls::TlsListener;

/// What a handler answers with.
type Result<T, E = error::ApiError> = std::result::Result<T, E>;
