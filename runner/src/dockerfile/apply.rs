//! What instructions that only describe change in the configuration of an image.

use std::path::Path;

use super::instruction::{HealthCheckSpec, Instruction, Program};
use super::{DockerfileError, Variables, expand, expand_words};
use crate::spec::{ContainerConfig, HealthCheck, PortSpec, clean};

/// The most ports that one range may stand for.
const MAX_PORTS: usize = 1 << 16;

/// What an image says about its containers and its children.
#[derive(Debug, Clone, Default)]
pub struct ImageDescription {
    pub config: ContainerConfig,
    pub on_build: Vec<String>,
    pub author: String,
    /// This stage has said what to run; an entrypoint leaves that alone.
    pub is_cmd_set: bool,
}

impl ImageDescription {
    /// Follows an instruction that makes no files. Those that do are an error: they cannot be a
    /// change of a commit, and a build does not ask this.
    pub fn apply(
        &mut self,
        instruction: &Instruction,
        variables: &Variables,
        escape: char,
    ) -> Result<(), DockerfileError> {
        let word = |text: &str| expand(text, variables, escape);
        match instruction {
            Instruction::Cmd(program) => {
                self.config.cmd = Some(self.argv(program));
                self.is_cmd_set = true;
            }
            Instruction::Entrypoint(program) => {
                self.config.entrypoint = Some(self.argv(program)).filter(|argv| !argv.is_empty());
                if !self.is_cmd_set {
                    self.config.cmd = None;
                }
            }
            Instruction::Shell(shell) => self.config.shell = Some(shell.clone()),
            Instruction::Label(pairs) => {
                for (name, value) in pairs {
                    self.config.labels.insert(word(name)?, word(value)?);
                }
            }
            Instruction::Env(pairs) => self.set_variables(pairs, &word)?,
            Instruction::Expose(texts) => {
                for text in texts {
                    self.expose(&expand_words(text, variables, escape)?)?;
                }
            }
            Instruction::Volume(paths) => self.add_volumes(paths, &word)?,
            Instruction::User(user) => self.config.user = word(user)?,
            Instruction::Workdir(path) => {
                let path = word(path)?;
                self.config.working_dir = absolute(&self.config.working_dir, &path);
            }
            Instruction::StopSignal(signal) => self.config.stop_signal = word(signal)?,
            Instruction::OnBuild(text) => self.on_build.push(text.clone()),
            Instruction::Maintainer(author) => author.clone_into(&mut self.author),
            Instruction::HealthCheck(spec) => self.config.healthcheck = Some(health_check(spec)),
            Instruction::From(_)
            | Instruction::Run(_)
            | Instruction::Arg(_)
            | Instruction::Add(_)
            | Instruction::Copy(_) => {
                return Err(DockerfileError::new(format!(
                    "{} is not a valid change command",
                    instruction.keyword()
                )));
            }
        }
        Ok(())
    }

    /// What is executed for a command of either form.
    pub fn argv(&self, program: &Program) -> Vec<String> {
        match program {
            Program::Exec(words) => words.clone(),
            Program::Shell(text) => {
                let mut argv = match &self.config.shell {
                    Some(shell) => shell.clone(),
                    None => vec!["/bin/sh".to_owned(), "-c".to_owned()],
                };
                argv.push(text.clone());
                argv
            }
        }
    }

    /// All of one line see the variables from before it.
    fn set_variables(
        &mut self,
        pairs: &[(String, String)],
        word: &impl Fn(&str) -> Result<String, DockerfileError>,
    ) -> Result<(), DockerfileError> {
        let pairs = pairs.iter();
        let pairs = pairs.map(|(name, value)| Ok((word(name)?, word(value)?)));
        for (name, value) in pairs.collect::<Result<Vec<_>, DockerfileError>>()? {
            set_env(&mut self.config.env, &name, &value);
        }
        Ok(())
    }

    fn add_volumes(
        &mut self,
        paths: &[String],
        word: &impl Fn(&str) -> Result<String, DockerfileError>,
    ) -> Result<(), DockerfileError> {
        for path in paths {
            let path = word(path)?;
            if path.is_empty() {
                return Err(DockerfileError::new(
                    "VOLUME specified can not be an empty string",
                ));
            }
            if !self.config.volumes.contains(&path) {
                self.config.volumes.push(path);
            }
        }
        Ok(())
    }

    fn expose(&mut self, words: &[String]) -> Result<(), DockerfileError> {
        for word in words {
            for port in ports(word)? {
                if !self.config.exposed_ports.contains(&port) {
                    self.config.exposed_ports.push(port);
                }
            }
        }
        Ok(())
    }
}

