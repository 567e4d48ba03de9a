//! The build itself: one instruction after the other, each told as docker tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hythe_oci::{ImageId, ImageReference, Platform};
use tokio::sync::mpsc;

use super::BuildRequest;
use super::base::platform_arguments;
use super::context::Context;
use super::stage::{Stage, is_predefined};
use crate::dockerfile::{Dockerfile, Instruction, Step, Variables, expand, parse, parse_change};
use crate::engine::container::RemoveOptions;
use crate::engine::image::image_error;
use crate::engine::image::transfer::Line;
use crate::engine::{Engine, EngineError, Progress, TransferResult};
use crate::image::{Built, Described};
use crate::spec::{ContainerId, ContainerRef};

/// One build.
pub(super) struct Builder {
    pub(super) engine: Engine,
    pub(super) request: BuildRequest,
    pub(super) platform: Option<Platform>,
    pub(super) context: Arc<Context>,
    pub(super) lines: mpsc::Sender<Line>,
    pub(super) dockerfile: Dockerfile,
    /// ARGs before the first FROM, with their values.
    pub(super) global_arguments: BTreeMap<String, String>,
    /// Arguments of the caller's that some ARG has declared.
    consumed: BTreeSet<String>,
    /// Finished ones first.
    pub(super) stages: Vec<Stage>,
    /// Of RUN, still to be removed.
    pub(super) containers: Vec<ContainerId>,
}

impl Builder {
    pub(super) fn new(
        engine: Engine,
        request: BuildRequest,
        platform: Option<Platform>,
        (context, lines): (Context, mpsc::Sender<Line>),
    ) -> Result<Self, EngineError> {
        let mut dockerfile = parse(&context.dockerfile)?;
        cut_at_target(&mut dockerfile, &request.target)?;
        add_labels(&mut dockerfile, &request.labels);
        Ok(Self {
            engine,
            request,
            platform,
            context: Arc::new(context),
            lines,
            dockerfile,
            global_arguments: BTreeMap::new(),
            consumed: BTreeSet::new(),
            stages: Vec::new(),
            containers: Vec::new(),
        })
    }

    /// Builds, unless nobody listens any more, and cleans up in any case.
    pub(super) async fn run_until_dropped(mut self, names: Vec<ImageReference>) {
        let lines = self.lines.clone();
        let built = tokio::select! {
            built = Box::pin(self.run(names)) => Some(built),
            () = lines.closed() => None,
        };
        let failed = !matches!(built, Some(Ok(())));
        let gone = built.is_none();
        if gone
            || if failed {
                self.request.force_remove
            } else {
                self.request.remove
            }
        {
            self.remove_containers().await;
        }
        if let Some(Err(error)) = built {
            // A caller that has gone needs no answer.
            drop(self.lines.send(Err(error)).await);
        }
    }

    async fn run(&mut self, names: Vec<ImageReference>) -> Result<(), EngineError> {
        let steps = self.dockerfile.steps.clone();
        let n_steps = steps.len();
        for (n, step) in steps.iter().enumerate() {
            self.say(format!("Step {}/{n_steps} : {}\n", n + 1, step.text))
                .await;
            self.follow(step).await?;
            if self.request.remove {
                self.remove_containers().await;
            }
        }
        self.warn_of_unused_arguments().await;
        let Some(stage) = self.stages.last().filter(|stage| stage.has_steps) else {
            return Err(EngineError::InvalidParameter(
                "No image was generated. Is your Dockerfile empty?".to_owned(),
            ));
        };
        let image = stage.image.clone();
        let images = &self.engine.shared.images;
        images.settle().await.map_err(image_error)?;
        for name in &names {
            images.tag(&image, name).await.map_err(image_error)?;
            self.engine
                .image_event("tag", &image.to_string(), &name.familiar());
        }
        self.tell(Progress {
            result: Some(TransferResult::Built(image.to_string())),
            ..Progress::default()
        })
        .await;
        if self.request.quiet {
            self.tell(text(format!("{image}\n"))).await;
            return Ok(());
        }
        self.say(format!("Successfully built {}\n", short(&image)))
            .await;
        for name in &names {
            self.say(format!("Successfully tagged {}\n", name.familiar()))
                .await;
        }
        Ok(())
    }

    /// A line for people, of a build that is not quiet.
    pub(super) async fn say(&self, line: String) {
        if !self.request.quiet {
            self.tell(text(line)).await;
        }
    }

    async fn tell(&self, line: Progress) {
        // The build goes on until `run_until_dropped` sees that nobody listens.
        drop(self.lines.send(Ok(line)).await);
    }

