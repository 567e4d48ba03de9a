//! COPY and ADD: files of the context, of another stage or of an image become the next step.

use std::path::Path;

use super::builder::Builder;
use super::files::{Plan, digest, make_directory, several_sources, write};
use crate::dockerfile::{Copy, CopySource, Instruction, Variables, expand};
use crate::engine::container::rootfs;
use crate::engine::image::image_error;
use crate::engine::{Engine, EngineError};
use crate::image::Snapshot;
use crate::spec::{ContainerId, clean};
use crate::store::Survives;

impl Builder {
    pub(super) async fn copy(
        &mut self,
        copy: &Copy,
        keyword: &'static str,
    ) -> Result<(), EngineError> {
        let plan = self.plan(copy, keyword)?;
        let other = match &copy.from {
            None => None,
            Some(from) => Some(self.other_image(from).await?),
        };
        let (context, hashed) = (std::sync::Arc::clone(&self.context), plan.clone());
        let tree = other.clone();
        let digest = blocking(move || {
            let root = match &tree {
                Some((_, snapshot)) => rootfs::mount_image(snapshot)?,
                None => context.open()?,
            };
            digest(&root, &hashed)
        })
        .await;
        let made = match digest {
            Ok(digest) => self.copy_cached(plan, digest, other.clone()).await,
            Err(error) => Err(error),
        };
        if let Some((id, _)) = other {
            self.forget_snapshot(&id).await;
        }
        made
    }

    async fn copy_cached(
        &mut self,
        plan: Plan,
        digest: String,
        other: Option<(ContainerId, Snapshot)>,
    ) -> Result<(), EngineError> {
        let created_by = format!(
            "/bin/sh -c #(nop) {} {digest} in {} ",
            plan.keyword, plan.destination
        );
        let key = format!("{created_by}\n{:?}\n{:?}", plan.chown, plan.mode);
        let built = self.built(key)?;
        if self.take_cached(&built).await? {
            return Ok(());
        }
        let (id, snapshot) = self.snapshot().await?;
        let context = std::sync::Arc::clone(&self.context);
        let written = blocking(move || {
            let root = match &other {
                Some((_, snapshot)) => rootfs::mount_image(snapshot)?,
                None => context.open()?,
            };
            write(&root, &rootfs::mount(&snapshot)?, &plan)
        })
        .await;
        let made = match written {
            Ok(()) => {
                let described = self.described(created_by, built)?;
                let images = self.engine.shared.images.clone();
                Box::pin(images.commit(&id, described))
                    .await
                    .map_err(image_error)
            }
            Err(error) => Err(error),
        };
        self.forget_snapshot(&id).await;
        self.finish_step(made?).await
    }

    /// WORKDIR: the directory is made when it is not there.
    pub(super) async fn make_workdir(
        &mut self,
        instruction: &Instruction,
        written: &str,
    ) -> Result<(), EngineError> {
        let created_by = self.describe(instruction, written)?;
        let path = self.stage()?.description.config.working_dir.clone();
        let (id, snapshot) = self.snapshot().await?;
        let wanted = path.clone();
        let made = blocking(move || make_directory(&rootfs::mount(&snapshot)?, &wanted)).await;
        let finished = match made {
            Ok(false) => self.finish_description(created_by).await,
            Ok(true) => self.commit_workdir(&id, created_by, &path).await,
            Err(error) => Err(error),
        };
        self.forget_snapshot(&id).await;
        finished
    }

    async fn commit_workdir(
        &mut self,
        id: &ContainerId,
        created_by: String,
        path: &str,
    ) -> Result<(), EngineError> {
        let built = self.built(format!("{created_by}\n{path}"))?;
        if self.take_cached(&built).await? {
            return Ok(());
        }
        let described = self.described(created_by, built)?;
        let images = self.engine.shared.images.clone();
        let image = images.commit(id, described).await.map_err(image_error)?;
        self.finish_step(image).await
    }

    fn plan(&mut self, copy: &Copy, keyword: &'static str) -> Result<Plan, EngineError> {
        if copy.checksum.is_some() {
            return Err(EngineError::NotImplemented(
                "ADD --checksum is not supported by this builder".to_owned(),
            ));
        }
        let escape = self.dockerfile.escape;
        let variables = self.stage()?.variables();
        let word = |text: &String| expand(text, &variables, escape);
        let sources = copy
            .sources
            .iter()
            .map(|source| expanded(source, (&variables, escape), keyword));
        let sources = sources.collect::<Result<Vec<_>, EngineError>>()?;
        let mode = copy.chmod.as_ref().map(word).transpose()?;
        let mode = mode
            .map(|text| {
                let mode = u32::from_str_radix(&text, 8)
                    .ok()
                    .filter(|mode| *mode <= 0o7777);
                mode.ok_or_else(|| {
                    EngineError::InvalidParameter(format!(
                        "invalid chmod parameter: '{text}'. it should be octal string and \
                         between 0 and 07777"
                    ))
                })
            })
            .transpose()?;
        let working_dir = self.stage()?.description.config.working_dir.clone();
        let destination = destination(&working_dir, &word(&copy.destination)?);
        let plan = Plan {
            keyword,
            sources,
            destination,
            chown: copy.chown.as_ref().map(word).transpose()?,
            mode,
        };
        if plan.sources.len() > 1 && !plan.destination.ends_with('/') {
            return Err(several_sources(keyword));
        }
        Ok(plan)
    }

