//! Dockerfiles, by the reference at docs.docker.com/reference/dockerfile: text to instructions,
//! words with variables to words, instructions that only describe to a changed configuration.
//!
//! ```text
//! lines        physical lines to logical ones: continuations, comments, here-documents
//! parse        a logical line to an [`Instruction`]
//! expand       quotes and variables of one word
//! apply        what an instruction changes in the configuration of an image
//! ```
//!
//! Pure: reads no file and runs nothing (that is `engine`'s build). `docker commit --change` and
//! `docker import --change` use the same instructions.

mod apply;
mod expand;
mod instruction;
mod lines;
mod parse;

pub use apply::ImageDescription;
pub use expand::{Variables, expand, expand_words};
pub use instruction::{Copy, CopySource, From, HealthCheckSpec, Instruction, Program, Run};
pub use parse::{Dockerfile, Step, parse, parse_change};

/// Why a Dockerfile cannot be followed, in docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DockerfileError {
    /// A line is wrong by itself.
    #[error("dockerfile parse error on line {line}: {reason}")]
    Line {
        /// The first of its physical lines, counted from 1.
        line: usize,
        reason: String,
    },
    /// An instruction is wrong whatever its place.
    #[error("{0}")]
    Instruction(String),
}

impl DockerfileError {
    fn new(reason: impl Into<String>) -> Self {
        Self::Instruction(reason.into())
    }

    fn on_line(self, line: usize) -> Self {
        match self {
            Self::Instruction(reason) => Self::Line { line, reason },
            located @ Self::Line { .. } => located,
        }
    }
}