    async fn follow(&mut self, step: &Step) -> Result<(), EngineError> {
        match &step.instruction {
            Instruction::From(from) => self.begin_stage(from).await,
            Instruction::Arg(pairs) => {
                self.declare(pairs).await?;
                Ok(())
            }
            instruction => self.make(instruction, &step.text).await,
        }
    }

    /// An instruction that makes a step.
    async fn make(&mut self, instruction: &Instruction, written: &str) -> Result<(), EngineError> {
        match instruction {
            Instruction::Run(run) => Box::pin(self.run_command(run)).await,
            Instruction::Copy(copy) | Instruction::Add(copy) => {
                Box::pin(self.copy(copy, instruction.keyword())).await
            }
            Instruction::Workdir(_) => Box::pin(self.make_workdir(instruction, written)).await,
            _ => {
                let created_by = self.describe(instruction, written)?;
                self.finish_description(created_by).await
            }
        }
    }

    /// Changes what the stage says of itself; answers the line for the history.
    pub(super) fn describe(
        &mut self,
        instruction: &Instruction,
        written: &str,
    ) -> Result<String, EngineError> {
        let escape = self.dockerfile.escape;
        let stage = self.stage()?;
        let variables = stage.variables();
        stage.description.apply(instruction, &variables, escape)?;
        if let Instruction::StopSignal(_) = instruction {
            crate::spec::signal::parse(&stage.description.config.stop_signal)?;
        }
        let (_, rest) = written
            .split_once(char::is_whitespace)
            .unwrap_or((written, ""));
        let rest = expand(rest, &variables, escape).unwrap_or_else(|_| rest.to_owned());
        Ok(format!(
            "/bin/sh -c #(nop) {} {}",
            instruction.keyword(),
            rest.trim()
        ))
    }

    pub(super) async fn finish_description(
        &mut self,
        created_by: String,
    ) -> Result<(), EngineError> {
        // The configuration is part of the key: two files may come to the same words.
        let config = serde_json::to_string(&self.stage()?.description.config);
        let config = config.map_err(|error| EngineError::internal("describing a step", &error))?;
        let on_build = self.stage()?.description.on_build.join("\n");
        let key = format!("{created_by}\n{config}\n{on_build}");
        let built = self.built(key)?;
        if self.take_cached(&built).await? {
            return Ok(());
        }
        let described = self.described(created_by, built)?;
        let images = self.engine.shared.images.clone();
        let base = self.stage()?.image.clone();
        let image = images
            .describe(&base, described)
            .await
            .map_err(image_error)?;
        self.finish_step(image).await
    }

    pub(super) fn stage(&mut self) -> Result<&mut Stage, EngineError> {
        self.stages.last_mut().ok_or_else(|| {
            EngineError::InvalidParameter("no build stage in current context".to_owned())
        })
    }

    /// What a step on the current image is known by.
    pub(super) fn built(&mut self, key: String) -> Result<Built, EngineError> {
        let parent = Some(self.stage()?.image.clone());
        Ok(Built { parent, key })
    }

    pub(super) fn described(
        &mut self,
        created_by: String,
        built: Built,
    ) -> Result<Described, EngineError> {
        let description = &self.stage()?.description;
        Ok(Described {
            config: description.config.clone(),
            on_build: description.on_build.clone(),
            author: description.author.clone(),
            created_by,
            built: Some(built),
            ..Described::default()
        })
    }

    /// Uses what an earlier build made of this step, if it may.
    pub(super) async fn take_cached(&mut self, built: &Built) -> Result<bool, EngineError> {
        let no_cache = self.request.no_cache;
        let images = self.engine.shared.images.clone();
        let stage = self.stage()?;
        if no_cache || stage.is_cache_broken {
            return Ok(false);
        }
        let Some(image) = images.find_built(built) else {
            stage.is_cache_broken = true;
            return Ok(false);
        };
        self.say(" ---> Using cache\n".to_owned()).await;
        self.finish_step(image).await?;
        Ok(true)
    }

    pub(super) async fn finish_step(&mut self, image: ImageId) -> Result<(), EngineError> {
        self.say(format!(" ---> {}\n", short(&image))).await;
        let stage = self.stage()?;
        stage.image = image;
        stage.has_steps = true;
        Ok(())
    }

    /// The ONBUILD instructions of the base.
    pub(super) async fn pull_triggers(&mut self, triggers: &[String]) -> Result<(), EngineError> {
        match triggers.len() {
            0 => return Ok(()),
            1 => self.say("# Executing 1 build trigger\n".to_owned()).await,
            n => self.say(format!("# Executing {n} build triggers\n")).await,
        }
        for written in triggers {
            let instruction = parse_change(written)?;
            match &instruction {
                Instruction::Arg(pairs) => self.declare(pairs).await?,
                other => self.make(other, written).await?,
            }
        }
        Ok(())
    }

