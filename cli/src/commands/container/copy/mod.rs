//! `hythe cp`.
//!
//! Which of the many cases of a copy holds is decided here, from the two paths and what is at
//! them; `from_container` and `to_container` do the work. The rules are those of `cp -a` with
//! docker's reading of a trailing `/.` (the contents of a folder, not the folder).

mod from_container;
mod to_container;

use anyhow::Context as _;
use base64::Engine as _;
use clap::Args;
use serde::Deserialize;

use crate::api::{Api, ApiError, Call};
use crate::failure::Outcome;
use crate::format::decimal_size;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct CopyArguments {
    /// Keep owners
    #[arg(long, short)]
    archive: bool,
    /// Copy what a symbolic link in SOURCE leads to
    #[arg(long, short = 'L')]
    follow_link: bool,
    /// Do not tell how much was copied
    #[arg(long, short)]
    quiet: bool,
    /// CONTAINER:PATH, a path, or - for a tar archive
    #[arg(value_name = "SOURCE")]
    source: String,
    /// CONTAINER:PATH, a path, or - for a tar archive
    #[arg(value_name = "DESTINATION")]
    destination: String,
}

/// How a copy is to be done, whatever its direction.
#[derive(Debug, Clone, Copy)]
struct Options {
    archive: bool,
    follow_link: bool,
}

/// One end of a copy.
#[derive(Debug, PartialEq, Eq)]
enum End<'a> {
    Container { name: &'a str, path: &'a str },
    Local(&'a str),
}

impl<'a> End<'a> {
    /// A colon makes a container's path, unless the text is plainly a local one.
    fn parse(text: &'a str) -> Self {
        if text.starts_with(['/', '.']) {
            return Self::Local(text);
        }
        match text.split_once(':') {
            Some((name, path)) if !name.is_empty() && !name.contains('/') => {
                Self::Container { name, path }
            }
            _ => Self::Local(text),
        }
    }
}

pub(super) async fn run(api: &Api, arguments: &CopyArguments) -> Outcome {
    let options = Options {
        archive: arguments.archive,
        follow_link: arguments.follow_link,
    };
    let (source, destination) = (
        End::parse(&arguments.source),
        End::parse(&arguments.destination),
    );
    let copied = match (source, destination) {
        (End::Container { name, path }, End::Local(local)) => {
            from_container::copy(api, (name, path), local, options).await?
        }
        (End::Local(local), End::Container { name, path }) => {
            to_container::copy(api, local, (name, path), options).await?
        }
        (End::Container { .. }, End::Container { .. }) => {
            return Err(anyhow::anyhow!("copying between containers is not supported").into());
        }
        (End::Local(_), End::Local(_)) => {
            return Err(anyhow::anyhow!("must specify at least one container source").into());
        }
    };
    if !arguments.quiet && arguments.source != "-" && arguments.destination != "-" {
        let size = decimal_size(i64::try_from(copied).unwrap_or(i64::MAX), 3);
        output::remark(&format!(
            "Successfully copied {size} to {}",
            arguments.destination
        ));
    }
    Ok(0)
}

/// What is at a path in a container.
#[derive(Debug, Deserialize)]
struct PathStat {
    /// Go's `os.FileMode`, not the kernel's mode.
    mode: u32,
    #[serde(rename = "linkTarget", default)]
    link_target: String,
}

impl PathStat {
    fn is_directory(&self) -> bool {
        self.mode & (1 << 31) != 0
    }

    fn is_symlink(&self) -> bool {
        self.mode & (1 << 27) != 0
    }
}

const STAT_HEADER: &str = "x-docker-container-path-stat";

fn read_stat(headers: &hyper::HeaderMap) -> anyhow::Result<PathStat> {
    let header = headers
        .get(STAT_HEADER)
        .context("the agent did not say what is at the path")?;
    let json = base64::engine::general_purpose::STANDARD
        .decode(header.as_bytes())
        .context("the agent's word on the path cannot be read")?;
    serde_json::from_slice(&json).context("the agent's word on the path cannot be read")
}

/// What is at the path, or `None` when nothing is.
async fn stat(api: &Api, container: &str, path: &str) -> anyhow::Result<Option<PathStat>> {
    let call = Call::head(super::path(container, "/archive")).query("path", path);
    match api.send(call).await {
        Ok(response) => read_stat(response.headers()).map(Some),
        // The answer to HEAD has no body: whether container or path is missing shows later.
        Err(error @ ApiError::Answer { .. }) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Where a link at `path` leads, as an absolute path in the container.
fn link_destination(path: &str, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    let folder = path
        .trim_end_matches('/')
        .rsplit_once('/')
        .map_or("", |(folder, _)| folder);
    format!("{folder}/{target}")
}

/// Whether the path means what is in a folder, not the folder.
fn means_contents(path: &str) -> bool {
    path == "." || path.ends_with("/.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        let container = |name, path| End::Container { name, path };
        let cases = [
            ("web:/etc", container("web", "/etc")),
            ("web:", container("web", "")),
            ("./a:b", End::Local("./a:b")),
            ("/a:b", End::Local("/a:b")),
            ("a/b:c", End::Local("a/b:c")),
            ("-", End::Local("-")),
            (":x", End::Local(":x")),
        ];
        for (text, expected) in cases {
            assert_eq!(End::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn links() {
        assert_eq!(link_destination("/a/b", "c"), "/a/c");
        assert_eq!(link_destination("/a/b/", "/c"), "/c");
        assert_eq!(link_destination("/b", "c"), "/c");
    }
}
