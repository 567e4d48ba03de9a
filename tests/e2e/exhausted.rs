//! A full disk, no inodes: errors in words, and an agent that goes on as soon as there is room
//! again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hythe_tests::{Agent, CommandExt as _, Finished, Host, Server};
use tempfile::TempDir;

use crate::push_busybox;

/// A small file system in memory.
#[derive(Debug)]
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new(options: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "small"])
            .arg(directory.path())
            .finish()
            .ok();
        Self(directory)
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: after a failure containers may still be on it.
        Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .finish();
    }
}

/// Runs `scenario` with an agent that has its data on a small disk.
#[track_caller]
fn on_small_disk(options: &str, scenario: impl FnOnce(&mut Agent<'_>, &str, &Path)) {
    let host = Host::new();
    let server = Server::start(&host);
    let image = push_busybox(&host, &server);
    let disk = SmallDisk::new(options);
    let mut agent = Agent::start_on(&host, disk.data());
    agent.docker(&["pull", "--quiet", &image]).finish().ok();
    scenario(&mut agent, &image, disk.0.path());
    drop(agent);
}

/// An agent in want: it answers, refuses in words, lets go of things, and starts anew; with
/// `relieve` all is well again.
#[track_caller]
fn lives_through_want(agent: &mut Agent<'_>, image: &str, relieve: impl FnOnce()) {
    let docker = |agent: &Agent<'_>, words: &[&str]| -> Finished { agent.docker(words).finish() };
    let names = |agent: &Agent<'_>| {
        docker(agent, &["ps", "-a", "--format", "{{.Names}}"])
            .ok()
            .lines()
    };
    docker(agent, &["run", "--name", "late", image, "true"])
        .fails_saying("No space left on device");
    docker(agent, &["volume", "create", "late"]).fails_saying("No space left on device");
    assert_eq!(names(agent), ["idle", "talking"], "nothing is left of it");
    docker(agent, &["exec", "idle", "true"]).ok();
    docker(agent, &["inspect", "idle"]).ok();
    agent.restart();
    assert_eq!(names(agent), ["idle", "talking"]);
    let running = docker(agent, &["ps", "-q"]).ok().lines().len();
    assert_eq!(running, 2, "they outlive a restart in want");
    // What gives room has to work without any.
    docker(agent, &["stop", "-t", "0", "talking"]).ok();
    docker(agent, &["rm", "-f", "talking"]).ok();
    assert_eq!(names(agent), ["idle"]);
    relieve();
    docker(agent, &["run", "--rm", image, "true"]).ok();
    docker(agent, &["restart", "-t", "0", "idle"]).ok();
    docker(agent, &["rm", "-f", "idle"]).ok();
}

fn two_containers(agent: &Agent<'_>, image: &str) {
    agent
        .docker(&["run", "-d", "--name", "talking", image, "sh", "-c"])
        .arg("while :; do echo words and words and words; sleep 0.05; done")
        .finish()
        .ok();
    agent
        .docker(&["run", "-d", "--name", "idle", image, "sleep", "1000"])
        .finish()
        .ok();
}

#[test]
fn a_full_disk() {
    on_small_disk("size=24m", |agent, image, disk| {
        two_containers(agent, image);
        // A container fills it up, and is told.
        let fill =
            "dd if=/dev/zero of=/fill bs=1M 2>&1; dd if=/dev/zero of=/rest bs=1 2>&1; sleep 0";
        let filled = agent.docker(&["exec", "idle", "sh", "-c", fill]).finish();
        assert!(
            filled.text().contains("No space left on device"),
            "{filled:?}"
        );
        // And what the log of the other one took meanwhile.
        let filler = disk.join("filler");
        let fill_rest = || drop(fs::write(&filler, vec![0; 8 << 20]));
        fill_rest();
        let image = image.to_owned();
        lives_through_want(agent, &image, || {
            fs::remove_file(&filler).expect("the filler is there");
        });
    });
}

#[test]
fn no_inodes_left() {
    on_small_disk("size=64m,nr_inodes=3000", |agent, image, disk| {
        two_containers(agent, image);
        let folder = disk.join("many");
        fs::create_dir(&folder).expect("one more");
        let mut names = (0..).map(|n| folder.join(format!("{n}")));
        while names
            .next()
            .is_some_and(|name| fs::File::create(name).is_ok())
        {}
        let image = image.to_owned();
        lives_through_want(agent, &image, || {
            fs::remove_dir_all(&folder).expect("the files are there");
        });
    });
}
