//! RUN: a container on the newest step, whose changes are the next one.

use futures_util::StreamExt as _;

use super::BUILD_LABEL;
use super::builder::Builder;
use super::stage::is_predefined;
use crate::dockerfile::{Program, Run};
use crate::engine::container::{AttachOptions, CreateRequest, WaitCondition};
use crate::engine::image::image_error;
use crate::engine::{Engine, EngineError};
use crate::spec::{
    ContainerConfig, ContainerId, ContainerRef, HealthCheck, HostConfig, LogConfig, LogDriver,
    NetworkMode,
};

impl Builder {
    pub(super) async fn run_command(&mut self, run: &Run) -> Result<(), EngineError> {
        let stage = self.stage()?;
        let argv = stage.description.argv(&run.program);
        let arguments = stage.run_arguments();
        // Docker's way to keep arguments of the build in the history.
        let created_by = if arguments.is_empty() {
            argv.join(" ")
        } else {
            format!(
                "|{} {} {}",
                arguments.len(),
                arguments.join(" "),
                argv.join(" ")
            )
        };
        let network = run.network.clone().unwrap_or_default();
        let key = format!("RUN {network}\n{}\n{created_by}", serde_words(&argv));
        let built = self.built(key)?;
        if self.take_cached(&built).await? {
            return Ok(());
        }
        let request = self.container(argv.clone(), arguments, run)?;
        // Boxed, as below: a future of its size would be moved about at each step.
        let created = Box::pin(self.engine.create_container(request)).await?;
        let id = created.id;
        self.containers.push(id.clone());
        self.say(format!(" ---> Running in {}\n", id.short())).await;
        let code = self.output_of(&id).await?;
        if code != 0 {
            let command = match &run.program {
                Program::Shell(_) => argv.join(" "),
                Program::Exec(_) => serde_words(&argv),
            };
            return Err(EngineError::CommandFailed {
                code,
                message: format!("The command '{command}' returned a non-zero code: {code}"),
            });
        }
        let described = self.described(created_by, built)?;
        let images = self.engine.shared.images.clone();
        let image = Box::pin(images.commit(&id, described));
        let image = image.await.map_err(image_error)?;
        self.finish_step(image).await
    }

    fn container(
        &mut self,
        argv: Vec<String>,
        arguments: Vec<String>,
        run: &Run,
    ) -> Result<CreateRequest, EngineError> {
        let given = self.request.arguments.iter();
        let proxies = given.filter(|(name, _)| is_predefined(name));
        let proxies =
            proxies.filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
        let mut env: Vec<String> = proxies.chain(arguments).collect();
        let stage = self.stage()?;
        env.extend(stage.description.config.env.iter().cloned());
        let config = ContainerConfig {
            image: stage.image.to_string(),
            user: stage.description.config.user.clone(),
            working_dir: stage.description.config.working_dir.clone(),
            env,
            // The API's way to say that there is none.
            entrypoint: Some(vec![String::new()]),
            cmd: Some(argv),
            labels: [(BUILD_LABEL.to_owned(), String::new())].into(),
            healthcheck: Some(HealthCheck {
                test: vec!["NONE".to_owned()],
                ..HealthCheck::default()
            }),
            attach_stdout: true,
            attach_stderr: true,
            ..ContainerConfig::default()
        };
        let network_mode = match run.network.as_deref() {
            Some("none") => NetworkMode::None,
            Some("host") => NetworkMode::Host,
            _ => self.request.network.clone(),
        };
        let host = HostConfig {
            network_mode,
            extra_hosts: self.request.extra_hosts.clone(),
            resources: self.request.resources.clone(),
            shm_size_bytes: self.request.shm_size_bytes,
            cgroup_parent: self.request.cgroup_parent.clone(),
            log: LogConfig {
                driver: LogDriver::None,
                ..LogConfig::default()
            },
            ..HostConfig::default()
        };
        Ok(CreateRequest {
            config,
            host,
            ..CreateRequest::default()
        })
    }

    /// Runs the container to its end, telling what it writes; answers its exit code.
    async fn output_of(&self, id: &ContainerId) -> Result<i32, EngineError> {
        let engine: &Engine = &self.engine;
        let container = ContainerRef::new(id.as_str());
        let options = AttachOptions {
            stdout: true,
            stderr: true,
            stream: true,
            ..AttachOptions::default()
        };
        let mut attached = engine.attach_container(&container, options).await?;
        let ended = engine
            .wait_container(&container, WaitCondition::NextExit)
            .await?;
        engine.start_container(&container).await?;
        let mut pending = Vec::new();
        while let Some(piece) = attached.output.next().await {
            let (_, bytes) = piece?;
            pending.extend_from_slice(&bytes);
            let text = take_text(&mut pending);
            if !text.is_empty() {
                self.say(text).await;
            }
        }
        if !pending.is_empty() {
            self.say(String::from_utf8_lossy(&pending).into_owned())
                .await;
        }
        Ok(ended.await?.code)
    }
}

/// As JSON, so that no two lists of words look alike.
fn serde_words(words: &[String]) -> String {
    serde_json::Value::from(words.to_vec()).to_string()
}

/// Whole characters; the beginning of one stays until the rest has come.
fn take_text(pending: &mut Vec<u8>) -> String {
    let whole = match std::str::from_utf8(pending) {
        Ok(text) => text.len(),
        // No more than the start of one character can be missing its end.
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => pending.len(),
    };
    let rest = pending.split_off(whole);
    let text = String::from_utf8_lossy(pending).into_owned();
    *pending = rest;
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_cut() {
        let mut pending = "aé".as_bytes()[..2].to_vec();
        assert_eq!(take_text(&mut pending), "a");
        pending.push("é".as_bytes()[1]);
        assert_eq!(take_text(&mut pending), "é");
        pending.extend([b'x', 0xff, b'y']);
        assert_eq!(take_text(&mut pending), "x\u{fffd}y");
        assert!(pending.is_empty());
    }
}
