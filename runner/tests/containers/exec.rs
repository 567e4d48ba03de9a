//! Further programs in a running container.

use libtest_mimic::Trial;
use tokio::io::AsyncWriteExt as _;

use crate::support::{ALL, Recipe, collect, eventually, exec_output, exec_spec, text, trial};
use hythe_runner::launch::{AttachStdio, Cgroup, CgroupVersion, LaunchError, UserSpec, defaults};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("exec::runs_inside", runs_inside),
        trial("exec::failures_say_why", failures_say_why),
        trial("exec::terminal_and_input", terminal_and_input),
        trial(
            "exec::goes_on_without_its_client",
            goes_on_without_its_client,
        ),
        trial("exec::ends_with_the_container", ends_with_the_container),
        trial("exec::many_at_once", many_at_once),
        trial(
            "exec::container_with_groups_of_its_own",
            container_with_groups_of_its_own,
        ),
    ]
}

async fn runs_inside() {
    let recipe = Recipe::new(&["sleep", "100"]);
    let shim = recipe.start().await.unwrap();
    let script = "hostname; ps | grep -c 'sleep 100'; echo $$ >/dev/null; id -u; \
                  cat /proc/self/cgroup | grep -c hythe; echo err >&2; exit 9";
    let mut spec = exec_spec("one", &["sh", "-c", script]);
    spec.user = Some(UserSpec {
        user: "app".to_owned(),
        additional_groups: Vec::new(),
    });
    let process = shim.exec(spec).await.unwrap();
    assert!(shim.cgroup().processes().unwrap().contains(&process.pid) || process.pid > 0);
    let (code, stdout, stderr) = exec_output(process).await;
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(
        (code, lines[0], lines[2], &*stderr),
        (9, "box", "1000", "err\n")
    );
    assert_ne!(lines[1], "0");
    // Init's own group is the root of its namespace, and the exec is in it.
    assert_eq!(lines[3], "0");
    shim.kill_all().await.unwrap();
    shim.wait().await.unwrap();
    recipe.assert_nothing_left();
}

async fn failures_say_why() {
    let recipe = Recipe::new(&["sleep", "100"]);
    let shim = recipe.create().await.unwrap();
    let error = shim.exec(exec_spec("early", &["true"])).await.unwrap_err();
    assert_eq!(error.to_string(), "the container is not running");
    shim.start().await.unwrap();
    for (id, command, code) in [("a", "nope", 127), ("b", "/etc/passwd", 126)] {
        let result = shim.exec(exec_spec(id, &[command])).await;
        let Err(LaunchError::Start(failure)) = result else {
            panic!("{command} runs");
        };
        assert_eq!(failure.exit_code, code);
    }
    let mut ghost = exec_spec("c", &["true"]);
    ghost.user = Some(UserSpec {
        user: "ghost".to_owned(),
        ..UserSpec::default()
    });
    assert!(shim.exec(ghost).await.is_err());
    let mut nowhere = exec_spec("d", &["true"]);
    nowhere.process.set_cwd("/nowhere".into());
    let error = shim.exec(nowhere).await.unwrap_err();
    assert!(
        error.to_string().contains("no such file or directory"),
        "{error}"
    );
    shim.kill_all().await.unwrap();
    shim.wait().await.unwrap();
    recipe.assert_nothing_left();
}

async fn terminal_and_input() {
    let recipe = Recipe::new(&["sleep", "100"]);
    let shim = recipe.start().await.unwrap();
    let mut spec = exec_spec("tty", &["sh", "-c", "stty size; read line; echo got $line"]);
    spec.process.set_terminal(Some(true));
    spec.stdio = ALL;
    spec.console_size = Some((11, 22));
    let mut process = shim.exec(spec).await.unwrap();
    process.resize(44, 55).await.unwrap();
    process.stream.input.write_all(b"hello\n").await.unwrap();
    let (stdout, _) = collect(process.stream.output).await;
    let seen = text(&stdout);
    assert!(seen.contains("11 22") || seen.contains("44 55"), "{seen}");
    assert!(seen.contains("got hello"), "{seen}");

    let mut spec = exec_spec("pipe", &["cat"]);
    spec.stdio = ALL;
    let process = shim.exec(spec).await.unwrap();
    let mut input = process.stream.input;
    tokio::spawn(async move { input.write_all(&vec![b'x'; 1 << 20]).await });
    let (stdout, _) = collect(process.stream.output).await;
    assert_eq!(stdout.len(), 1 << 20);
    assert_eq!(shim.wait_exec("pipe").await.unwrap(), 0);
    shim.kill_all().await.unwrap();
    shim.wait().await.unwrap();
    recipe.assert_nothing_left();
}

