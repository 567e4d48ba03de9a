//! Standard output and standard error, as lines of a command's answer.

use std::io::{self, Write as _};

/// Writes the text as it is.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes the text and a newline.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Writes a remark that is no part of the answer.
pub(crate) fn remark(text: &str) {
    // When standard error is gone there is nobody left to tell.
    _ = writeln!(io::stderr().lock(), "{text}");
}
