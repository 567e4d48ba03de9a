//! The daemon, the shim and init die at bad moments.

use std::fs;
use std::process::Command;
use std::time::Duration;

use libtest_mimic::Trial;

use crate::support::{Recipe, eventually, exec_spec, is_alive, trial};
use hythe_runner::launch::{Found, Launcher};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "survival::a_new_daemon_finds_everything",
            a_new_daemon_finds_everything,
        ),
        trial(
            "survival::killed_shim_takes_its_container",
            killed_shim_takes_its_container,
        ),
        trial(
            "survival::killed_shim_is_told_to_those_who_wait",
            told_to_those_who_wait,
        ),
        trial(
            "survival::ends_while_nobody_listens",
            ends_while_nobody_listens,
        ),
        trial("survival::stranger_on_the_socket", stranger_on_the_socket),
        trial("survival::idle_shim_is_small", idle_shim_is_small),
        trial("survival::many_at_once", many_at_once),
    ]
}

fn shim_of(init: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{init}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("PPid:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn kill(pid: i32) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(status.unwrap().success());
}

/// A daemon that is killed is one whose connections end and whose children are adopted; so is
/// one that is another process. Here the second daemon is another launcher.
async fn a_new_daemon_finds_everything() {
    let recipe = Recipe::new(&[
        "sh",
        "-c",
        "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); sleep 0.005; done; exit 6",
    ]);
    let bundle = recipe.path("bundle");
    let init = {
        let runtime = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let runtime = tokio::runtime::Runtime::new().unwrap();
                    let init = runtime.block_on(async {
                        let shim = recipe.start().await.unwrap();
                        shim.exec(exec_spec("kept", &["sleep", "1"])).await.unwrap();
                        shim.init_pid()
                    });
                    // Everything of this daemon ends here, without a word.
                    runtime.shutdown_background();
                    init
                })
                .join()
        });
        runtime.unwrap()
    };
    eventually("log grows", || recipe.log().len() > 20).await;
    assert!(is_alive(init));
    let second = Launcher::new(&recipe.path("run")).unwrap();
    let Found::Running(shim) = second.reconnect(&bundle).await.unwrap() else {
        panic!("not found running");
    };
    assert_eq!(shim.init_pid(), init);
    assert_eq!(shim.wait_exec("kept").await.unwrap(), 0);
    assert_eq!(shim.wait().await.unwrap().code, 6);
    let lines = (0..400).map(|number| format!("line {number}\n"));
    let expected = lines.collect::<Vec<_>>().concat();
    assert!(recipe.log_text() == expected, "the log has holes");
    recipe.assert_nothing_left();
}

async fn killed_shim_takes_its_container() {
    let recipe = Recipe::new(&["sh", "-c", "sleep 100 & sleep 100"]);
    let shim = recipe.start().await.unwrap();
    let init = shim.init_pid();
    let exec = shim.exec(exec_spec("x", &["sleep", "100"])).await.unwrap();
    kill(shim_of(init));
    eventually("init dies", || !is_alive(init) && !is_alive(exec.pid)).await;
    let found = recipe.launcher().reconnect(shim.bundle()).await.unwrap();
    assert!(matches!(found, Found::Exited(status) if status.code == 137));
    recipe.assert_nothing_left();
    let again = recipe.launcher().reconnect(shim.bundle()).await.unwrap();
    assert!(matches!(again, Found::Exited(_)));
}

async fn told_to_those_who_wait() {
    for started in [false, true] {
        let recipe = Recipe::new(&["sleep", "100"]);
        let shim = recipe.create().await.unwrap();
        if started {
            shim.start().await.unwrap();
        }
        kill(shim_of(shim.init_pid()));
        assert_eq!(shim.wait().await.unwrap().code, 137);
        recipe.assert_nothing_left();
        assert!(shim.signal(15).await.is_err());
    }
}

async fn ends_while_nobody_listens() {
    let recipe = Recipe::new(&["sh", "-c", "sleep 0.2; echo last; exit 11"]);
    let bundle = recipe.path("bundle");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async { drop(recipe.start().await.unwrap()) });
            runtime.shutdown_background();
        });
    });
    eventually("the end is recorded", || bundle.join("exit.json").exists()).await;
    let second = Launcher::new(&recipe.path("run")).unwrap();
    let found = second.reconnect(&bundle).await.unwrap();
    assert!(matches!(found, Found::Exited(status) if status.code == 11));
    assert_eq!(recipe.log_text(), "last\n");
    eventually("group is gone", || {
        crate::support::leftover_groups(&recipe.id).is_empty()
    })
    .await;
    let gone = second.reconnect(&recipe.path("never")).await.unwrap();
    assert!(matches!(gone, Found::Gone));
}

/// Rubbish and sudden ends on the socket must not disturb the container.
async fn stranger_on_the_socket() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let recipe = Recipe::new(&["sleep", "100"]);
    let shim = recipe.start().await.unwrap();
    let socket = shim.bundle().join("shim.sock");
    for rubbish in [
        &b"\xff\xff\xff\xff"[..],
        b"\x02\0\0\0{]",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x05",
    ] {
        let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        stream.write_all(rubbish).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
    }
    shim.kill_all().await.unwrap();
    assert_eq!(shim.wait().await.unwrap().code, 137);
}

/// Private memory of a shim with nothing to do.
async fn idle_shim_is_small() {
    let recipe = Recipe::new(&["sleep", "100"]);
    let shim = recipe.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let pid = shim_of(shim.init_pid());
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let private: u64 = rollup
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum();
    println!("idle shim: {private} KiB private");
    assert!(private < 1024);
    shim.kill_all().await.unwrap();
    shim.wait().await.unwrap();
}

async fn many_at_once() {
    let runs = (0..20).map(|number| async move {
        let recipe = Recipe::new(&["sh", "-c", &format!("echo {number}; exit {number}")]);
        let shim = recipe.start().await.unwrap();
        assert_eq!(shim.wait().await.unwrap().code, number);
        assert_eq!(recipe.log_text(), format!("{number}\n"));
        eventually("shim ends", || !is_alive(shim.init_pid())).await;
        recipe.assert_nothing_left();
    });
    futures_util::future::join_all(runs).await;
}
