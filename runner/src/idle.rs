//! An agent that has nothing to do gives back the memory that it needed when it had.

use std::time::Duration;

use crate::sys::footprint;

const PERIOD: Duration = Duration::from_secs(10);

/// Less processor time than this in a period is idling: timers, and somebody who only looks.
const IDLE: Duration = Duration::from_millis(20);

/// Looks on forever.
pub(crate) async fn give_back_when_idle() {
    let mut used = Duration::ZERO;
    let mut is_small = false;
    loop {
        tokio::time::sleep(PERIOD).await;
        let Ok(now) = footprint::processor_time() else {
            return;
        };
        let idles = now.saturating_sub(used) < IDLE;
        used = now;
        if idles && !is_small {
            // A look that comes too early costs a few page faults, no more.
            drop(tokio::task::spawn_blocking(footprint::shrink).await);
        }
        is_small = idles;
    }
}