async fn goes_on_without_its_client() {
    let recipe = Recipe::new(&["sleep", "100"]);
    let shim = recipe.start().await.unwrap();
    let mut detached = exec_spec("detached", &["sh", "-c", "echo lost; sleep 0.2; exit 4"]);
    detached.stdio = AttachStdio::default();
    drop(shim.exec(detached).await.unwrap());
    let left = exec_spec("left", &["sh", "-c", "sleep 0.1; seq 1 100000; exit 5"]);
    drop(shim.exec(left).await.unwrap());
    assert_eq!(shim.wait_exec("detached").await.unwrap(), 4);
    assert_eq!(shim.wait_exec("left").await.unwrap(), 5);
    assert_eq!(shim.wait_exec("left").await.unwrap(), 5);
    assert!(shim.wait_exec("never").await.is_err());
    shim.kill_all().await.unwrap();
    shim.wait().await.unwrap();
}

async fn ends_with_the_container() {
    let recipe = Recipe::new(&["sleep", "100"]);
    let shim = recipe.start().await.unwrap();
    let process = shim
        .exec(exec_spec("long", &["sleep", "100"]))
        .await
        .unwrap();
    let signalled = shim
        .exec(exec_spec("term", &["sleep", "100"]))
        .await
        .unwrap();
    shim.signal_exec("term", 15).await.unwrap();
    assert_eq!(signalled.wait().await.unwrap(), 143);
    let waiting = tokio::spawn({
        let shim = shim.clone();
        async move { shim.wait_exec("long").await }
    });
    shim.signal(9).await.unwrap();
    assert_eq!(shim.wait().await.unwrap().code, 137);
    assert_eq!(waiting.await.unwrap().unwrap(), 137);
    assert!(collect(process.stream.output).await.0.is_empty());
    recipe.assert_nothing_left();
}

async fn many_at_once() {
    let recipe = Recipe::new(&["sleep", "100"]);
    let shim = recipe.start().await.unwrap();
    let runs = (0..30).map(|number| {
        let shim = shim.clone();
        async move {
            let text = format!("run {number}");
            let spec = exec_spec(&format!("e{number}"), &["echo", &text]);
            let (code, stdout, _) = exec_output(shim.exec(spec).await.unwrap()).await;
            assert_eq!((code, stdout), (0, format!("{text}\n")));
        }
    });
    futures_util::future::join_all(runs).await;
    shim.kill_all().await.unwrap();
    shim.wait().await.unwrap();
    recipe.assert_nothing_left();
}

/// What systemd does in a container: the first group has groups below and no process.
async fn container_with_groups_of_its_own() {
    if Cgroup::version().unwrap() == CgroupVersion::V1 {
        return;
    }
    let script = "cd /sys/fs/cgroup && mkdir sub && echo 1 >sub/cgroup.procs && \
                  echo +pids >cgroup.subtree_control && echo ready && sleep 100";
    let mut recipe = Recipe::new(&["sh", "-c", script]);
    let mounts = defaults::mounts(1 << 20, true);
    recipe.spec.set_mounts(Some(mounts));
    let shim = recipe.start().await.unwrap();
    eventually("groups", || recipe.log_text().contains("ready")).await;
    let spec = exec_spec("x", &["cat", "/proc/self/cgroup"]);
    let (code, stdout, _) = exec_output(shim.exec(spec).await.unwrap()).await;
    assert_eq!((code, &*stdout), (0, "0::/sub\n"));
    shim.kill_all().await.unwrap();
    shim.wait().await.unwrap();
    recipe.assert_nothing_left();
}
