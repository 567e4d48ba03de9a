//! A question whose answer is not shown.

use std::io::{self, BufRead as _, Write as _};

use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};

/// Asks on the terminal, which standard input must be, and reads one line.
pub(crate) fn ask_password(question: &str) -> io::Result<String> {
    if !super::input_is_terminal() {
        return Err(io::Error::other(
            "cannot perform an interactive login from a non TTY device",
        ));
    }
    let mut output = io::stdout();
    output.write_all(question.as_bytes())?;
    output.flush()?;
    let saved = tcgetattr(io::stdin())?;
    let mut silent = saved.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(io::stdin(), SetArg::TCSANOW, &silent)?;
    let mut password = String::new();
    let read = io::stdin().lock().read_line(&mut password);
    tcsetattr(io::stdin(), SetArg::TCSANOW, &saved)?;
    writeln!(output)?;
    read?;
    Ok(password.trim_end_matches(['\r', '\n']).to_owned())
}
