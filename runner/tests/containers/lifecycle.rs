//! From creation to the exit code.

use libtest_mimic::Trial;

use crate::support::{BOTH, Recipe, collect, eventually, is_alive, trial};
use hythe_runner::launch::{Found, LaunchError, Rootfs, StdinMode, UserSpec};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "lifecycle::exit_codes_pass_through",
            exit_codes_pass_through,
        ),
        trial(
            "lifecycle::output_goes_to_client_and_log",
            output_goes_to_client_and_log,
        ),
        trial(
            "lifecycle::program_waits_for_start",
            program_waits_for_start,
        ),
        trial(
            "lifecycle::failures_to_start_say_why",
            failures_to_start_say_why,
        ),
        trial(
            "lifecycle::users_are_the_containers_own",
            users_are_the_containers_own,
        ),
        trial("lifecycle::signals_end_it", signals_end_it),
        trial("lifecycle::directory_as_root", directory_as_root),
        trial("lifecycle::speed", speed),
    ]
}

async fn exit_codes_pass_through() {
    for (command, code) in [
        (&["true"][..], 0),
        (&["sh", "-c", "exit 7"], 7),
        (&["sh", "-c", "exit 255"], 255),
        (&["sh", "-c", "kill -9 $$; sleep 9"], 137),
    ] {
        let mut recipe = Recipe::new(command);
        if code == 137 {
            // Process 1 of a pid namespace does not take signals from inside.
            let host = hythe_runner::launch::defaults::NAMESPACES;
            let kinds: Vec<_> = host
                .into_iter()
                .filter(|it| *it != oci_spec::runtime::LinuxNamespaceType::Pid)
                .collect();
            recipe
                .linux()
                .set_namespaces(Some(crate::support::namespaces(&kinds)));
        }
        let (status, ..) = recipe.run().await;
        assert_eq!(status.code, code, "{command:?}");
        assert!(!status.oom_killed);
    }
}

async fn output_goes_to_client_and_log() {
    let recipe = Recipe::new(&[
        "sh",
        "-c",
        "echo out; echo err >&2; hostname; pwd; echo $HOME",
    ]);
    let (_, stdout, stderr) = recipe.run().await;
    assert_eq!((&*stdout, &*stderr), ("out\nbox\n/\n/root\n", "err\n"));
    assert_eq!(recipe.log().len(), 5);
    assert!(recipe.log_text().contains("err\n"));
}

async fn program_waits_for_start() {
    let recipe = Recipe::new(&["touch", "/started"]);
    let shim = recipe.create().await.unwrap();
    let started = recipe.path("upper/started");
    assert!(is_alive(shim.init_pid()));
    let found = recipe.launcher().reconnect(shim.bundle()).await.unwrap();
    assert!(matches!(found, Found::Created(_)));
    assert!(!started.exists());
    shim.start().await.unwrap();
    assert_eq!(shim.wait().await.unwrap().code, 0);
    assert!(started.exists());
    let found = recipe.launcher().reconnect(shim.bundle()).await.unwrap();
    assert!(matches!(found, Found::Exited(status) if status.code == 0));
    recipe.assert_nothing_left();
}

async fn failures_to_start_say_why() {
    for (command, code, text) in [
        (
            "nope",
            127,
            "exec: \"nope\": executable file not found in $PATH",
        ),
        (
            "/nope",
            127,
            "exec: \"/nope\": stat /nope: no such file or directory",
        ),
        ("/etc", 126, "exec: \"/etc\": is a directory"),
        (
            "/etc/passwd",
            126,
            "exec: \"/etc/passwd\": permission denied",
        ),
    ] {
        let recipe = Recipe::new(&[command]);
        let Err(LaunchError::Start(failure)) = recipe.start().await else {
            panic!("{command} starts");
        };
        assert_eq!((failure.exit_code, &*failure.message), (code, text));
        recipe.assert_nothing_left();
    }
    let mut recipe = Recipe::new(&["true"]);
    recipe.shim.user = Some(UserSpec {
        user: "ghost".to_owned(),
        additional_groups: Vec::new(),
    });
    let Err(LaunchError::Start(failure)) = recipe.start().await else {
        panic!("a ghost runs programs");
    };
    assert_eq!(
        failure.message,
        "unable to find user ghost: no matching entries in passwd file"
    );
    recipe.assert_nothing_left();
}

async fn users_are_the_containers_own() {
    let mut recipe = Recipe::new(&[
        "sh",
        "-c",
        "id; echo $HOME; cat /dev/stdin; echo x >/dev/stdout",
    ]);
    recipe.shim.user = Some(UserSpec {
        user: "app".to_owned(),
        additional_groups: vec!["77".to_owned()],
    });
    recipe.shim.stdin = StdinMode::Closed;
    let (status, stdout, stderr) = recipe.run().await;
    assert_eq!(status.code, 0, "{stderr}");
    assert_eq!(
        stdout,
        "uid=1000(app) gid=1001(app) groups=50(more),77\n/tmp\nx\n"
    );
}

async fn signals_end_it() {
    let recipe = Recipe::new(&[
        "sh",
        "-c",
        "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done",
    ]);
    let shim = recipe.create().await.unwrap();
    shim.start().await.unwrap();
    eventually("trap is set", || recipe.log_text().contains("up")).await;
    shim.signal(15).await.unwrap();
    assert_eq!(shim.wait().await.unwrap().code, 5);
    assert!(shim.signal(15).await.is_err());

    let recipe = Recipe::new(&["sleep", "100"]);
    let shim = recipe.start().await.unwrap();
    let stream = shim.attach(BOTH).await.unwrap();
    shim.kill_all().await.unwrap();
    assert_eq!(shim.wait().await.unwrap().code, 137);
    assert!(collect(stream.output).await.0.is_empty());
    recipe.assert_nothing_left();
}

async fn directory_as_root() {
    let mut recipe = Recipe::new(&["touch", "/here"]);
    recipe.shim.rootfs = Rootfs::Directory(recipe.path("root"));
    assert_eq!(recipe.run().await.0.code, 0);
    assert!(recipe.path("root/here").exists());
}

/// Figures for whoever changes this code; what is asserted is only that it is no order of
/// magnitude away.
async fn speed() {
    let recipe = Recipe::new(&["true"]);
    let mut created = Vec::new();
    let mut whole = Vec::new();
    for _ in 0..20 {
        let begin = std::time::Instant::now();
        let shim = recipe.create().await.unwrap();
        shim.start().await.unwrap();
        created.push(begin.elapsed());
        shim.wait().await.unwrap();
        whole.push(begin.elapsed());
    }
    created.sort();
    whole.sort();
    println!(
        "create + start: {:?}, to the end: {:?}",
        created[10], whole[10]
    );
    assert!(whole[10].as_millis() < 500);
}
