//! Logical lines to instructions.

mod keyword;
mod text;

use self::keyword::unknown;
use self::text::{duration_ns, json_words, words};
use super::DockerfileError;
use super::instruction::{Copy, CopySource, From, HealthCheckSpec, Instruction, Program, Run};
use super::lines::{HereDocument, Logical, logical_lines};

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// What takes a character's meaning away: `\` or `` ` ``.
    pub escape: char,
    pub steps: Vec<Step>,
}

/// An instruction and how it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The first of its physical lines, counted from 1.
    pub line: usize,
    /// On one line, without comments.
    pub text: String,
    pub instruction: Instruction,
}

/// Reads a Dockerfile. Nothing is expanded yet.
pub fn parse(text: &str) -> Result<Dockerfile, DockerfileError> {
    let (lines, escape) = logical_lines(text)?;
    let steps = lines
        .into_iter()
        .map(|logical| {
            let line = logical.line;
            let instruction = instruction(&logical, escape).map_err(|error| error.on_line(line))?;
            Ok(Step {
                line,
                text: logical.text,
                instruction,
            })
        })
        .collect::<Result<Vec<_>, DockerfileError>>()?;
    if steps.is_empty() {
        return Err(DockerfileError::new("file with no instructions"));
    }
    let stage = steps
        .iter()
        .find(|step| !matches!(step.instruction, Instruction::Arg(_)));
    match stage {
        Some(step) if !matches!(step.instruction, Instruction::From(_)) => {
            Err(DockerfileError::new("no build stage in current context").on_line(step.line))
        }
        None => Err(DockerfileError::new("file with no build stage")),
        Some(_) => Ok(Dockerfile { escape, steps }),
    }
}

/// One instruction by itself: what `docker commit --change` takes, or an image's `ONBUILD`.
pub fn parse_change(text: &str) -> Result<Instruction, DockerfileError> {
    let logical = Logical {
        line: 1,
        text: text.trim().to_owned(),
        here_documents: Vec::new(),
    };
    instruction(&logical, '\\')
}

fn instruction(logical: &Logical, escape: char) -> Result<Instruction, DockerfileError> {
    let (keyword, rest) = split_word(&logical.text);
    let keyword = keyword.to_uppercase();
    let (flags, rest) = flags(rest);
    let mut line = Line {
        keyword: &keyword,
        flags,
        rest,
        escape,
        here_documents: &logical.here_documents,
    };
    let parsed = line.parse()?;
    match line.flags.first() {
        Some((name, _)) => Err(DockerfileError::new(format!("unknown flag: --{name}"))),
        None => Ok(parsed),
    }
}

/// The first word, and what comes after the blanks behind it.
fn split_word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

/// The leading `--name[=value]` words.
fn flags(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut flags = Vec::new();
    while let Some(flag) = rest.strip_prefix("--") {
        let (word, after) = split_word(flag);
        rest = after;
        if word.is_empty() {
            break;
        }
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        flags.push((name.to_owned(), value.to_owned()));
    }
    (flags, rest)
}

/// One instruction's parts.
struct Line<'a> {
    keyword: &'a str,
    /// Those that nobody has asked for yet.
    flags: Vec<(String, String)>,
    rest: &'a str,
    escape: char,
    here_documents: &'a [HereDocument],
}

