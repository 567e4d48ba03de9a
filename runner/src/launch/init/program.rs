//! The last steps before the program runs: who it is, what it may do, where it stands.
//!
//! The same for init and for an exec. Everything of the host is closed here; the order of the
//! steps is what keeps privileges no longer than they are needed.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxPersonality, Process};

use super::user::{self, Identity};
use super::{limits, report, scheduling};
use crate::launch::error::{Step, reason};
use crate::launch::message::InitReport;
use crate::launch::{StartFailure, UserSpec, capability};
use crate::sys::credentials::{self, ThreadCapabilities};
use crate::sys::message_socket::MessageSocket;
use crate::sys::{events, in_root, process, reaper, seccomp};

const DEFAULT_UMASK: u32 = 0o022;

/// Exit codes of docker, the shell's.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

/// The three streams of a program.
#[derive(Debug)]
pub(in crate::launch) struct ChildStdio {
    pub(in crate::launch) stdin: OwnedFd,
    pub(in crate::launch) stdout: OwnedFd,
    pub(in crate::launch) stderr: OwnedFd,
}

/// A program found in the container and ready to be executed.
#[derive(Debug)]
pub(in crate::launch) struct Program {
    path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
    identity: Identity,
    /// It runs as a child, and this process stays as init.
    behind_reaper: bool,
    personality: Option<LinuxPersonality>,
    unattended: Option<Unattended>,
}

/// A program that no shim looks after: it goes on without us.
#[derive(Debug, Clone, Copy)]
pub(in crate::launch) struct Unattended {
    /// Descriptors from 3 on that it gets.
    pub(in crate::launch) n_preserved: u32,
}

impl Program {
    /// Finds out who runs what. The caller stands in the container's root directory, `root`.
    ///
    /// Also moves to the working directory.
    pub(in crate::launch) fn find(
        root: BorrowedFd<'_>,
        spec: &Process,
        user: Option<&UserSpec>,
    ) -> Result<Self, StartFailure> {
        let identity = identify(root, spec, user)?;
        let cwd = spec.cwd();
        std::env::set_current_dir(cwd).map_err(|error| StartFailure {
            exit_code: NOT_EXECUTABLE,
            message: format!(
                "chdir to cwd ({:?}) set in config.json failed: {}",
                cwd.display().to_string(),
                reason(&error)
            ),
        })?;
        let args = spec.args().as_deref().unwrap_or_default();
        let Some(name) = args.first() else {
            return Err(StartFailure::setup("no command specified"));
        };
        let mut env = spec.env().clone().unwrap_or_default();
        if !env.iter().any(|pair| pair.starts_with("HOME=")) {
            env.push(format!("HOME={}", identity.home));
        }
        let search_path = env.iter().find_map(|pair| pair.strip_prefix("PATH="));
        let path = look_up(name, search_path.unwrap_or_default())?;
        Ok(Self {
            path: c_string(path.as_os_str().as_bytes())?,
            args: c_strings(args)?,
            env: c_strings(&env)?,
            identity,
            behind_reaper: false,
            personality: None,
            unattended: None,
        })
    }

    /// The same program, to be run as the child of an init that stays.
    pub(in crate::launch) fn behind_reaper(self, yes: bool) -> Self {
        Self {
            behind_reaper: yes,
            ..self
        }
    }

    /// The same program, on a machine of that kind.
    pub(in crate::launch) fn with_personality(self, personality: Option<LinuxPersonality>) -> Self {
        Self {
            personality,
            ..self
        }
    }

    /// The same program, without anybody whose end would be its own.
    pub(in crate::launch) fn unattended(self, unattended: Option<Unattended>) -> Self {
        Self { unattended, ..self }
    }

    /// Gives the standard streams to the program and to its user.
    pub(in crate::launch) fn take_streams(&self, stdio: &ChildStdio) -> Result<(), StartFailure> {
        let streams = [&stdio.stdin, &stdio.stdout, &stdio.stderr];
        for (number, stream) in (0..).zip(streams) {
            let is_null = in_root::status(stream)
                .step(|| "cannot look at a standard stream".to_owned())?
                .is_char_device(1, 3);
            // The program may open its own streams again (`/dev/stdout`), which asks the owner.
            if !is_null {
                let _foreign_stream = events::set_owner(stream.as_fd(), self.identity.uid, None);
            }
            process::set_standard_stream(number, stream.as_fd())
                .step(|| format!("cannot set up standard stream {number}"))?;
        }
        Ok(())
    }

