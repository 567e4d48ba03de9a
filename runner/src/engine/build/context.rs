//! What the caller of a build sent: a tar, in a directory of ours while the build goes on.

use std::ffi::CString;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use hythe_oci::ignore_file::IgnoreFile;
use rand::RngCore as _;

use crate::engine::error::chain;
use crate::engine::{ByteStream, Engine, EngineError, channel, lookup};
use crate::image::unpack::{self, Merge, UnpackError};
use crate::sys::dir::Directory;
use crate::sys::tree;

/// More is no file that people wrote.
const MAX_TEXT_BYTES: u64 = 4 << 20;

/// The files of a build; removed with it.
#[derive(Debug)]
pub(super) struct Context {
    path: PathBuf,
    /// The text of the Dockerfile.
    pub(super) dockerfile: String,
}

impl Context {
    /// Unpacks the body, and leaves out what `.dockerignore` says.
    pub(super) async fn receive(
        engine: &Engine,
        body: ByteStream,
        dockerfile: &str,
    ) -> Result<Self, EngineError> {
        let mut name = [0_u8; 8];
        rand::rng().fill_bytes(&mut name);
        let path = engine.shared.paths.builds().join(hex::encode(name));
        tokio::fs::create_dir_all(&path).await?;
        let mut context = Self {
            path,
            dockerfile: String::new(),
        };
        let reader = channel::reader(body);
        let directory = context.open()?;
        let dockerfile = dockerfile.to_owned();
        let read = tokio::task::spawn_blocking(move || {
            spread(reader, &directory)?;
            let text = read_text(&directory, &dockerfile)?.ok_or_else(|| {
                EngineError::InvalidParameter(format!(
                    "Cannot locate specified Dockerfile: {dockerfile}"
                ))
            })?;
            leave_out_ignored(&directory, &dockerfile)?;
            Ok::<_, EngineError>(text)
        });
        context.dockerfile = read
            .await
            .map_err(|error| EngineError::internal("reading the context", &error))??;
        Ok(context)
    }

    pub(super) fn open(&self) -> io::Result<Directory> {
        Directory::open(&self.path)
    }
}

impl Drop for Context {
    /// However a build ends, also before its first step.
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        tokio::spawn(async move {
            if let Err(error) = tree::remove(&path).await {
                tracing::warn!(path = %path.display(), %error, "the context of a build stays");
            }
        });
    }
}

fn spread(reader: impl io::Read + Send, directory: &Directory) -> Result<(), EngineError> {
    let unpacked = unpack::unpack_files(reader, directory.reopen()?, Merge::default());
    unpacked.map(drop).map_err(|error| match error {
        UnpackError::Write { .. } => EngineError::internal("unpacking the context", &error),
        error => {
            EngineError::InvalidParameter(format!("Error processing tar file: {}", chain(&error)))
        }
    })
}

/// `None` when there is no such file.
fn read_text(directory: &Directory, path: &str) -> Result<Option<String>, EngineError> {
    let found = match lookup::find_target(directory, Path::new(path)) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    let file = found.parent.open_file(&found.name)?;
    file.take(MAX_TEXT_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_TEXT_BYTES {
        return Err(EngineError::InvalidParameter(format!(
            "{path} is too large"
        )));
    }
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| EngineError::InvalidParameter(format!("{path} is not UTF-8 text")))
}

/// Clients that are not docker's own send ignored files too.
fn leave_out_ignored(directory: &Directory, dockerfile: &str) -> Result<(), EngineError> {
    let own = format!("{dockerfile}.dockerignore");
    let text = match read_text(directory, &own)? {
        Some(text) => Some(text),
        None => read_text(directory, ".dockerignore")?,
    };
    let Some(text) = text else {
        return Ok(());
    };
    let ignore = IgnoreFile::parse(&text)
        .map_err(|error| EngineError::InvalidParameter(format!(".dockerignore: {error}")))?;
    remove_ignored(directory, Path::new(""), &ignore)?;
    Ok(())
}

fn remove_ignored(directory: &Directory, path: &Path, ignore: &IgnoreFile) -> io::Result<()> {
    for name in directory.names()? {
        let below = path.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
        let is_directory = matches!(
            directory.kind(&name)?,
            Some(crate::sys::dir::Kind::Directory)
        );
        let ignored = ignore.ignores(&below);
        if ignored && !(is_directory && ignore.may_keep_below()) {
            directory.remove_tree(&name)?;
        } else if is_directory {
            let child = directory.open_child(&name)?;
            remove_ignored(&child, &below, ignore)?;
            if ignored && child.names()?.is_empty() {
                directory.remove_tree(&CString::from(name.as_c_str()))?;
            }
        }
    }
    Ok(())
}