    /// ARG: before the first FROM for all FROMs, later for the stage.
    async fn declare(&mut self, pairs: &[(String, Option<String>)]) -> Result<(), EngineError> {
        let escape = self.dockerfile.escape;
        for (name, default) in pairs {
            let given = self.request.arguments.get(name).cloned().flatten();
            self.consumed.insert(name.clone());
            let Some(stage) = self.stages.last_mut() else {
                let mut variables = Variables::default();
                for (name, value) in &self.global_arguments {
                    variables.set(name, value);
                }
                let value = match (given, default) {
                    (Some(given), _) => given,
                    (None, Some(default)) => expand(default, &variables, escape)?,
                    (None, None) => continue,
                };
                self.global_arguments.insert(name.clone(), value);
                continue;
            };
            let from_platform = platform_arguments(self.platform.as_ref());
            let known = from_platform.iter().find(|(known, _)| known == name);
            let value = match (given, default) {
                (Some(given), _) => Some(given),
                (None, Some(default)) => Some(expand(default, &stage.variables(), escape)?),
                (None, None) => self
                    .global_arguments
                    .get(name)
                    .cloned()
                    .or_else(|| known.map(|(_, value)| value.clone())),
            };
            if let Some(value) = value {
                stage.arguments.insert(name.clone(), value);
            }
        }
        if let Some(stage) = self.stages.last() {
            let image = stage.image.clone();
            self.say(format!(" ---> {}\n", short(&image))).await;
        }
        Ok(())
    }

    async fn warn_of_unused_arguments(&self) {
        let unused: Vec<&str> = (self.request.arguments.keys())
            .filter(|name| !self.consumed.contains(*name) && !is_predefined(name))
            .map(String::as_str)
            .collect();
        if !unused.is_empty() {
            self.say(format!(
                "[Warning] One or more build-args [{}] were not consumed\n",
                unused.join(" ")
            ))
            .await;
        }
    }

    async fn remove_containers(&mut self) {
        for id in std::mem::take(&mut self.containers) {
            let reference = ContainerRef::new(id.as_str());
            let options = RemoveOptions {
                force: true,
                volumes: true,
                link: false,
            };
            match self.engine.remove_container(&reference, options).await {
                Ok(()) => {
                    let id = id.short();
                    self.say(format!(" ---> Removed intermediate container {id}\n"))
                        .await;
                }
                Err(error) => tracing::warn!(container.id = %id, %error, "after a build"),
            }
        }
    }
}

/// Leaves out what comes after the stage that was asked for.
fn cut_at_target(dockerfile: &mut Dockerfile, target: &str) -> Result<(), EngineError> {
    if target.is_empty() {
        return Ok(());
    }
    let lower = target.to_lowercase();
    let stages: Vec<(usize, Option<&String>)> = dockerfile
        .steps
        .iter()
        .enumerate()
        .filter_map(|(at, step)| match &step.instruction {
            Instruction::From(from) => Some((at, from.name.as_ref())),
            _ => None,
        })
        .collect();
    let named = stages.iter().position(|(_, name)| *name == Some(&lower));
    let numbered = target.parse::<usize>().ok().filter(|n| *n < stages.len());
    let Some(wanted) = named.or(numbered) else {
        return Err(EngineError::InvalidParameter(format!(
            "target stage {target:?} could not be found"
        )));
    };
    if let Some((end, _)) = stages.get(wanted + 1) {
        let end = *end;
        dockerfile.steps.truncate(end);
    }
    Ok(())
}

/// `--label` is a LABEL at the end.
fn add_labels(dockerfile: &mut Dockerfile, labels: &BTreeMap<String, String>) {
    if labels.is_empty() {
        return;
    }
    let quoted = |text: &str| {
        let mut quoted = String::from("\"");
        for c in text.chars() {
            if matches!(c, '"' | '$') || c == dockerfile.escape {
                quoted.push(dockerfile.escape);
            }
            quoted.push(c);
        }
        quoted + "\""
    };
    let pairs: Vec<(String, String)> = labels
        .iter()
        .map(|(name, value)| (quoted(name), quoted(value)))
        .collect();
    let words = pairs.iter().map(|(name, value)| format!("{name}={value}"));
    let words: Vec<String> = words.collect();
    dockerfile.steps.push(Step {
        line: 0,
        text: format!("LABEL {}", words.join(" ")),
        instruction: Instruction::Label(pairs),
    });
}

/// As docker shows ids to people.
pub(super) fn short(image: &ImageId) -> String {
    image.0.hex().chars().take(12).collect()
}

fn text(line: String) -> Progress {
    Progress {
        text: Some(line),
        ..Progress::default()
    }
}
