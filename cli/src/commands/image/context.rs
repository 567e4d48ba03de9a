//! The build context: what travels to the agent, and where the Dockerfile is in it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use futures_util::StreamExt as _;

use crate::commands::archive::{Packed, Packing, Pipe};
use hythe_oci::ignore_file::IgnoreFile;

const DOCKERFILE: &str = "Dockerfile";
const IGNORE_FILE: &str = ".dockerignore";
/// Where the name of a USTAR or GNU archive begins.
const TAR_MAGIC_OFFSET: usize = 257;

/// Where the context comes from.
#[derive(Debug)]
pub(super) enum BuildContext {
    /// The agent fetches it.
    Remote(String),
    /// Bytes that are there already: an archive that was piped in.
    Archive(Vec<u8>),
    /// A folder, and a Dockerfile that may lie outside of it.
    Folder {
        path: PathBuf,
        ignore: IgnoreFile,
        /// Name in the context, and content if it comes from elsewhere.
        dockerfile: String,
        foreign: Option<Vec<u8>>,
    },
}

impl BuildContext {
    /// Resolves `PATH | URL | -` and `--file`.
    pub(super) fn resolve(source: &str, file: Option<&str>) -> anyhow::Result<Self> {
        if is_remote(source) {
            return Ok(Self::Remote(source.to_owned()));
        }
        if source == "-" {
            anyhow::ensure!(
                file != Some("-"),
                "invalid argument: can't use stdin for both build context and dockerfile"
            );
            return Self::from_standard_input();
        }
        let path = PathBuf::from(source);
        anyhow::ensure!(
            path.is_dir(),
            "unable to prepare context: path \"{source}\" not found"
        );
        let ignore = match std::fs::read_to_string(path.join(IGNORE_FILE)) {
            Ok(text) => IgnoreFile::parse(&text).context("error checking context")?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => IgnoreFile::default(),
            Err(error) => return Err(error).context("error reading .dockerignore"),
        };
        let (dockerfile, foreign) = dockerfile(&path, file)?;
        Ok(Self::Folder {
            path,
            ignore,
            dockerfile,
            foreign,
        })
    }

    /// An archive is passed on; anything else is a Dockerfile that needs no context.
    fn from_standard_input() -> anyhow::Result<Self> {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .context("failed to read context from STDIN")?;
        if is_archive(&bytes) {
            return Ok(Self::Archive(bytes));
        }
        let mut builder = tar::Builder::new(Vec::new());
        append_bytes(&mut builder, DOCKERFILE, &bytes)?;
        Ok(Self::Archive(builder.into_inner()?))
    }

    /// The Dockerfile's name in the context, where it is ours to say.
    pub(super) fn dockerfile<'a>(&'a self, said: Option<&'a str>) -> Option<&'a str> {
        match self {
            Self::Folder { dockerfile, .. } => Some(dockerfile),
            Self::Remote(_) | Self::Archive(_) => said,
        }
    }

    pub(super) fn remote(&self) -> Option<&str> {
        match self {
            Self::Remote(url) => Some(url),
            Self::Archive(_) | Self::Folder { .. } => None,
        }
    }

    /// The bytes to send.
    pub(super) fn into_stream(self) -> ContextStream {
        match self {
            Self::Remote(_) => (futures_util::stream::empty().boxed(), None),
            Self::Archive(bytes) => {
                let stream = futures_util::stream::once(async { Ok(bytes.into()) });
                (stream.boxed(), None)
            }
            Self::Folder {
                path,
                ignore,
                dockerfile,
                foreign,
            } => {
                let packing = Packing::start(move |builder| {
                    let walk = Walk {
                        root: &path,
                        ignore: &ignore,
                        dockerfile: &dockerfile,
                    };
                    walk.append(builder, Path::new(""))?;
                    if let Some(bytes) = foreign {
                        append_bytes(builder, &dockerfile, &bytes)?;
                    }
                    Ok(())
                });
                let (stream, packed) = packing.into_parts();
                (stream.boxed(), Some(packed))
            }
        }
    }
}

/// The context's bytes, and the work that makes them if there is any.
pub(super) type ContextStream = (
    futures_util::stream::BoxStream<'static, std::io::Result<bytes::Bytes>>,
    Option<Packed>,
);

fn is_remote(source: &str) -> bool {
    ["http://", "https://", "git://", "git@", "github.com/"]
        .iter()
        .any(|prefix| source.starts_with(prefix))
}

fn is_archive(bytes: &[u8]) -> bool {
    const COMPRESSED: [&[u8]; 4] = [
        &[0x1f, 0x8b],
        b"BZh",
        &[0xfd, b'7', b'z', b'X', b'Z'],
        &[0x28, 0xb5, 0x2f, 0xfd],
    ];
    COMPRESSED.iter().any(|magic| bytes.starts_with(magic))
        || bytes
            .get(TAR_MAGIC_OFFSET..)
            .is_some_and(|rest| rest.starts_with(b"ustar"))
}

