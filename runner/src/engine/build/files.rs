//! The files of a COPY or ADD: what stands for them, and their way into the layer of a step.
//!
//! Both ends are directory handles that nothing leads out of; between them goes an archive.

use std::ffi::CString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use hythe_oci::{Algorithm, DigestHasher};

use super::source::{self, Item};
use crate::dockerfile::CopySource;
use crate::engine::EngineError;
use crate::engine::error::chain;
use crate::engine::lookup::Found;
use crate::engine::pack::{Packer, Rewrite};
use crate::image::unpack::{self, Merge};
use crate::launch;
use crate::sys::dir::Directory;

/// A copy whose words are expanded.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) keyword: &'static str,
    pub(super) sources: Vec<CopySource>,
    /// Absolute; with a slash at its end when it must be a directory.
    pub(super) destination: String,
    pub(super) chown: Option<String>,
    pub(super) mode: Option<u32>,
}

impl Plan {
    /// The destination below the root of a tree.
    fn place(&self) -> &Path {
        Path::new(self.destination.trim_matches('/'))
    }
}

pub(super) fn several_sources(keyword: &str) -> EngineError {
    EngineError::InvalidParameter(format!(
        "When using {keyword} with more than one source file, the destination must be a directory \
         and end with a /"
    ))
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
pub(super) fn digest(root: &Directory, plan: &Plan) -> Result<String, EngineError> {
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
        ..Rewrite::default()
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
pub(super) fn write(root: &Directory, target: &Directory, plan: &Plan) -> Result<(), EngineError> {
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
        ..Rewrite::default()
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
        owner,
        ..Merge::default()
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
pub(super) fn make_directory(root: &Directory, path: &str) -> Result<bool, EngineError> {
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
