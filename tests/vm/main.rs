//! The agent on a machine whose control groups are all v2, whatever those of this one are.
//!
//! Boots Debian's kernel in an emulator and runs `checks.sh` there, with the binary under test.

#![expect(
    clippy::expect_used,
    reason = "a scenario that cannot go on says why and ends"
)]

mod guest;

use guest::Guest;

/// As many as `checks.sh` lists, so that none is lost on the way.
const N_CHECKS: usize = 16;

#[test]
fn the_agent_holds_its_promises_on_cgroup_v2() {
    let console = Guest::new("checks.sh").run();
    let ok = console.lines().filter(|it| it.starts_with("CHECK ok"));
    let n_ok = ok.inspect(|line| println!("{line}")).count();
    assert!(
        n_ok == N_CHECKS && console.contains("CHECKS DONE"),
        "{n_ok} of {N_CHECKS} checks passed:\n{console}"
    );
}