/// The Dockerfile's name in the context, and its content if it has to be added.
fn dockerfile(context: &Path, file: Option<&str>) -> anyhow::Result<(String, Option<Vec<u8>>)> {
    let foreign_name = || format!(".dockerfile.{}", std::process::id());
    let path = match file {
        Some("-") => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .read_to_end(&mut bytes)
                .context("failed to read the Dockerfile from STDIN")?;
            return Ok((foreign_name(), Some(bytes)));
        }
        Some(file) => PathBuf::from(file),
        None => context.join(DOCKERFILE),
    };
    let failed = || {
        format!(
            "unable to evaluate symlinks in Dockerfile path: {}",
            path.display()
        )
    };
    let whole = std::fs::canonicalize(&path).with_context(failed)?;
    let root = std::fs::canonicalize(context)?;
    match whole.strip_prefix(&root) {
        Ok(inside) => Ok((inside.to_string_lossy().into_owned(), None)),
        Err(_) => Ok((
            foreign_name(),
            Some(std::fs::read(&whole).with_context(failed)?),
        )),
    }
}

fn append_bytes(
    builder: &mut tar::Builder<impl std::io::Write>,
    name: &str,
    bytes: &[u8],
) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o600);
    builder.append_data(&mut header, name, bytes)
}

/// A walk through the context, leaving out what is ignored.
struct Walk<'a> {
    root: &'a Path,
    ignore: &'a IgnoreFile,
    dockerfile: &'a str,
}

impl Walk<'_> {
    /// Appends everything in the folder, in the order of names: equal folders give equal bytes.
    fn append(&self, builder: &mut tar::Builder<Pipe>, folder: &Path) -> anyhow::Result<()> {
        let full = self.root.join(folder);
        let failed = || format!("error checking context: can't read {}", full.display());
        let mut names = std::fs::read_dir(&full)
            .with_context(failed)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<Vec<_>, _>>()
            .with_context(failed)?;
        names.sort();
        for name in names {
            let path = folder.join(name);
            let full = self.root.join(&path);
            let kind = full.symlink_metadata().with_context(failed)?.file_type();
            let ignored = self.ignore.ignores(&path) && !self.always_sent(&path);
            if kind.is_dir() {
                if !ignored {
                    builder.append_dir(&path, &full)?;
                }
                if !ignored || self.ignore.may_keep_below() || self.dockerfile_below(&path) {
                    self.append(builder, &path)?;
                }
            } else if !ignored && (kind.is_file() || kind.is_symlink()) {
                builder
                    .append_path_with_name(&full, &path)
                    .with_context(|| format!("can't send {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// The build itself needs these, whatever the ignore file says.
    fn always_sent(&self, path: &Path) -> bool {
        path == Path::new(IGNORE_FILE) || path == Path::new(self.dockerfile)
    }

    fn dockerfile_below(&self, folder: &Path) -> bool {
        Path::new(self.dockerfile).starts_with(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_ignored_does_not_travel() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("docker/Dockerfile", "FROM scratch");
        write(".dockerignore", "docker\nlogs\n!logs/keep\n*.tmp");
        write("logs/a", "");
        write("logs/keep", "");
        write("src/main.rs", "");
        write("x.tmp", "");
        std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
        let file = folder.path().join("docker/Dockerfile");
        let context =
            BuildContext::resolve(folder.path().to_str().unwrap(), file.to_str()).unwrap();
        assert_eq!(context.dockerfile(None), Some("docker/Dockerfile"));
        let (mut stream, packed) = context.into_stream();
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        packed.unwrap().after(Ok(())).await.unwrap();
        let names: Vec<String> = tar::Archive::new(&bytes[..])
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(
            names,
            [
                ".dockerignore",
                "docker/Dockerfile",
                "link",
                "logs/keep",
                "src",
                "src/main.rs"
            ]
        );
    }

    #[test]
    fn a_dockerfile_from_elsewhere_is_added() {
        let (context, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = elsewhere.path().join("Other");
        std::fs::write(&file, "FROM x").unwrap();
        let (name, content) = dockerfile(context.path(), file.to_str()).unwrap();
        assert!(name.starts_with(".dockerfile."));
        assert_eq!(content.as_deref(), Some(&b"FROM x"[..]));
        assert!(dockerfile(context.path(), None).is_err());
    }

    #[test]
    fn archives_are_told_from_dockerfiles() {
        let mut builder = tar::Builder::new(Vec::new());
        append_bytes(&mut builder, "Dockerfile", b"FROM x").unwrap();
        assert!(is_archive(&builder.into_inner().unwrap()));
        assert!(is_archive(&[0x1f, 0x8b, 8]));
        assert!(!is_archive(b"FROM x"));
    }
}