impl Line<'_> {
    fn parse(&mut self) -> Result<Instruction, DockerfileError> {
        Ok(match self.keyword {
            "FROM" => Instruction::From(self.from()?),
            "RUN" => Instruction::Run(self.run()?),
            "CMD" => Instruction::Cmd(self.program()),
            "ENTRYPOINT" => Instruction::Entrypoint(self.program()),
            "SHELL" => match json_words(self.rest) {
                Some(words) if !words.is_empty() => Instruction::Shell(words),
                _ => return self.refuse("requires the arguments to be in JSON form"),
            },
            "LABEL" => Instruction::Label(self.pairs()?),
            "ENV" => Instruction::Env(self.pairs()?),
            "ARG" => Instruction::Arg(self.arguments()?),
            "EXPOSE" => Instruction::Expose(self.some_words()?),
            "VOLUME" => Instruction::Volume(self.paths()?),
            "USER" => Instruction::User(self.one()?),
            "WORKDIR" => Instruction::Workdir(self.one()?),
            "STOPSIGNAL" => Instruction::StopSignal(self.one()?),
            "MAINTAINER" => Instruction::Maintainer(self.one()?),
            "ONBUILD" => Instruction::OnBuild(self.on_build()?),
            "HEALTHCHECK" => Instruction::HealthCheck(self.health_check()?),
            "ADD" => Instruction::Add(self.copy()?),
            "COPY" => Instruction::Copy(self.copy()?),
            other => return Err(unknown(other)),
        })
    }

    fn refuse<T>(&self, why: &str) -> Result<T, DockerfileError> {
        Err(DockerfileError::new(format!("{} {why}", self.keyword)))
    }

    /// Takes a flag's value, if it was given.
    fn flag(&mut self, name: &str) -> Result<Option<String>, DockerfileError> {
        let Some(at) = self.flags.iter().position(|(other, _)| other == name) else {
            return Ok(None);
        };
        let (_, value) = self.flags.remove(at);
        if self.flags.iter().any(|(other, _)| other == name) {
            return Err(DockerfileError::new(format!(
                "duplicate flag specified: {name}"
            )));
        }
        Ok(Some(value))
    }

    /// Refuses a flag that only `BuildKit` has.
    fn needs_buildkit(&self, names: &[&str]) -> Result<(), DockerfileError> {
        match self
            .flags
            .iter()
            .find(|(name, _)| names.contains(&name.as_str()))
        {
            None => Ok(()),
            Some((name, _)) => Err(DockerfileError::new(format!(
                "the --{name} option requires BuildKit, which this engine does not have"
            ))),
        }
    }

    fn one(&self) -> Result<String, DockerfileError> {
        if self.rest.is_empty() {
            return self.refuse("requires exactly one argument");
        }
        Ok(self.rest.to_owned())
    }

    fn some_words(&self) -> Result<Vec<String>, DockerfileError> {
        let words = words(self.rest, self.escape);
        if words.is_empty() {
            return self.refuse("requires at least one argument");
        }
        Ok(words)
    }

    fn program(&self) -> Program {
        match json_words(self.rest) {
            Some(words) => Program::Exec(words),
            None => Program::Shell(self.rest.to_owned()),
        }
    }

    fn from(&mut self) -> Result<From, DockerfileError> {
        let platform = self.flag("platform")?;
        let words: Vec<&str> = self.rest.split_whitespace().collect();
        let (image, name) = match words.as_slice() {
            [image] => (*image, None),
            [image, word, name] if word.eq_ignore_ascii_case("as") => (*image, Some(*name)),
            _ => return self.refuse("requires either one or three arguments"),
        };
        let name = name.map(str::to_lowercase);
        if let Some(name) = &name {
            let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(inner) {
                return Err(DockerfileError::new(format!(
                    "invalid name for build stage: {name:?}, name can't start with a number or \
                     contain symbols"
                )));
            }
        }
        Ok(From {
            image: image.to_owned(),
            name,
            platform,
        })
    }

    fn run(&mut self) -> Result<Run, DockerfileError> {
        self.needs_buildkit(&["mount", "security", "device"])?;
        let network = self.flag("network")?;
        if let Some(other) = &network
            && !matches!(other.as_str(), "default" | "none" | "host")
        {
            return Err(DockerfileError::new(format!(
                "unsupported network mode {other:?}"
            )));
        }
        if self.rest.is_empty() {
            return self.refuse("requires at least one argument");
        }
        let program = match self.here_documents {
            [] => self.program(),
            documents => Program::Shell(script(self.rest, documents)?),
        };
        Ok(Run { program, network })
    }

    /// `NAME=value …`, or the old `NAME value`.
    fn pairs(&self) -> Result<Vec<(String, String)>, DockerfileError> {
        let words = words(self.rest, self.escape);
        let Some(first) = words.first() else {
            return self.refuse("requires at least one argument");
        };
        if !first.contains('=') {
            let (name, value) = split_word(self.rest);
            if value.is_empty() {
                return self.refuse("must have two arguments");
            }
            return Ok(vec![(name.to_owned(), value.to_owned())]);
        }
        words
            .iter()
            .map(|word| match word.split_once('=') {
                Some(("", _)) => self.refuse("names can not be blank"),
                Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
                None => Err(DockerfileError::new(format!(
                    "Syntax error - can't find = in {word:?}. Must be of the form: name=value"
                ))),
            })
            .collect()
    }

    fn arguments(&self) -> Result<Vec<(String, Option<String>)>, DockerfileError> {
        let words = self.some_words()?;
        words
            .into_iter()
            .map(|word| match word.split_once('=') {
                Some(("", _)) => self.refuse("names can not be blank"),
                Some((name, value)) => Ok((name.to_owned(), Some(value.to_owned()))),
                None => Ok((word, None)),
            })
            .collect()
    }

    /// The JSON form, or words.
    fn paths(&self) -> Result<Vec<String>, DockerfileError> {
        match json_words(self.rest) {
            Some(words) if words.is_empty() => self.refuse("requires at least one argument"),
            Some(words) => Ok(words),
            None => self.some_words(),
        }
    }

    fn on_build(&self) -> Result<String, DockerfileError> {
        let (trigger, _) = split_word(self.rest);
        match trigger.to_uppercase().as_str() {
            "" => self.refuse("requires at least one argument"),
            "ONBUILD" => Err(DockerfileError::new(
                "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
            )),
            trigger @ ("FROM" | "MAINTAINER") => Err(DockerfileError::new(format!(
                "{trigger} isn't allowed as an ONBUILD trigger"
            ))),
            _ => {
                parse_change(self.rest)?;
                Ok(self.rest.to_owned())
            }
        }
    }

    fn health_check(&mut self) -> Result<HealthCheckSpec, DockerfileError> {
        let mut spec = HealthCheckSpec::default();
        for (name, field) in [
            ("interval", &mut spec.interval_ns),
            ("timeout", &mut spec.timeout_ns),
            ("start-period", &mut spec.start_period_ns),
            ("start-interval", &mut spec.start_interval_ns),
        ] {
            if let Some(value) = self.flag(name)? {
                *field = duration_ns(&value).ok_or_else(|| {
                    DockerfileError::new(format!("invalid duration {value:?} of --{name}"))
                })?;
            }
        }
        if let Some(value) = self.flag("retries")? {
            let retries = value.parse().ok().filter(|retries| *retries >= 0);
            spec.retries = retries.ok_or_else(|| {
                DockerfileError::new(format!("--retries must be at least 1 (not {value})"))
            })?;
        }
        let (kind, rest) = split_word(self.rest);
        match kind.to_uppercase().as_str() {
            "NONE" if rest.is_empty() => {}
            "NONE" => return self.refuse("NONE takes no arguments"),
            "CMD" if rest.is_empty() => {
                return Err(DockerfileError::new(
                    "Missing command after HEALTHCHECK CMD",
                ));
            }
            "CMD" => {
                spec.program = Some(match json_words(rest) {
                    Some(words) => Program::Exec(words),
                    None => Program::Shell(rest.to_owned()),
                });
            }
            "" => return self.refuse("requires at least one argument"),
            other => {
                return Err(DockerfileError::new(format!(
                    "Unknown type {other:?} in HEALTHCHECK (try CMD)"
                )));
            }
        }
        Ok(spec)
    }

    fn copy(&mut self) -> Result<Copy, DockerfileError> {
        self.needs_buildkit(&["parents", "exclude", "keep-git-dir", "unpack"])?;
        let from = if self.keyword == "COPY" {
            self.flag("from")?
        } else {
            None
        };
        let checksum = if self.keyword == "ADD" {
            self.flag("checksum")?
        } else {
            None
        };
        let (chown, chmod) = (self.flag("chown")?, self.flag("chmod")?);
        // A layer of its own is what every copy makes here.
        if let Some(value) = self.flag("link")?
            && !matches!(value.as_str(), "" | "true" | "false")
        {
            return Err(DockerfileError::new(format!(
                "invalid value {value:?} of --link"
            )));
        }
        let mut paths = self.paths()?;
        let destination = paths.pop().unwrap_or_default();
        if paths.is_empty() {
            return self.refuse(
                "requires at least two arguments, but only one was provided. Destination could \
                 not be determined",
            );
        }
        let mut documents = self.here_documents.iter();
        let sources = paths
            .into_iter()
            .map(|path| {
                let document = path.starts_with("<<").then(|| documents.next()).flatten();
                match document {
                    None => CopySource::Path(path),
                    Some(document) => CopySource::Inline {
                        name: document.name.clone(),
                        content: document.content.clone(),
                        has_variables: document.expands,
                    },
                }
            })
            .collect();
        Ok(Copy {
            sources,
            destination,
            from,
            chown,
            chmod,
            checksum,
        })
    }
}

/// What a shell is to run: the documents themselves when the line has nothing else, or the line
/// with the documents behind it, which the shell reads.
fn script(line: &str, documents: &[HereDocument]) -> Result<String, DockerfileError> {
    let only_documents = line.split_whitespace().all(|word| word.starts_with("<<"));
    if let ([document], true) = (documents, only_documents) {
        if document.content.starts_with("#!") {
            return Err(DockerfileError::new(
                "a here-document that names its interpreter (#!) requires BuildKit, which this \
                 engine does not have",
            ));
        }
        return Ok(document.content.clone());
    }
    let mut text = line.to_owned();
    for document in documents {
        text.push('\n');
        text.push_str(&document.content);
        text.push_str(&document.name);
    }
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests;
