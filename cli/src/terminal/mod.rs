//! The user's terminal: raw mode, its size, what is typed, signals, and keys that detach.
//!
//! Knows file descriptors and nothing of containers.

mod detach;
mod input;
mod password;
mod raw;
mod signals;

pub(crate) use detach::{DetachKeys, Typed};
pub(crate) use input::standard_input;
pub(crate) use password::ask_password;
pub(crate) use raw::RawMode;
pub(crate) use signals::{Signals, end_of_command, size_changes};

use std::io::IsTerminal as _;

/// Height and width in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
}

/// The size of the terminal on standard output, if there is one and it has a size.
pub(crate) fn size() -> Option<Size> {
    let (width, height) = terminal_size::terminal_size_of(std::io::stdout())?;
    (height.0 > 0 && width.0 > 0).then_some(Size {
        rows: height.0,
        columns: width.0,
    })
}

pub(crate) fn input_is_terminal() -> bool {
    std::io::stdin().is_terminal()
}

pub(crate) fn output_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}
