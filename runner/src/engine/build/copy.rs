//! COPY and ADD: files of the context, of another stage or of an image become the next step.

use std::ffi::CString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use hythe_oci::{Algorithm, DigestHasher};

use super::builder::Builder;
use super::source::{self, Item};
use crate::dockerfile::{Copy, CopySource, Instruction, Variables, expand};
use crate::engine::container::rootfs;
use crate::engine::error::chain;
use crate::engine::image::image_error;
use crate::engine::lookup::Found;
use crate::engine::pack::{Packer, Rewrite};
use crate::engine::{Engine, EngineError};
use crate::image::Snapshot;
use crate::image::unpack::{self, Merge};
use crate::launch;
use crate::spec::ContainerId;
use crate::sys::dir::Directory;

/// A copy whose words are expanded.
#[derive(Debug, Clone)]
struct Plan {
    keyword: &'static str,
    sources: Vec<CopySource>,
    /// Absolute; with a slash at its end when it must be a directory.
    destination: String,
    chown: Option<String>,
    mode: Option<u32>,
}

impl Plan {
    /// The destination below the root of a tree.
    fn place(&self) -> &Path {
        Path::new(self.destination.trim_matches('/'))
    }
}

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
        let variables = self.stage()?.variables();
        let word = |text: &String| expand(text, &variables, '\\');
        let sources = copy
            .sources
            .iter()
            .map(|source| expanded(source, &variables, keyword));
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
            .create_snapshot(&id, image)
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

fn several_sources(keyword: &str) -> EngineError {
    EngineError::InvalidParameter(format!(
        "When using {keyword} with more than one source file, the destination must be a directory \
         and end with a /"
    ))
}

