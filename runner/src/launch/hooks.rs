//! Programs that a bundle wants to be run at points of a container's life.

use std::time::Duration;

use oci_spec::runtime::{Hook, State};

use super::StartFailure;
use super::error::{Step, reason};
use crate::sys::program::{self, Call};

/// Runs hooks in their order, each with the container's state on its standard input; the first
/// that fails is the last.
pub(super) fn run_all(hooks: &[Hook], kind: &str, state: &State) -> Result<(), StartFailure> {
    let input = serde_json::to_vec(state)
        .map_err(std::io::Error::other)
        .step(|| "cannot write the state".to_owned())?;
    for (index, hook) in hooks.iter().enumerate() {
        run(hook, &input).map_err(|why| {
            StartFailure::setup(format!(
                "error running {kind} hook #{index} ({}): {why}",
                hook.path().display()
            ))
        })?;
    }
    Ok(())
}

fn run(hook: &Hook, input: &[u8]) -> Result<(), String> {
    if !hook.path().is_absolute() {
        return Err("its path is not absolute".to_owned());
    }
    let limit = match hook.timeout().map(u64::try_from) {
        None => None,
        Some(Ok(seconds)) if seconds > 0 => Some(Duration::from_secs(seconds)),
        Some(_) => return Err("its timeout is not above zero".to_owned()),
    };
    let call = Call {
        program: hook.path(),
        args: hook.args().as_deref().unwrap_or_default(),
        env: hook.env().as_deref().unwrap_or_default(),
        input,
        limit,
    };
    match program::run_blocking(call).map_err(|error| reason(&error))? {
        Some(finished) if finished.success => Ok(()),
        Some(finished) => Err(format!("it failed: {}", finished.stderr.trim())),
        None => Err("it took too long".to_owned()),
    }
}
