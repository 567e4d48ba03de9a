//! A node agent on a host of the test, and the docker command line that talks to it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::{CommandExt as _, Host, SHORT, Terminal, eventually, hythe_binary};

/// What a test may say about its agent.
#[derive(Debug, Default, Clone)]
pub struct AgentOptions {
    pub arguments: Vec<String>,
    /// A command line that runs the agent, such as prlimit(1).
    pub under: Vec<String>,
}

/// Runs the agent, perhaps with other subordinate ids than this machine's.
const WITH_IDS: &str = r#"
ids=$1; shift
if [ -n "$ids" ]; then
    for file in /etc/subuid /etc/subgid; do
        [ -e "$file" ] || : >"$file"
        mount --bind "$ids" "$file"
    done
fi
exec "$@""#;

/// A running `hythe agent` in the host's network and a mount namespace of its own.
#[derive(Debug)]
pub struct Agent<'host> {
    host: &'host Host,
    directory: TempDir,
    data: PathBuf,
    options: AgentOptions,
    /// What it finds in `/etc/subuid` and `/etc/subgid`, if not what this machine has.
    ids: Option<String>,
    process: Option<Child>,
}

impl<'host> Agent<'host> {
    pub fn start(host: &'host Host) -> Self {
        Self::start_with(host, AgentOptions::default())
    }

    pub fn start_with(host: &'host Host, options: AgentOptions) -> Self {
        Self::start_with_ids(host, options, None)
    }

    /// `ids` are the subordinate ids that the machine has for the agent.
    pub fn start_with_ids(host: &'host Host, options: AgentOptions, ids: Option<&str>) -> Self {
        Self::start_in(host, options, ids, None)
    }

    /// With its data in a place of the test's choice.
    pub fn start_on(host: &'host Host, data: PathBuf) -> Self {
        Self::start_in(host, AgentOptions::default(), None, Some(data))
    }

    fn start_in(
        host: &'host Host,
        options: AgentOptions,
        ids: Option<&str>,
        data: Option<PathBuf>,
    ) -> Self {
        let directory = TempDir::with_prefix("hythe-agent-").expect("a temporary directory");
        let data = data.unwrap_or_else(|| directory.path().join("data"));
        let mut agent = Self {
            host,
            directory,
            data,
            options,
            ids: ids.map(str::to_owned),
            process: None,
        };
        agent.restart();
        agent
    }

    pub fn host(&self) -> &'host Host {
        self.host
    }

    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("hythe.sock")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub fn process_id(&self) -> Pid {
        let child = self.process.as_ref().expect("the agent runs");
        Pid::from_raw(i32::try_from(child.id()).expect("a process id"))
    }

    /// The real docker command line, on this host, with a configuration of its own.
    pub fn docker(&self, arguments: &[&str]) -> Command {
        let mut command = self.host.command("docker");
        command
            .env("DOCKER_CONFIG", self.directory.path().join("docker-config"))
            .env("DOCKER_BUILDKIT", "0")
            .env_remove("DOCKER_HOST")
            .arg("-H")
            .arg(format!("unix://{}", self.socket().display()))
            .args(arguments);
        command
    }

    /// Our own command line on the same socket.
    pub fn hythe(&self, arguments: &[&str]) -> Command {
        let mut command = self.host.command(hythe_binary());
        command
            .env("HYTHE_HOST", format!("unix://{}", self.socket().display()))
            .env("DOCKER_CONFIG", self.directory.path().join("docker-config"))
            .args(arguments);
        command
    }

    /// Docker on a terminal of 33 rows and 101 columns.
    pub fn docker_on_terminal(&self, arguments: &[&str]) -> Terminal {
        Terminal::start(&self.docker(arguments))
    }

    /// One Engine API request over the socket; `options` are curl's own.
    #[track_caller]
    pub fn api(&self, path: &str, options: &[&str]) -> crate::Response {
        let socket = self.socket();
        let url = format!("http://localhost{path}");
        let mut words = vec!["--unix-socket", socket.to_str().expect("a UTF-8 path")];
        words.extend_from_slice(options);
        words.push(&url);
        self.host.curl(&words)
    }

    /// Starts the agent over the same data, and waits until its socket answers.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop(Signal::SIGTERM);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("a log");
        let child = self
            .host
            .command("unshare")
            .args([
                "--mount",
                "--propagation",
                "slave",
                "sh",
                "-c",
                WITH_IDS,
                "sh",
            ])
            .arg(self.subordinate_ids())
            .args(&self.options.under)
            .arg(hythe_binary())
            .args(["agent", "--socket"])
            .arg(self.socket())
            .arg("--data")
            .arg(self.data())
            .args(&self.options.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("the agent starts");
        self.process = Some(child);
        eventually("the agent answers", SHORT, || {
            let ended = self
                .process
                .as_mut()
                .expect("it was started")
                .try_wait()
                .expect("asked");
            assert!(
                ended.is_none(),
                "the agent ended: {ended:?}\n{}",
                log_of(&self.directory)
            );
            let probe = Command::new("curl")
                .args([
                    "--silent",
                    "--fail",
                    "--output",
                    "/dev/null",
                    "--unix-socket",
                ])
                .arg(self.socket())
                .arg("http://localhost/_ping")
                .status();
            probe.is_ok_and(|status| status.success()).then_some(())
        });
    }

    /// The file with subordinate ids, or nothing.
    fn subordinate_ids(&self) -> PathBuf {
        let Some(text) = &self.ids else {
            return PathBuf::new();
        };
        let path = self.directory.path().join("subordinate-ids");
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// Ends the agent as `kill -9` does; its containers go on.
    pub fn kill_dash_nine(&mut self) {
        self.stop(Signal::SIGKILL);
    }

    /// The host's process id of a container's init.
    #[track_caller]
    pub fn init_pid(&self, container: &str) -> i32 {
        let run = self
            .docker(&["inspect", "-f", "{{.State.Pid}}", container])
            .finish()
            .ok();
        run.text().parse().expect("a process id")
    }

    fn stop(&mut self, signal: Signal) {
        let Some(mut child) = self.process.take() else {
            return;
        };
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
        // It may have ended by itself, which `wait` finds out.
        let _sent = kill(pid, signal);
        child.wait().expect("the agent can be waited for");
    }

    fn log_path(&self) -> PathBuf {
        log_path(self.directory.path())
    }
}

fn log_path(directory: &Path) -> PathBuf {
    directory.join("agent.log")
}

fn log_of(directory: &TempDir) -> String {
    std::fs::read_to_string(log_path(directory.path())).unwrap_or_default()
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- agent log\n{}", self.log());
        }
        if self.process.is_none() {
            // The test ended while the agent was down; only an agent can clean up.
            if std::thread::panicking() {
                return;
            }
            self.restart();
        }
        let all = self.docker(&["ps", "-aq"]).finish().lines();
        if !all.is_empty() {
            let mut words = vec!["rm", "-f"];
            words.extend(all.iter().map(String::as_str));
            self.docker(&words).finish();
        }
        self.stop(Signal::SIGTERM);
    }
}