fn expanded(
    source: &CopySource,
    variables: &Variables,
    keyword: &str,
) -> Result<CopySource, EngineError> {
    Ok(match source {
        CopySource::Path(path) => {
            let path = expand(path, variables, '\\')?;
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
    let whole = Path::new("/").join(working_dir).join(text);
    let mut clean = PathBuf::from("/");
    for component in whole.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    let mut text = clean.to_string_lossy().into_owned();
    if must_be_directory && !text.ends_with('/') {
        text.push('/');
    }
    text
}

/// Everything the plan copies.
fn items(root: &Directory, plan: &Plan) -> Result<Vec<Item>, EngineError> {
    let mut items = Vec::new();
    for source in &plan.sources {
        match source {
            CopySource::Path(path) => {
                items.extend(source::items(root, path, plan.keyword == "ADD")?);
            }
            CopySource::Inline { name, content, .. } => items.push(Item::Inline {
                name: name.into(),
                bytes: content.clone().into_bytes(),
            }),
        }
    }
    if items.len() > 1 && !plan.destination.ends_with('/') {
        return Err(several_sources(plan.keyword));
    }
    Ok(items)
}

/// Stands for the content of what is copied, whatever its times; in docker's form.
fn digest(root: &Directory, plan: &Plan) -> Result<String, EngineError> {
    struct Hashing(DigestHasher);

    impl Write for Hashing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let items = items(root, plan)?;
    let kind = match items.as_slice() {
        [Item::Content(_)] => "dir",
        [_] => "file",
        _ => "multi",
    };
    let mut hashing = Hashing(DigestHasher::new(Algorithm::Sha256));
    let rewrite = Rewrite {
        owner: Some((0, 0)),
        mode: None,
        without_times: true,
    };
    for item in &items {
        // One archive each, so that no item can look like a part of another.
        let mut packer = Packer::new(&mut hashing, rewrite);
        match item {
            Item::Content(directory) => packer.put_content(directory, Path::new("content"))?,
            Item::Object { found, name } => packer.put(&found.parent, &found.name, name)?,
            Item::Archive(found) => {
                packer.put(&found.parent, &found.name, Path::new("archive"))?;
            }
            Item::Inline { name, bytes } => packer.put_bytes(name, bytes)?,
        }
        packer.finish()?;
    }
    Ok(format!("{kind}:{}", hashing.0.finish().hex()))
}

/// Copies everything into the tree at `target`.
fn write(root: &Directory, target: &Directory, plan: &Plan) -> Result<(), EngineError> {
    let owner = match &plan.chown {
        None => None,
        Some(text) => Some(launch::owner_in(target, text).map_err(|error| {
            EngineError::InvalidParameter(format!(
                "unable to convert uid/gid chown string to host mapping: {error}"
            ))
        })?),
    };
    let rewrite = Rewrite {
        owner: Some(owner.unwrap_or((0, 0))),
        mode: plan.mode,
        without_times: false,
    };
    for item in items(root, plan)? {
        match &item {
            Item::Archive(found) => extract(found, target, plan, owner)?,
            item => write_item(item, target, plan, rewrite)?,
        }
    }
    Ok(())
}

/// An archive's content, below the destination.
fn extract(
    found: &Found,
    target: &Directory,
    plan: &Plan,
    owner: Option<(u32, u32)>,
) -> Result<(), EngineError> {
    make_directory(target, &plan.destination)?;
    let file = found.parent.open_file(&found.name)?;
    let merge = Merge {
        keep_kinds: false,
        owner,
    };
    let unpacked = unpack::unpack_files(file, open(target, plan.place())?, merge);
    unpacked
        .map(drop)
        .map_err(|error| EngineError::InvalidParameter(format!("ADD failed: {}", chain(&error))))
}

fn write_item(
    item: &Item,
    target: &Directory,
    plan: &Plan,
    rewrite: Rewrite,
) -> Result<(), EngineError> {
    let place = plan.place();
    let is_directory = open(target, place).is_ok();
    let named = |name: &Path| {
        if is_directory || plan.destination.ends_with('/') {
            place.join(name)
        } else {
            place.to_owned()
        }
    };
    transfer(target, |writer| {
        let mut packer = Packer::new(writer, rewrite);
        match item {
            Item::Content(directory) => {
                if !is_directory {
                    packer.put_directory(place)?;
                }
                packer.put_content(directory, place)?;
            }
            Item::Object { found, name } => {
                packer.put(&found.parent, &found.name, &named(name))?;
            }
            Item::Inline { name, bytes } => packer.put_bytes(&named(name), bytes)?,
            Item::Archive(_) => {}
        }
        packer.finish()
    })
}

/// What `pack` writes, unpacked at `target`.
fn transfer(
    target: &Directory,
    pack: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send,
) -> Result<(), EngineError> {
    let (reader, writer) = io::pipe()?;
    std::thread::scope(|scope| {
        let packing = scope.spawn(move || {
            let mut writer = io::BufWriter::with_capacity(1 << 16, writer);
            pack(&mut writer)?;
            writer.flush()
        });
        let unpacked = unpack::unpack_files(reader, target.reopen()?, Merge::default());
        let packed = packing
            .join()
            .map_err(|_| EngineError::Internal("packing".to_owned()))?;
        match (packed, unpacked) {
            (Ok(()), Ok(_)) => Ok(()),
            // A reader that gave up is why the writer failed.
            (_, Err(error)) => Err(EngineError::InvalidParameter(format!(
                "COPY failed: {}",
                chain(&error)
            ))),
            (Err(error), Ok(_)) => Err(error.into()),
        }
    })
}

fn open(root: &Directory, path: &Path) -> io::Result<Directory> {
    if path.as_os_str().is_empty() {
        return root.reopen();
    }
    root.open_in_root(&CString::new(path.as_os_str().as_bytes())?)
}

/// Makes a directory with all above it; false when it is there.
fn make_directory(root: &Directory, path: &str) -> Result<bool, EngineError> {
    let place = Path::new(path.trim_matches('/')).to_owned();
    if open(root, &place).is_ok() {
        return Ok(false);
    }
    transfer(root, move |writer| {
        let mut packer = Packer::new(writer, Rewrite::default());
        packer.put_directory(&place)?;
        packer.finish()
    })?;
    Ok(true)
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
