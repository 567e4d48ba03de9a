//! Which docker command line the machine has.

use std::process::Command;
use std::sync::LazyLock;

/// The first with every flag that the tests try.
const ALL_FLAGS: u32 = 28;

/// The major version of `docker`.
static MAJOR: LazyLock<u32> = LazyLock::new(|| {
    let output = Command::new("docker").arg("--version").output();
    let text = String::from_utf8(output.expect("docker is installed").stdout).expect("text");
    let version = text.strip_prefix("Docker version ").expect("a version");
    let major = version.split('.').next().expect("numbers");
    major.parse().expect("a number")
});

/// Whether `docker` has the flags and columns of docker 28, which the tests are written for; says
/// `what` is not tried where it is older, as in older releases of Debian.
pub fn docker_is_recent(what: &str) -> bool {
    let is_recent = *MAJOR >= ALL_FLAGS;
    if !is_recent {
        eprintln!("NOT TRIED, this is docker {}: {what}", *MAJOR);
    }
    is_recent
}
