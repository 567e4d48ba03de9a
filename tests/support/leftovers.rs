//! What containers leave behind on the machine: listed before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::{Agent, CommandExt as _, SHORT};

/// Everything a container could leave: compare two of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftovers {
    /// Mount points in the agent's mount namespace.
    pub mounts: BTreeSet<String>,
    /// Network devices of the host.
    pub links: BTreeSet<String>,
    /// The firewall as `nft list ruleset` prints it, counters left out.
    pub rules: String,
    /// Shims, and whatever names the agent's data directory.
    pub processes: BTreeSet<String>,
    /// Control groups that hold the id of one of the containers asked for.
    pub cgroups: BTreeSet<String>,
}

impl Leftovers {
    /// As things are now; `containers` are full ids whose control groups must be gone.
    pub fn list(agent: &Agent<'_>, containers: &[&str]) -> Self {
        let rules = agent
            .host()
            .command("nft")
            .args(["--stateless", "list", "ruleset"])
            .finish()
            .ok();
        Self {
            mounts: mounts(agent),
            links: links(agent),
            rules: rules.text(),
            processes: processes(agent),
            cgroups: cgroups(containers),
        }
    }

    /// Waits until nothing differs from `before`: what the kernel and the agent clear away in the
    /// background takes a moment.
    #[track_caller]
    pub fn wait_until_same(agent: &Agent<'_>, containers: &[&str], before: &Self) {
        let start = Instant::now();
        let mut now = Self::list(agent, containers);
        while now != *before && start.elapsed() < SHORT {
            std::thread::sleep(Duration::from_millis(50));
            now = Self::list(agent, containers);
        }
        assert_eq!(now.mounts, before.mounts, "mounts");
        assert_eq!(now.links, before.links, "network devices");
        assert_eq!(now.rules, before.rules, "firewall rules");
        assert_eq!(now.processes, before.processes, "processes");
        assert_eq!(now.cgroups, before.cgroups, "control groups");
    }
}

fn mounts(agent: &Agent<'_>) -> BTreeSet<String> {
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", agent.process_id()));
    let table = table.expect("the agent's mount table");
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    // Namespaces of tests that run beside this one come and go.
    let ours = points.filter(|point| !point.contains("/netns/hythe-test-"));
    ours.map(str::to_owned).collect()
}

fn links(agent: &Agent<'_>) -> BTreeSet<String> {
    let run = agent
        .host()
        .command("ip")
        .args(["-json", "link", "show"])
        .finish()
        .ok();
    let links: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON of ip");
    let links = links.as_array().expect("a list of links");
    links
        .iter()
        .filter_map(|link| link["ifname"].as_str())
        .map(str::to_owned)
        .collect()
}

/// Process ids of the shims of an agent and their containers: a shim holds a lock in the agent's
/// data directory.
pub fn shims(data: &Path) -> BTreeMap<i32, String> {
    let place = data.join("run/shims");
    let entries = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let files = fs::read_dir(entry.path().join("fd")).ok()?;
            let mut locks = files.filter_map(|file| {
                let path = fs::read_link(file.ok()?.path()).ok()?;
                let inside = path.strip_prefix(&place).ok()?;
                let id = inside.parent()?.to_str()?.to_owned();
                inside.ends_with("shim.lock").then_some(id)
            });
            Some((pid, locks.next()?))
        })
        .collect()
}

fn processes(agent: &Agent<'_>) -> BTreeSet<String> {
    let shims = shims(&agent.data()).into_iter();
    let shims = shims.map(|(pid, id)| format!("{pid} shim of {id}"));
    naming_data(agent).chain(shims).collect()
}

fn naming_data(agent: &Agent<'_>) -> impl Iterator<Item = String> {
    let data = agent.data().display().to_string();
    let own = agent.process_id().to_string();
    let entries = fs::read_dir("/proc").expect("/proc");
    entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(move |pid| pid.bytes().all(|b| b.is_ascii_digit()) && *pid != own)
        .filter_map(move |pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(&data).then(|| format!("{pid} {line}"))
        })
}

fn cgroups(containers: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut todo = vec![std::path::PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = todo.pop() {
        // Groups come and go while we look: one that is gone is no leftover.
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries.filter_map(Result::ok) {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = entry.path();
            let text = path.display().to_string();
            if containers.iter().any(|id| text.contains(id)) {
                found.insert(text);
            }
            todo.push(path);
        }
    }
    found
}
