//! The `STATUS` column of `docker ps`: pure text.

use jiff::{SignedDuration, Timestamp};

use super::view::{ContainerView, HealthStatus};
use crate::spec::ContainerState;

/// What `docker ps` shows for `view` at `now`.
pub(super) fn status_text(view: &ContainerView, now: Timestamp) -> String {
    match &view.state {
        ContainerState::Created => "Created".to_owned(),
        ContainerState::Removing => "Removal In Progress".to_owned(),
        ContainerState::Dead => "Dead".to_owned(),
        ContainerState::Exited(exit) => {
            let ago = human_duration(now.duration_since(exit.finished_at));
            format!("Exited ({}) {ago} ago", exit.code)
        }
        ContainerState::Restarting(exit) => {
            let ago = human_duration(now.duration_since(exit.finished_at));
            format!("Restarting ({}) {ago} ago", exit.code)
        }
        ContainerState::Paused(running) => {
            let up = human_duration(now.duration_since(running.started_at));
            format!("Up {up} (Paused)")
        }
        ContainerState::Running(running) => {
            let up = human_duration(now.duration_since(running.started_at));
            match view.health.as_ref().map(|health| health.status) {
                None => format!("Up {up}"),
                Some(HealthStatus::Starting) => format!("Up {up} (health: starting)"),
                Some(status) => format!("Up {up} ({})", status.name()),
            }
        }
    }
}

/// A span of time in the words of docker's own tables.
fn human_duration(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    let minutes = seconds / 60;
    // Docker rounds hours to the nearest, everything longer down.
    let hours = (seconds + 1800) / 3600;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_dockers() {
        let cases = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (125, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (7300, "2 hours"),
            (3600 * 47, "47 hours"),
            (3600 * 49, "2 days"),
            (86_400 * 15, "2 weeks"),
            (86_400 * 70, "2 months"),
            (86_400 * 800, "2 years"),
        ];
        for (seconds, text) in cases {
            assert_eq!(human_duration(SignedDuration::from_secs(seconds)), text);
        }
    }
}
