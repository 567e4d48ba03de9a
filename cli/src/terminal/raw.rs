//! Raw mode, for as long as a value lives.

use std::io;

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// Standard input hands over every key as it is pressed, and echoes nothing.
///
/// Dropping it, be it by a return, an error or a panic, gives the user the old settings back.
#[derive(Debug)]
pub(crate) struct RawMode {
    saved: Termios,
}

impl RawMode {
    pub(crate) fn enter() -> io::Result<Self> {
        let saved = tcgetattr(io::stdin())?;
        let mut raw = saved.clone();
        cfmakeraw(&mut raw);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &raw)?;
        Ok(Self { saved })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that went away meanwhile needs no settings any more.
        _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.saved);
    }
}
