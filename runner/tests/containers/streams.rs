//! Bytes in and out, and the terminal.

use std::time::Duration;

use futures_util::StreamExt as _;
use libtest_mimic::Trial;
use rand::RngCore as _;
use tokio::io::AsyncWriteExt as _;

use crate::support::{ALL, BOTH, Recipe, collect, text, trial};
use hythe_runner::launch::{AttachStdio, StdinMode};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("streams::ten_megabytes_both_ways", ten_megabytes_both_ways),
        trial(
            "streams::once_ends_with_its_client",
            once_ends_with_its_client,
        ),
        trial(
            "streams::open_outlives_its_clients",
            open_outlives_its_clients,
        ),
        trial(
            "streams::nobody_reading_breaks_the_input",
            nobody_reading_breaks_the_input,
        ),
        trial("streams::terminal_has_its_size", terminal_has_its_size),
        trial(
            "streams::slow_client_holds_back_and_loses_nothing",
            slow_client_holds_back,
        ),
        trial(
            "streams::two_clients_see_the_same",
            two_clients_see_the_same,
        ),
        trial(
            "streams::a_lot_of_output_is_logged_whole",
            a_lot_of_output_is_logged_whole,
        ),
    ]
}

async fn ten_megabytes_both_ways() {
    let mut recipe = Recipe::new(&["cat"]);
    recipe.shim.stdin = StdinMode::Once;
    recipe.shim.log = None;
    let shim = recipe.create().await.unwrap();
    let stream = shim.attach(ALL).await.unwrap();
    shim.start().await.unwrap();
    let mut sent = vec![0_u8; 10 << 20];
    rand::rng().fill_bytes(&mut sent);
    let mut input = stream.input;
    let to_send = sent.clone();
    let writer = tokio::spawn(async move {
        input.write_all(&to_send).await.unwrap();
        input.shutdown().await.unwrap();
    });
    let (stdout, stderr) = collect(stream.output).await;
    writer.await.unwrap();
    assert!(stdout == sent && stderr.is_empty());
    assert_eq!(shim.wait().await.unwrap().code, 0);
    recipe.assert_nothing_left();
}

async fn once_ends_with_its_client() {
    let mut recipe = Recipe::new(&["cat"]);
    recipe.shim.stdin = StdinMode::Once;
    let shim = recipe.create().await.unwrap();
    let mut stream = shim.attach(ALL).await.unwrap();
    shim.start().await.unwrap();
    stream.input.write_all(b"last words").await.unwrap();
    // Gone altogether, as a client that was killed.
    drop(stream);
    assert_eq!(shim.wait().await.unwrap().code, 0);
    assert_eq!(recipe.log_text(), "last words");
}

async fn open_outlives_its_clients() {
    let mut recipe = Recipe::new(&["sh", "-c", "read a; read b; echo $a-$b"]);
    recipe.shim.stdin = StdinMode::Open;
    let shim = recipe.start().await.unwrap();
    for line in ["one\n", "two\n"] {
        let mut stream = shim.attach(ALL).await.unwrap();
        stream.input.write_all(line.as_bytes()).await.unwrap();
        stream.input.shutdown().await.unwrap();
    }
    assert_eq!(shim.wait().await.unwrap().code, 0);
    assert_eq!(recipe.log_text(), "one-two\n");
}

async fn nobody_reading_breaks_the_input() {
    let recipe = Recipe::new(&["sleep", "100"]);
    let shim = recipe.start().await.unwrap();
    let mut stream = shim.attach(ALL).await.unwrap();
    let error = loop {
        if let Err(error) = stream.input.write_all(&[0; 4096]).await {
            break error;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    shim.kill_all().await.unwrap();
    shim.wait().await.unwrap();
}

async fn terminal_has_its_size() {
    let mut recipe = Recipe::new(&[
        "sh",
        "-c",
        "tty; stty size; ls -l /dev/console | cut -c1; trap 'stty size; exit 3' WINCH; echo ready; \
         while :; do sleep 0.1; done",
    ])
    .with_terminal(33, 77);
    recipe.shim.stdin = StdinMode::Open;
    let shim = recipe.create().await.unwrap();
    let mut stream = shim.attach(ALL).await.unwrap();
    shim.start().await.unwrap();
    let mut seen = String::new();
    while !seen.contains("ready") {
        seen += &text(&stream.output.next().await.unwrap().unwrap().1);
    }
    assert!(seen.starts_with("/dev/pts/0\r\n33 77\r\n"), "{seen:?}");
    shim.resize(50, 132).await.unwrap();
    let (stdout, stderr) = collect(stream.output).await;
    assert!(text(&stdout).contains("50 132"), "{}", text(&stdout));
    assert!(stderr.is_empty());
    assert_eq!(shim.wait().await.unwrap().code, 3);
    recipe.assert_nothing_left();
}

async fn slow_client_holds_back() {
    let mut recipe = Recipe::new(&["sh", "-c", "head -c 3000000 /dev/zero; echo end >/done"]);
    recipe.shim.log = None;
    let shim = recipe.create().await.unwrap();
    let slow = shim.attach(BOTH).await.unwrap();
    shim.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let done = recipe.path("upper/done");
    assert!(!done.exists(), "nothing holds the program back");
    let (stdout, _) = collect(slow.output).await;
    assert_eq!(stdout.len(), 3_000_000);
    assert_eq!(shim.wait().await.unwrap().code, 0);

    // One that goes away frees the program.
    let shim = recipe.create().await.unwrap();
    let slow = shim.attach(BOTH).await.unwrap();
    shim.start().await.unwrap();
    drop(slow);
    assert_eq!(shim.wait().await.unwrap().code, 0);
    recipe.assert_nothing_left();
}

async fn two_clients_see_the_same() {
    let recipe = Recipe::new(&["sh", "-c", "seq 1 5000; seq 1 5000 >&2"]);
    let shim = recipe.create().await.unwrap();
    let both = shim.attach(BOTH).await.unwrap();
    let only_stderr = AttachStdio {
        stderr: true,
        ..AttachStdio::default()
    };
    let other = shim.attach(only_stderr).await.unwrap();
    shim.start().await.unwrap();
    let (first, second) = tokio::join!(collect(both.output), collect(other.output));
    assert_eq!(first.0, first.1);
    assert!(second.0.is_empty());
    assert_eq!(first.1, second.1);
}

async fn a_lot_of_output_is_logged_whole() {
    let recipe = Recipe::new(&["seq", "1", "200000"]);
    let (status, stdout, _) = recipe.run().await;
    assert_eq!(status.code, 0);
    assert!(stdout == recipe.log_text());
    assert!(stdout.ends_with("\n200000\n"));
}
