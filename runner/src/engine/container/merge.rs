//! What an image says and what the caller said, made one. Pure.

use crate::engine::EngineError;
use crate::spec::{ContainerConfig, HealthCheck};

/// The caller's word where there is one, else the image's. Afterwards `entrypoint` and `cmd` are
/// what really runs.
pub(crate) fn merge(caller: &mut ContainerConfig, image: &ContainerConfig) {
    merge_command(caller, image);
    merge_env(&mut caller.env, &image.env);
    for (text, inherited) in [
        (&mut caller.user, &image.user),
        (&mut caller.working_dir, &image.working_dir),
        (&mut caller.stop_signal, &image.stop_signal),
    ] {
        if text.is_empty() {
            text.clone_from(inherited);
        }
    }
    if caller.stop_timeout.is_none() {
        caller.stop_timeout = image.stop_timeout;
    }
    for (key, value) in &image.labels {
        caller
            .labels
            .entry(key.clone())
            .or_insert_with(|| value.clone());
    }
    for port in &image.exposed_ports {
        if !caller.exposed_ports.contains(port) {
            caller.exposed_ports.push(*port);
        }
    }
    for path in &image.volumes {
        if !caller.volumes.contains(path) {
            caller.volumes.push(path.clone());
        }
    }
    caller.healthcheck = merge_health(caller.healthcheck.take(), image.healthcheck.as_ref());
}

/// An entrypoint of the caller's makes the image's command meaningless.
fn merge_command(caller: &mut ContainerConfig, image: &ContainerConfig) {
    if caller.entrypoint.is_none() {
        if caller.cmd.as_ref().is_none_or(Vec::is_empty) {
            caller.cmd.clone_from(&image.cmd);
        }
        caller.entrypoint.clone_from(&image.entrypoint);
    }
    // The API's way to say "no entrypoint at all" is one empty string.
    if caller
        .entrypoint
        .as_deref()
        .is_some_and(|e| e == [""] || e.is_empty())
    {
        caller.entrypoint = None;
    }
}

/// The image's variables first, so that the caller's win; none twice.
fn merge_env(caller: &mut Vec<String>, image: &[String]) {
    let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    let inherited = image
        .iter()
        .filter(|entry| !caller.iter().any(|own| name(own) == name(entry)))
        .cloned()
        .collect::<Vec<_>>();
    caller.splice(0..0, inherited);
}

fn merge_health(caller: Option<HealthCheck>, image: Option<&HealthCheck>) -> Option<HealthCheck> {
    let Some(mut check) = caller else {
        return image.cloned();
    };
    let Some(image) = image else {
        return Some(check);
    };
    if check.test.is_empty() {
        check.test.clone_from(&image.test);
    }
    for (own, inherited) in [
        (&mut check.interval_ns, image.interval_ns),
        (&mut check.timeout_ns, image.timeout_ns),
        (&mut check.start_period_ns, image.start_period_ns),
        (&mut check.start_interval_ns, image.start_interval_ns),
        (&mut check.retries, image.retries),
    ] {
        if *own == 0 {
            *own = inherited;
        }
    }
    Some(check)
}

/// What runs: entrypoint, then command.
pub(crate) fn argv(config: &ContainerConfig) -> Result<Vec<String>, EngineError> {
    let parts = [config.entrypoint.as_deref(), config.cmd.as_deref()];
    let argv: Vec<String> = parts.into_iter().flatten().flatten().cloned().collect();
    match argv.first().map(String::as_str) {
        None | Some("") => Err(EngineError::InvalidParameter(
            "no command specified".to_owned(),
        )),
        Some(_) => Ok(argv),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    fn config(entrypoint: Option<&[&str]>, cmd: Option<&[&str]>) -> ContainerConfig {
        ContainerConfig {
            entrypoint: entrypoint.map(strings),
            cmd: cmd.map(strings),
            ..ContainerConfig::default()
        }
    }

    #[test]
    fn commands_merge_as_docker_does() {
        type Words = Option<&'static [&'static str]>;
        // Caller's entrypoint and command, image's, what runs.
        let cases: [(Words, Words, Words, Words, &[&str]); 8] = [
            (None, None, None, Some(&["sh"]), &["sh"]),
            (None, Some(&["ls"]), None, Some(&["sh"]), &["ls"]),
            (None, None, Some(&["/e"]), Some(&["a"]), &["/e", "a"]),
            (
                None,
                Some(&["b"]),
                Some(&["/e"]),
                Some(&["a"]),
                &["/e", "b"],
            ),
            (Some(&["/f"]), None, Some(&["/e"]), Some(&["a"]), &["/f"]),
            (
                Some(&["/f"]),
                Some(&["x"]),
                Some(&["/e"]),
                Some(&["a"]),
                &["/f", "x"],
            ),
            (
                Some(&[""]),
                Some(&["x"]),
                Some(&["/e"]),
                Some(&["a"]),
                &["x"],
            ),
            (None, Some(&[]), Some(&["/e"]), Some(&["a"]), &["/e", "a"]),
        ];
        for (entrypoint, cmd, image_entrypoint, image_cmd, expected) in cases {
            let mut caller = config(entrypoint, cmd);
            merge(&mut caller, &config(image_entrypoint, image_cmd));
            assert_eq!(argv(&caller).unwrap(), expected);
        }
        assert!(argv(&config(None, None)).is_err());
        assert!(argv(&config(Some(&[""]), None)).is_err());
    }

    #[test]
    fn callers_variables_win_and_keep_the_images() {
        let mut caller = ContainerConfig {
            env: strings(&["B=2", "C=3"]),
            ..ContainerConfig::default()
        };
        let image = ContainerConfig {
            env: strings(&["A=1", "B=1"]),
            ..ContainerConfig::default()
        };
        merge(&mut caller, &image);
        assert_eq!(caller.env, ["A=1", "B=2", "C=3"]);
    }

    #[test]
    fn health_checks_inherit_what_is_unset() {
        let image = HealthCheck {
            test: strings(&["CMD", "true"]),
            interval_ns: 5,
            retries: 7,
            ..HealthCheck::default()
        };
        let own = HealthCheck {
            interval_ns: 9,
            ..HealthCheck::default()
        };
        let merged = merge_health(Some(own), Some(&image)).unwrap();
        assert_eq!((merged.interval_ns, merged.retries), (9, 7));
        assert_eq!(merged.test, image.test);
        assert_eq!(merge_health(None, Some(&image)), Some(image));
    }
}