    /// The files of `--from`, kept while the snapshot is.
    async fn other_image(&mut self, from: &str) -> Result<(ContainerId, Snapshot), EngineError> {
        let lower = from.to_lowercase();
        let current = self.stages.len().saturating_sub(1);
        let earlier = &self.stages[..current];
        let named = earlier
            .iter()
            .find(|stage| stage.name.as_ref() == Some(&lower));
        let numbered = || from.parse::<usize>().ok().and_then(|n| earlier.get(n));
        let image = match named.or_else(numbered) {
            Some(stage) => stage.image.clone(),
            None if from.bytes().all(|b| b.is_ascii_digit()) => {
                return Err(EngineError::InvalidParameter(format!(
                    "invalid from flag value {from}: invalid from flag value {from}: not found"
                )));
            }
            None => self.find_or_pull(from, None).await?.id,
        };
        self.snapshot_of(&image).await
    }

    async fn snapshot(&mut self) -> Result<(ContainerId, Snapshot), EngineError> {
        let image = self.stage()?.image.clone();
        self.snapshot_of(&image).await
    }

    async fn snapshot_of(
        &self,
        image: &hythe_oci::ImageId,
    ) -> Result<(ContainerId, Snapshot), EngineError> {
        let id = ContainerId::random();
        let images = &self.engine.shared.images;
        let snapshot = images
            // What is left of a build that was cut off goes at the next start.
            .create_snapshot(&id, image, Survives::Restart)
            .await
            .map_err(image_error)?;
        Ok((id, snapshot))
    }

    async fn forget_snapshot(&self, id: &ContainerId) {
        let engine: &Engine = &self.engine;
        if let Err(error) = engine.shared.images.remove_snapshot(id).await {
            tracing::warn!(%error, "files of a build step stay behind");
        }
    }
}

fn expanded(
    source: &CopySource,
    (variables, escape): (&Variables, char),
    keyword: &str,
) -> Result<CopySource, EngineError> {
    Ok(match source {
        CopySource::Path(path) => {
            let path = expand(path, variables, escape)?;
            let is_url = path.starts_with("http://") || path.starts_with("https://");
            let is_git = path.starts_with("git@") || path.starts_with("git://");
            if keyword == "ADD" && (is_url || is_git) {
                return Err(EngineError::NotImplemented(format!(
                    "ADD of a URL ({path}) is not supported by this builder; download it in a RUN"
                )));
            }
            CopySource::Path(path)
        }
        CopySource::Inline {
            name,
            content,
            has_variables,
        } => CopySource::Inline {
            name: name.clone(),
            content: if *has_variables {
                expand_document(content, variables)?
            } else {
                content.clone()
            },
            has_variables: false,
        },
    })
}

/// Variables only: quotes of a here-document are its own.
fn expand_document(content: &str, variables: &Variables) -> Result<String, EngineError> {
    let mut shielded = String::new();
    for c in content.chars() {
        if matches!(c, '\'' | '"') {
            shielded.push('\\');
        }
        shielded.push(c);
    }
    Ok(expand(&shielded, variables, '\\')?)
}

/// The destination seen from the working directory, cleaned; a slash at the end stays.
fn destination(working_dir: &str, text: &str) -> String {
    let must_be_directory = text.ends_with('/') || text.ends_with("/.") || text == ".";
    let whole = Path::new(working_dir).join(text);
    let mut text = Path::new("/")
        .join(clean(&whole))
        .to_string_lossy()
        .into_owned();
    if must_be_directory && !text.ends_with('/') {
        text.push('/');
    }
    text
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| EngineError::internal("copying files", &error))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_seen_from_the_working_directory() {
        for (working_dir, text, expected) in [
            ("", "a", "/a"),
            ("/srv", "a/", "/srv/a/"),
            ("/srv", ".", "/srv/"),
            ("/srv", "../x/./y", "/x/y"),
            ("/srv", "/", "/"),
        ] {
            assert_eq!(
                destination(working_dir, text),
                expected,
                "{working_dir} {text}"
            );
        }
    }

    #[test]
    fn documents_keep_their_quotes() {
        let mut variables = Variables::default();
        variables.set("A", "one");
        let document = "say \"$A\" 'and' ${B:-two}\n";
        let expected = "say \"one\" 'and' two\n";
        assert_eq!(expand_document(document, &variables).unwrap(), expected);
    }
}
