//! What a container may use.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxPids, PosixRlimitBuilder, PosixRlimitType};

use crate::support::{Recipe, eventually, exec_output, exec_spec, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("limits::memory_kills_and_is_told", memory_kills_and_is_told),
        trial("limits::pids_stop_a_fork_bomb", pids_stop_a_fork_bomb),
        trial("limits::cpu_is_measured", cpu_is_measured),
        trial("limits::updates_take_effect", updates_take_effect),
        trial("limits::paused_is_still", paused_is_still),
        trial("limits::devices_are_closed", devices_are_closed),
        trial("limits::rlimits_and_oom_score", rlimits_and_oom_score),
        trial("limits::stats_have_figures", stats_have_figures),
    ]
}

fn limit_memory(recipe: &mut Recipe, bytes: i64) {
    let mut memory = LinuxMemory::default();
    memory.set_limit(Some(bytes));
    memory.set_swap(Some(bytes));
    recipe.resources().set_memory(Some(memory));
}

async fn memory_kills_and_is_told() {
    // The allocation is that of process 1 itself: an array in the shell.
    let mut recipe = Recipe::new(&["sh", "-c", "exec tail -c 200000000 /dev/zero"]);
    limit_memory(&mut recipe, 32 << 20);
    let (status, ..) = recipe.run().await;
    assert_eq!((status.code, status.oom_killed), (137, true));
}

async fn pids_stop_a_fork_bomb() {
    let mut recipe = Recipe::new(&["sh", "-c", "b() { b | b & }; b; sleep 100"]);
    let mut pids = LinuxPids::default();
    pids.set_limit(20);
    recipe.resources().set_pids(Some(pids));
    recipe.shim.log = None;
    let shim = recipe.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(shim.cgroup().processes().unwrap().len() <= 20);
    let begin = Instant::now();
    shim.kill_all().await.unwrap();
    shim.wait().await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5));
    recipe.assert_nothing_left();
}

async fn cpu_is_measured() {
    let mut recipe = Recipe::new(&["sh", "-c", "while :; do :; done"]);
    let mut cpu = LinuxCpu::default();
    cpu.set_quota(Some(20_000));
    cpu.set_period(Some(100_000));
    recipe.resources().set_cpu(Some(cpu));
    let shim = recipe.start().await.unwrap();
    let used = || shim.cgroup().stats().unwrap().cpu.total_ns;
    let (before, begin) = (used(), Instant::now());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let busy = Duration::from_nanos(used() - before).as_secs_f64();
    let share = busy / begin.elapsed().as_secs_f64();
    // A busy machine may give less, never more.
    assert!(share < 0.23, "{share}");
    assert!(shim.cgroup().stats().unwrap().cpu.throttled_periods > 0);
    shim.kill_all().await.unwrap();
    shim.wait().await.unwrap();
}

async fn updates_take_effect() {
    let mut recipe = Recipe::new(&["sleep", "100"]);
    limit_memory(&mut recipe, 64 << 20);
    let shim = recipe.start().await.unwrap();
    for megabytes in [128_u64, 32] {
        let bytes = i64::try_from(megabytes << 20).unwrap();
        limit_memory(&mut recipe, bytes);
        shim.cgroup().update(recipe.resources()).unwrap();
        let stats = shim.cgroup().stats().unwrap();
        assert_eq!(stats.memory.limit_bytes, Some(megabytes << 20));
    }
    shim.kill_all().await.unwrap();
    shim.wait().await.unwrap();
    assert!(shim.cgroup().stats().is_err());
}

async fn paused_is_still() {
    let recipe = Recipe::new(&["sh", "-c", "while :; do echo x; sleep 0.01; done"]);
    let shim = recipe.start().await.unwrap();
    eventually("output", || recipe.log().len() > 3).await;
    shim.cgroup().pause().unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let n_lines = recipe.log().len();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(recipe.log().len(), n_lines);
    shim.cgroup().resume().unwrap();
    eventually("more output", || recipe.log().len() > n_lines + 3).await;
    // What is frozen can be killed.
    shim.cgroup().pause().unwrap();
    shim.kill_all().await.unwrap();
    shim.cgroup().resume().ok();
    assert_eq!(shim.wait().await.unwrap().code, 137);
    recipe.assert_nothing_left();
}

async fn devices_are_closed() {
    let script = "mknod /tmp/mem c 1 1 && head -c1 /tmp/mem; mknod /tmp/null c 1 3 && \
                  echo x >/tmp/null && echo null works; head -c1 /dev/zero | wc -c";
    let recipe = Recipe::new(&["sh", "-c", script]);
    let (_, stdout, stderr) = recipe.run().await;
    assert_eq!(stdout, "null works\n1\n", "{stderr}");
    assert!(
        stderr.contains("/tmp/mem: Operation not permitted"),
        "{stderr}"
    );
}

async fn rlimits_and_oom_score() {
    let mut recipe = Recipe::new(&[
        "sh",
        "-c",
        "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj",
    ]);
    let limit = |kind, hard: u64| {
        PosixRlimitBuilder::default()
            .typ(kind)
            .soft(100_u64)
            .hard(hard)
            .build()
            .unwrap()
    };
    let limits = vec![
        limit(PosixRlimitType::RlimitNofile, 200),
        limit(PosixRlimitType::RlimitMemlock, u64::MAX),
    ];
    recipe.process().set_rlimits(Some(limits));
    recipe.process().set_oom_score_adj(Some(500));
    let bundle = recipe.path("bundle");
    let written = recipe
        .launcher()
        .write_bundle(&bundle, recipe.spec.clone(), &recipe.shim)
        .await;
    let warnings = written.unwrap().warnings;
    assert!(warnings.len() <= 1, "{warnings:?}");
    let (status, stdout, stderr) = recipe.run().await;
    assert_eq!((status.code, &*stdout), (0, "100\n200\n500\n"), "{stderr}");
}

async fn stats_have_figures() {
    let recipe = Recipe::new(&["sh", "-c", "seq 1 100000 >/dev/null; sleep 100"]);
    let shim = recipe.start().await.unwrap();
    let (code, ..) = exec_output(shim.exec(exec_spec("x", &["true"])).await.unwrap()).await;
    assert_eq!(code, 0);
    let stats = shim.cgroup().stats().unwrap();
    assert!(stats.cpu.total_ns > 0);
    assert!(stats.memory.usage_bytes > 0 && !stats.memory.stat.is_empty());
    assert!(stats.memory.limit_bytes.is_none());
    assert!(stats.pids_current >= 1);
    shim.kill_all().await.unwrap();
    shim.wait().await.unwrap();
}