    /// Gives up what the program may not have and executes it; returns only a failure.
    ///
    /// `parent` is closed by the execution, which tells the shim that the program runs.
    pub(in crate::launch) fn execute(
        &self,
        spec: &Process,
        filter: Option<&[u8]>,
        parent: &MessageSocket,
    ) -> StartFailure {
        if let Err(failure) = self.give_up_privileges(spec, filter, parent) {
            return failure;
        }
        // Both are what the program's user may be: nothing is done for it with more rights.
        if self.behind_reaper
            && let Err(error) = reaper::stay_behind()
        {
            return StartFailure::setup(format!("cannot stay as init: {}", reason(&error)));
        }
        process::reset_signals();
        let error = process::execute(&self.path, &self.args, &self.env);
        let name = self.path.to_string_lossy();
        let message = format!("exec {name}: {}", reason(&error));
        let exit_code = match error.kind() {
            io::ErrorKind::NotFound => NOT_FOUND,
            _ => NOT_EXECUTABLE,
        };
        StartFailure { exit_code, message }
    }

    fn give_up_privileges(
        &self,
        spec: &Process,
        filter: Option<&[u8]>,
        parent: &MessageSocket,
    ) -> Result<(), StartFailure> {
        // No descriptor of ours survives, not even one that somebody forgot to mark.
        let n_preserved = self.unattended.map_or(0, |it| it.n_preserved);
        process::close_on_exec_from(3 + n_preserved)
            .step(|| "cannot close descriptors".to_owned())?;
        limits::apply(spec)?;
        scheduling::apply(spec)?;
        if let Some(personality) = &self.personality {
            scheduling::become_machine(personality)?;
        }
        credentials::set_umask(spec.user().umask().unwrap_or(DEFAULT_UMASK));
        let no_new_privileges = spec.no_new_privileges() == Some(true);
        if no_new_privileges {
            credentials::set_no_new_privileges().step(|| "cannot set no_new_privs".to_owned())?;
        } else {
            // Needs CAP_SYS_ADMIN, which is about to go.
            install(filter, parent)?;
        }
        self.become_user(spec)?;
        if no_new_privileges {
            install(filter, parent)?;
        }
        check_directory()?;
        if self.unattended.is_some() {
            return Ok(());
        }
        // Asked for again: a change of user clears it.
        process::die_with_parent().step(|| "cannot tie the process to its shim".to_owned())?;
        if parent.is_closed() {
            return Err(StartFailure::setup("the shim is gone"));
        }
        Ok(())
    }

    fn become_user(&self, spec: &Process) -> Result<(), StartFailure> {
        let sets = spec.capabilities().as_ref();
        let set = |it: Option<&oci_spec::runtime::Capabilities>| capability::bits(it);
        let bounding = set(sets.and_then(|it| it.bounding().as_ref()));
        for number in 0..64 {
            match credentials::is_bounding(number) {
                Some(true) if !bounding.contains(number) => credentials::drop_bounding(number)
                    .step(|| format!("cannot drop capability {number}"))?,
                Some(_) => {}
                // The kernel knows none beyond.
                None => break,
            }
        }
        let Identity { uid, gid, .. } = self.identity;
        credentials::keep_capabilities(true).step(|| "cannot keep capabilities".to_owned())?;
        credentials::become_user(uid, gid, &self.identity.groups)
            .step(|| format!("cannot become user {uid}:{gid}"))?;
        credentials::keep_capabilities(false).step(|| "cannot keep capabilities".to_owned())?;
        let own = ThreadCapabilities {
            effective: set(sets.and_then(|it| it.effective().as_ref())),
            permitted: set(sets.and_then(|it| it.permitted().as_ref())),
            inheritable: set(sets.and_then(|it| it.inheritable().as_ref())),
        };
        credentials::set_capabilities(own).step(|| "cannot set capabilities".to_owned())?;
        // Only what is in both other sets can be; bundles ask for more.
        let ambient = set(sets.and_then(|it| it.ambient().as_ref()));
        credentials::set_ambient(ambient.both(own.permitted).both(own.inheritable))
            .step(|| "cannot set ambient capabilities".to_owned())
    }
}

