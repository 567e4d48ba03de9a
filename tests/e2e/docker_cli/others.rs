//! Flags of the commands beside `run` that `commands`, `copy` and `life` do not come by.

use hythe_tests::{CommandExt as _, SHORT, docker_is_recent, eventually};

use super::{docker, inspect, run_script, with_agent};

#[test]
fn images_and_archives_of_a_container() {
    with_agent(|agent, image| {
        let script = "trap : TERM; echo made > /made; echo up; exec sleep 1000";
        run_script(agent, "--name source", image, script);
        eventually("it has made its file", SHORT, || {
            (docker(agent, "logs source").text() == "up").then_some(())
        });
        agent
            .docker(&["commit", "--author", "Some Body", "--message", "two words"])
            .args([
                "--change",
                "ENV NEW=value",
                "--change",
                "CMD [\"cat\", \"/made\"]",
            ])
            .args(["--pause=false", "source", "copy:1"])
            .finish()
            .ok();
        for (template, expected) in [
            ("{{.Author}}", "Some Body"),
            ("{{.Comment}}", "two words"),
            ("{{json .Config.Cmd}}", r#"["cat","/made"]"#),
        ] {
            let shown = agent
                .docker(&["image", "inspect", "-f", template, "copy:1"])
                .finish()
                .ok();
            assert_eq!(shown.text(), expected, "{template}");
        }
        assert_eq!(docker(agent, "run --rm copy:1").ok().text(), "made");
        docker(agent, "commit --change NOPE source copy:2").fails_saying("NOPE");
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("out.tar").display().to_string();
        docker(agent, &format!("export --output {path} source")).ok();
        let listed = std::process::Command::new("tar")
            .args(["-tf", &path])
            .finish()
            .ok();
        assert!(
            listed.lines().iter().any(|name| name == "made"),
            "{listed:?}"
        );
        docker(agent, "rm -f source").ok();
        docker(agent, "rmi copy:1").ok();
    });
}

#[test]
fn restarts_links_details_and_checkpoints() {
    if !docker_is_recent("restart --signal and others") {
        return;
    }
    with_agent(|agent, image| {
        let script = "trap 'echo by signal; exit 3' USR1; trap : TERM; echo up; \
                      while :; do sleep 0.05; done";
        run_script(agent, "--name again", image, script);
        let up = |times: usize| {
            eventually("it is up", SHORT, || {
                let logs = docker(agent, "logs again").text();
                (logs.matches("up").count() == times).then_some(())
            });
        };
        up(1);
        docker(agent, "restart --signal USR1 again").ok();
        up(2);
        assert!(docker(agent, "logs again").text().contains("by signal"));
        docker(agent, "restart --timeout 0 again").ok();
        up(3);
        let details = docker(agent, "logs --details --tail 1 again").ok();
        assert_eq!(details.stdout, b" up\n", "no attributes, then a space");
        docker(agent, "rm --link again").fails_saying("link");
        docker(agent, "rm -f again").ok();

        docker(agent, &format!("create --name frozen {image} true")).ok();
        docker(agent, "start --checkpoint one frozen").fails_saying("checkpoint");
        let elsewhere = "start --checkpoint one --checkpoint-dir /tmp frozen";
        docker(agent, elsewhere).fails_saying("checkpoint");
        docker(agent, "rm frozen").ok();
    });
}

#[test]
fn terminals_that_are_left_with_keys_of_ones_own() {
    with_agent(|agent, image| {
        docker(agent, &format!("create -it --name shell {image} sh")).ok();
        let mut start =
            agent.docker_on_terminal(&["start", "-ai", "--detach-keys", "ctrl-b,q", "shell"]);
        start.type_after("#", b"\x02q");
        start.finish().ok();
        assert_eq!(inspect(agent, "shell", "{{.State.Status}}"), "running");
        let words = ["exec", "-it", "--detach-keys", "ctrl-b,q", "shell", "sh"];
        let mut exec = agent.docker_on_terminal(&words);
        exec.type_after("#", b"\x02q");
        exec.finish();
        assert_eq!(inspect(agent, "shell", "{{len .ExecIDs}}"), "1");
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("env").display().to_string();
        std::fs::write(&path, "FROM_FILE=yes\n").expect("a file");
        let shown = docker(agent, &format!("exec --env-file {path} shell env")).ok();
        assert!(shown.text().contains("FROM_FILE=yes"), "{shown:?}");
        docker(agent, "rm -f shell").ok();
    });
}

#[test]
fn limits_are_changed_while_it_runs() {
    with_agent(|agent, image| {
        run_script(agent, "--name limited -m 128m", image, "exec sleep 1000");
        let update = "update --cpu-shares 512 --cpu-period 50000 --cpu-quota 20000 \
                      --cpuset-cpus 0 --cpuset-mems 0 --memory-reservation 32m";
        docker(agent, &format!("{update} limited")).ok();
        let set = "{{with .HostConfig}}{{.CpuShares}} {{.CpuPeriod}} {{.CpuQuota}} \
                   {{.CpusetCpus}} {{.CpusetMems}} {{.MemoryReservation}}{{end}}";
        assert_eq!(
            inspect(agent, "limited", set),
            "512 50000 20000 0 0 33554432"
        );
        let script = "cd /sys/fs/cgroup; cat cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu.max \
                      memory/memory.soft_limit_in_bytes memory.low cpuset/cpuset.cpus cpuset.cpus \
                      2>/dev/null | tr '\n' ' '";
        let kernel = agent
            .docker(&["exec", "limited", "sh", "-c", script])
            .finish();
        assert_eq!(
            kernel.text(),
            "20000 50000 33554432 0",
            "the kernel has them too"
        );
        for flag in ["--cpu-rt-period 1000", "--cpu-rt-runtime 1000"] {
            docker(agent, &format!("update {flag} limited")).fails_saying("not supported");
        }
        docker(agent, "rm -f limited").ok();
    });
}
