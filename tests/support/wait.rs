//! Waiting for a condition instead of guessing how long it takes.

use std::time::{Duration, Instant};

/// Long enough for anything a healthy machine does, however busy.
pub const SHORT: Duration = Duration::from_secs(30);

/// Asks `condition` until it answers, or fails the test saying `what` never happened.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = condition() {
            return answer;
        }
        assert!(start.elapsed() < limit, "within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
