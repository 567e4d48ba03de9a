//! The Docker Engine API: HTTP on a unix socket above, [`crate::engine::Engine`] below.
//!
//! ```text
//! listen, serve   connections; the version comes off the path (target)
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

mod error;
mod listen;
mod request;
mod router;
mod serve;
mod stream;
mod target;

pub use listen::{ListenError, listen};
pub use serve::serve;