fn identify(
    root: BorrowedFd<'_>,
    spec: &Process,
    user: Option<&UserSpec>,
) -> Result<Identity, StartFailure> {
    if let Some(user) = user {
        return user::resolve(root, user).map_err(|error| StartFailure {
            exit_code: NOT_EXECUTABLE,
            message: error.to_string(),
        });
    }
    let numbers = spec.user();
    Ok(Identity {
        uid: numbers.uid(),
        gid: numbers.gid(),
        groups: numbers.additional_gids().clone().unwrap_or_default(),
        home: user::home_of(root, numbers.uid()),
    })
}

/// Finds `name` as a shell would, in the words of Go's `exec.LookPath` that clients look for.
fn look_up(name: &str, search_path: &str) -> Result<PathBuf, StartFailure> {
    let failure = |exit_code, text: String| StartFailure {
        exit_code,
        message: format!("exec: {name:?}: {text}"),
    };
    if name.contains('/') {
        return match usable(Path::new(name)) {
            Ok(()) => Ok(PathBuf::from(name)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(failure(
                NOT_FOUND,
                format!("stat {name}: no such file or directory"),
            )),
            Err(error) => Err(failure(NOT_EXECUTABLE, reason(&error))),
        };
    }
    let mut denied = false;
    for directory in search_path.split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let path = Path::new(directory).join(name);
        match usable(&path) {
            Ok(()) if !name.is_empty() => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => denied = true,
            _ => {}
        }
    }
    if denied {
        return Err(failure(NOT_EXECUTABLE, "permission denied".to_owned()));
    }
    Err(failure(
        NOT_FOUND,
        "executable file not found in $PATH".to_owned(),
    ))
}

fn usable(path: &Path) -> io::Result<()> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}

fn install(filter: Option<&[u8]>, parent: &MessageSocket) -> Result<(), StartFailure> {
    let Some((flags, program)) = filter.and_then(|bytes| bytes.split_first_chunk::<4>()) else {
        return Ok(());
    };
    let listener = seccomp::install(program, u32::from_ne_bytes(*flags))
        .step(|| "cannot install the seccomp filter".to_owned())?;
    if let Some(listener) = listener {
        report(parent, &InitReport::SeccompListener, Some(listener.as_fd()));
    }
    Ok(())
}

/// The working directory must be inside the root: one that was opened outside would let the
/// program walk the host.
fn check_directory() -> Result<(), StartFailure> {
    let directory = std::env::current_dir()
        .step(|| "the working directory is outside of the container's root".to_owned())?;
    if directory.is_absolute() {
        Ok(())
    } else {
        Err(StartFailure::setup(
            "the working directory is outside of the container's root",
        ))
    }
}

fn c_strings(texts: &[String]) -> Result<Vec<CString>, StartFailure> {
    texts.iter().map(|text| c_string(text.as_bytes())).collect()
}

fn c_string(bytes: &[u8]) -> Result<CString, StartFailure> {
    CString::new(bytes).map_err(|_| {
        let text = String::from_utf8_lossy(bytes);
        StartFailure::setup(format!("{text:?} contains a zero byte"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_the_words_of_go() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        fs::write(at("plain"), "").unwrap();
        fs::write(at("tool"), "").unwrap();
        fs::set_permissions(at("tool"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("/nonexistent:{}", directory.path().display());
        assert_eq!(look_up("tool", &path).unwrap(), Path::new(&at("tool")));
        assert_eq!(look_up(&at("tool"), "").unwrap(), Path::new(&at("tool")));
        for (name, code, text) in [
            (
                "nope".to_owned(),
                127,
                "executable file not found in $PATH".to_owned(),
            ),
            (
                String::new(),
                127,
                "executable file not found in $PATH".to_owned(),
            ),
            ("plain".to_owned(), 126, "permission denied".to_owned()),
            (at("plain"), 126, "permission denied".to_owned()),
            (at(""), 126, "is a directory".to_owned()),
            (
                at("no"),
                127,
                format!("stat {}: no such file or directory", at("no")),
            ),
        ] {
            let failure = look_up(&name, &path).unwrap_err();
            assert_eq!(failure.exit_code, code, "{name}");
            assert_eq!(failure.message, format!("exec: {name:?}: {text}"));
        }
    }
}
