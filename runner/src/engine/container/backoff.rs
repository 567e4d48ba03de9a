//! When the restart policy brings a container back, and how long it waits. Pure.

use std::time::Duration;

use crate::spec::RestartPolicy;

/// First wait; each further one doubles.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_mins(1);
/// A run that lasted this long counts as a success: the wait starts anew.
const HEALTHY_RUN: Duration = Duration::from_secs(10);

/// What is known when a container has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) exit_code: i32,
    /// How long it ran.
    pub(super) ran_for: Duration,
    /// Somebody stopped it on purpose.
    pub(super) stopped_by_hand: bool,
    /// Restarts by the policy since it was last started by hand.
    pub(super) n_restarts: u32,
    /// The wait before this run; zero when it was started by hand.
    pub(super) last_wait: Duration,
}

/// How long to wait before the next attempt; `None` leaves it stopped.
pub(super) fn next_wait(policy: RestartPolicy, ended: Ended) -> Option<Duration> {
    if ended.stopped_by_hand {
        return None;
    }
    let wanted = match policy {
        RestartPolicy::No => false,
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure { max_retries } => {
            ended.exit_code != 0 && max_retries.is_none_or(|max| ended.n_restarts < max)
        }
    };
    wanted.then(|| {
        if ended.last_wait.is_zero() || ended.ran_for >= HEALTHY_RUN {
            FIRST
        } else {
            (ended.last_wait * 2).min(LONGEST)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDED: Ended = Ended {
        exit_code: 1,
        ran_for: Duration::from_secs(1),
        stopped_by_hand: false,
        n_restarts: 0,
        last_wait: Duration::ZERO,
    };

    #[test]
    fn policies_decide() {
        let on_failure = |max_retries| RestartPolicy::OnFailure { max_retries };
        let success = Ended {
            exit_code: 0,
            ..ENDED
        };
        let by_hand = Ended {
            stopped_by_hand: true,
            ..ENDED
        };
        let third = Ended {
            n_restarts: 3,
            ..ENDED
        };
        let cases = [
            (RestartPolicy::No, ENDED, false),
            (RestartPolicy::Always, success, true),
            (RestartPolicy::Always, by_hand, false),
            (RestartPolicy::UnlessStopped, by_hand, false),
            (RestartPolicy::UnlessStopped, ENDED, true),
            (on_failure(None), success, false),
            (on_failure(None), third, true),
            (on_failure(Some(3)), third, false),
            (on_failure(Some(4)), third, true),
        ];
        for (policy, ended, again) in cases {
            assert_eq!(
                next_wait(policy, ended).is_some(),
                again,
                "{policy:?} {ended:?}"
            );
        }
    }

    #[test]
    fn waits_double_to_a_minute_and_start_anew_after_a_good_run() {
        let wait = |last_wait, ran_for| {
            next_wait(
                RestartPolicy::Always,
                Ended {
                    ran_for,
                    last_wait,
                    ..ENDED
                },
            )
        };
        let short = Duration::from_secs(1);
        assert_eq!(wait(Duration::ZERO, short), Some(FIRST));
        assert_eq!(wait(FIRST, short), Some(FIRST * 2));
        assert_eq!(wait(Duration::from_secs(50), short), Some(LONGEST));
        assert_eq!(wait(LONGEST, Duration::from_secs(11)), Some(FIRST));
    }
}