/// Replaces a variable where it stands, or puts it last.
fn set_env(env: &mut Vec<String>, name: &str, value: &str) {
    let entry = format!("{name}={value}");
    let same = |other: &&mut String| other.split('=').next() == Some(name);
    match env.iter_mut().find(same) {
        Some(old) => *old = entry,
        None => env.push(entry),
    }
}

/// `80`, `80/udp`, `8000-8010/tcp`.
fn ports(text: &str) -> Result<Vec<PortSpec>, DockerfileError> {
    let invalid = || DockerfileError::new(format!("invalid containerPort: {text}"));
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().map_err(|_| invalid());
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(invalid());
    }
    let spec = |port| format!("{port}/{protocol}").parse().map_err(|_| invalid());
    (first..=last).take(MAX_PORTS).map(spec).collect()
}

/// `path` seen from `working_dir`, cleaned.
fn absolute(working_dir: &str, path: &str) -> String {
    let whole = Path::new(working_dir).join(path);
    Path::new("/")
        .join(clean(&whole))
        .to_string_lossy()
        .into_owned()
}

fn health_check(spec: &HealthCheckSpec) -> HealthCheck {
    let test = match &spec.program {
        None => vec!["NONE".to_owned()],
        Some(Program::Exec(words)) => {
            let mut test = vec!["CMD".to_owned()];
            test.extend_from_slice(words);
            test
        }
        Some(Program::Shell(text)) => vec!["CMD-SHELL".to_owned(), text.clone()],
    };
    HealthCheck {
        test,
        interval_ns: spec.interval_ns,
        timeout_ns: spec.timeout_ns,
        start_period_ns: spec.start_period_ns,
        start_interval_ns: spec.start_interval_ns,
        retries: spec.retries,
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_change;
    use super::*;

    fn described(changes: &[&str]) -> ImageDescription {
        let mut image = ImageDescription::default();
        for change in changes {
            let variables = Variables::of(&image.config.env);
            image
                .apply(&parse_change(change).unwrap(), &variables, '\\')
                .unwrap();
        }
        image
    }

    #[test]
    fn descriptions_add_up() {
        let image = described(&[
            "ENV A=1 B=$A",
            "ENV A=2 C=$A/x",
            "WORKDIR /srv",
            "WORKDIR app/../web",
            "LABEL k=\"a b\" $C=l",
            "EXPOSE 80 8000-8001/udp",
            "VOLUME /data [x",
            "USER $A",
            "MAINTAINER A B <a@b>",
            "ONBUILD RUN x",
            "HEALTHCHECK --retries=2 CMD [\"true\"]",
        ]);
        assert_eq!(image.config.env, ["A=2", "B=", "C=1/x"]);
        assert_eq!(image.config.working_dir, "/srv/web");
        assert_eq!(image.config.labels["k"], "a b");
        assert_eq!(image.config.labels["1/x"], "l");
        let ports: Vec<String> = image
            .config
            .exposed_ports
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(ports, ["80/tcp", "8000/udp", "8001/udp"]);
        assert_eq!(image.config.volumes, ["/data", "[x"]);
        assert_eq!(
            (image.config.user.as_str(), image.author.as_str()),
            ("2", "A B <a@b>")
        );
        assert_eq!(image.on_build, ["RUN x"]);
        assert_eq!(image.config.healthcheck.unwrap().test, ["CMD", "true"]);
    }

    #[test]
    fn an_entrypoint_forgets_an_inherited_command_only() {
        let mut image = ImageDescription::default();
        image.config.cmd = Some(vec!["inherited".to_owned()]);
        let none = Variables::default();
        image
            .apply(&parse_change("ENTRYPOINT [\"e\"]").unwrap(), &none, '\\')
            .unwrap();
        assert_eq!(image.config.cmd, None);
        let own = described(&[
            "SHELL [\"/bin/bash\", \"-ec\"]",
            "CMD x y",
            "ENTRYPOINT [\"e\"]",
        ]);
        assert_eq!(own.config.cmd.unwrap(), ["/bin/bash", "-ec", "x y"]);
    }

    #[test]
    fn what_makes_files_is_no_description() {
        for text in ["RUN x", "COPY a b", "FROM a", "ARG a"] {
            let change = parse_change(text).unwrap();
            let mut image = ImageDescription::default();
            let error = image
                .apply(&change, &Variables::default(), '\\')
                .unwrap_err();
            assert!(
                error.to_string().ends_with("is not a valid change command"),
                "{error}"
            );
        }
        assert!(ports("90-80").is_err() && ports("x").is_err() && ports("80/x").is_err());
    }
}
