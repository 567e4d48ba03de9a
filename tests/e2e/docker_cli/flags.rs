//! Flags of `run` whose effect is not one line of output: devices, memory, profiles, signals,
//! pulls.

use std::path::Path;
use std::process::Command;

use hythe_tests::{Agent, CommandExt as _, SHORT, docker_is_recent, eventually};

use super::{docker, inspect, run_script, said, with_agent};

/// A block device of the test's own, whose requests are scheduled by weights.
struct Disk {
    device: String,
    _content: tempfile::NamedTempFile,
}

impl Disk {
    fn new() -> Self {
        let content = tempfile::NamedTempFile::new().expect("a file");
        content.as_file().set_len(1 << 20).expect("a size");
        let device = Command::new("losetup")
            .args(["--find", "--show"])
            .arg(content.path())
            .finish()
            .ok()
            .text();
        let disk = Self {
            device,
            _content: content,
        };
        disk.schedule("bfq");
        disk
    }

    fn schedule(&self, scheduler: &str) {
        let path = format!("/sys/block/{}/queue/scheduler", self.name());
        std::fs::write(path, scheduler).expect("the kernel has this scheduler");
    }

    fn name(&self) -> &str {
        self.device.trim_start_matches("/dev/")
    }

    /// `MAJOR:MINOR`.
    fn numbers(&self) -> String {
        let path = format!("/sys/block/{}/dev", self.name());
        std::fs::read_to_string(path)
            .expect("a device")
            .trim()
            .to_owned()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("losetup").args(["-d", &self.device]).finish();
    }
}

/// Whether limits are files of cgroup v2 here.
fn is_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// The text of a file of the container's own group, whichever of the names it has here.
fn limit(agent: &Agent<'_>, container: &str, files: &str) -> String {
    let script = format!("cd /sys/fs/cgroup; cat {files} 2>/dev/null; true");
    agent
        .docker(&["exec", container, "sh", "-c", &script])
        .finish()
        .ok()
        .text()
}

#[test]
fn block_devices_are_throttled_and_weighed() {
    with_agent(|agent, image| {
        let disk = Disk::new();
        let (device, numbers) = (&disk.device, disk.numbers());
        let mut words: Vec<String> = Vec::new();
        for (flag, rate) in [
            ("--device-read-bps", "1mb"),
            ("--device-write-bps", "2mb"),
            ("--device-read-iops", "30"),
            ("--device-write-iops", "40"),
        ] {
            words.extend([flag.to_owned(), format!("{device}:{rate}")]);
        }
        let flags = words.join(" ");
        docker(
            agent,
            &format!("run -d --name slow {flags} {image} sleep 1000"),
        )
        .ok();
        let throttles = limit(agent, "slow", "blkio/blkio.throttle.*_device io.max");
        let expected: Vec<String> = if is_v2() {
            vec![format!(
                "{numbers} rbps=1048576 wbps=2097152 riops=30 wiops=40"
            )]
        } else {
            [1_048_576, 30, 2_097_152, 40]
                .map(|rate| format!("{numbers} {rate}"))
                .into()
        };
        for line in expected {
            assert!(throttles.contains(&line), "{line} of {throttles}");
        }
        let shown = inspect(agent, "slow", "{{json .HostConfig.BlkioDeviceWriteBps}}");
        assert_eq!(shown, format!(r#"[{{"Path":"{device}","Rate":2097152}}]"#));

        let weights = format!("--blkio-weight 300 --blkio-weight-device {device}:200");
        docker(
            agent,
            &format!("run -d --name light {weights} {image} sleep 1000"),
        )
        .ok();
        let weight = limit(agent, "light", "blkio/blkio.bfq.weight io.bfq.weight");
        assert!(weight.contains("300"), "{weight}");
        let of_device = limit(
            agent,
            "light",
            "blkio/blkio.bfq.weight_device io.bfq.weight",
        );
        assert!(of_device.contains(&format!("{numbers} 200")), "{of_device}");
        docker(agent, "update --blkio-weight 400 light").ok();
        let weight = limit(agent, "light", "blkio/blkio.bfq.weight io.bfq.weight");
        assert!(weight.contains("400"), "{weight}");

        // A device that is not scheduled by weights has none.
        disk.schedule("none");
        let run = docker(agent, &format!("run --rm {weights} {image} true"));
        assert_ne!(run.code, 0, "{run:?}");
        run.fails_saying("peration not supported");
        for (flag, words) in [
            (
                "--device-read-bps /dev/nope:1mb",
                "no such device: /dev/nope",
            ),
            (
                "--device-read-iops /dev/nope:1",
                "no such device: /dev/nope",
            ),
            (
                "--device-write-bps /dev/nope:1mb",
                "no such device: /dev/nope",
            ),
            (
                "--device-write-iops /dev/nope:1",
                "no such device: /dev/nope",
            ),
            (
                "--blkio-weight-device /dev/nope:100",
                "no such device: /dev/nope",
            ),
            ("--blkio-weight-device /dev/null:5", "invalid weight"),
            ("--device-read-bps /dev/null:x", "invalid rate"),
        ] {
            let run = docker(agent, &format!("run --rm {flag} {image} true"));
            assert_eq!(run.code, 125, "{run:?}");
            run.fails_saying(words);
        }
        docker(agent, "rm -f slow light").ok();
    });
}

#[test]
fn devices_are_allowed_by_rule() {
    with_agent(|agent, image| {
        // The kernel's own log takes lines from whoever may open the device.
        let script = "mknod /k c 1 11 && : > /k && echo open";
        let run = |rule: &[&str]| {
            agent
                .docker(&["run", "--rm"])
                .args(rule)
                .args([image, "sh", "-c", script])
                .finish()
        };
        run(&[]).fails_saying("Operation not permitted");
        run(&["--device-cgroup-rule", "c 1:11 r"]).fails_saying("Operation not permitted");
        let opened = run(&["--device-cgroup-rule", "c 1:* rwm"]).ok();
        assert_eq!(opened.text(), "open");
        run(&["--device-cgroup-rule", "c 1"]).fails_saying("invalid device cgroup");
    });
}

#[test]
fn memory_is_tuned_where_the_kernel_can() {
    with_agent(|agent, image| {
        let flags = "-m 64m --memory-swap 96m --memory-swappiness 33 --oom-kill-disable \
                     --cpu-shares 512";
        let line = format!("run -d --name tuned {flags} {image} sleep 1000");
        let told = docker(agent, &line).ok().error_text();
        if is_v2() {
            assert!(told.contains("Memory swappiness discarded."), "{told}");
            assert!(told.contains("OomKillDisable discarded."), "{told}");
            assert_eq!(limit(agent, "tuned", "cpu.weight"), "20");
        } else {
            assert_eq!(limit(agent, "tuned", "cpu/cpu.shares"), "512");
            assert!(!told.contains("discarded"), "{told}");
            assert_eq!(limit(agent, "tuned", "memory/memory.swappiness"), "33");
            let oom = limit(agent, "tuned", "memory/memory.oom_control");
            assert!(oom.contains("oom_kill_disable 1"), "{oom}");
        }
        let swap = limit(
            agent,
            "tuned",
            "memory/memory.memsw.limit_in_bytes memory.swap.max",
        );
        let expected = if is_v2() { "33554432" } else { "100663296" };
        if swap.is_empty() {
            assert!(told.contains("Memory limited without swap."), "{told}");
        } else {
            assert_eq!(swap, expected);
        }
        docker(agent, "rm -f tuned").ok();
    });
}

#[test]
fn a_seccomp_profile_of_the_client() {
    with_agent(|agent, image| {
        let directory = tempfile::tempdir().expect("a directory");
        let profile = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("a file");
            format!("seccomp={}", path.display())
        };
        let refuse = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{
            "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30}]}"#;
        let run = |option: &str| {
            agent
                .docker(&["run", "--rm", "--security-opt", option, image])
                .args(["sh", "-c", "mkdir /made && echo made"])
                .finish()
        };
        run(&profile("refuse", refuse)).fails_saying("Read-only file system");
        let allow = r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#;
        assert_eq!(run(&profile("allow", allow)).ok().text(), "made");
        run(&profile("rubbish", "{")).fails_saying("seccomp");
        let unknown = r#"{"defaultAction": "SCMP_ACT_NOPE"}"#;
        run(&profile("unknown", unknown)).fails_saying("SCMP_ACT_NOPE");
        run("seccomp=/no/such/file").fails_saying("opening seccomp profile");
    });
}

#[test]
fn signals_that_stay_with_the_client() {
    use nix::sys::signal::{Signal, kill};
    with_agent(|agent, image| {
        let script = "trap 'echo heard' TERM; echo up; while :; do sleep 0.05; done";
        let mut clients = vec![agent.docker(&[
            "run",
            "--sig-proxy=false",
            "--name",
            "one",
            image,
            "sh",
            "-c",
            script,
        ])];
        run_script(agent, "--name two", image, script);
        clients.push(agent.docker(&["attach", "--sig-proxy=false", "two"]));
        for (name, mut command) in ["one", "two"].into_iter().zip(clients) {
            let mut client = command.spawn().expect("docker starts");
            eventually("it is up, and the client there", SHORT, || {
                (docker(agent, &format!("logs {name}")).text() == "up").then_some(())
            });
            if name == "two" {
                eventually("the client is attached", SHORT, || {
                    let events = "events --since 5m --until 0s --filter container=two";
                    let told = docker(agent, &format!("{events} --filter event=attach"));
                    (!told.text().is_empty()).then_some(())
                });
            }
            let pid = nix::unistd::Pid::from_raw(i32::try_from(client.id()).expect("an id"));
            // Newer clients want to be told three times.
            eventually("the client ends", SHORT, || {
                // It may have ended since it was asked.
                let _sent = kill(pid, Signal::SIGTERM);
                client.try_wait().expect("it can be asked")
            });
            assert_eq!(inspect(agent, name, "{{.State.Status}}"), "running");
            // One that is sent through the engine arrives, and none came before it.
            docker(agent, &format!("kill -s TERM {name}")).ok();
            eventually("it hears", SHORT, || {
                (docker(agent, &format!("logs {name}")).text() == "up\nheard").then_some(())
            });
        }
        docker(agent, "rm -f one two").ok();
    });
}

#[test]
fn images_are_pulled_as_said() {
    with_agent(|agent, image| {
        let there = docker(agent, &format!("run --rm --pull always {image} echo ran")).ok();
        assert_eq!(there.text(), "ran");
        let told = there.error_text();
        assert!(told.contains("Image is up to date"), "{there:?}");
        if docker_is_recent("run -q") {
            let line = format!("run --rm -q --pull always {image} echo ran");
            let quiet = docker(agent, &line).ok();
            assert_eq!(said(&quiet).trim(), "ran");
        }
        docker(agent, &format!("rmi {image}")).ok();
        docker(agent, &format!("run --rm --pull never {image} true")).fails_saying("No such image");
        let missing = docker(agent, &format!("run --rm --pull missing {image} true")).ok();
        let told = missing.error_text();
        assert!(told.contains("Unable to find image"), "{missing:?}");
        docker(
            agent,
            &format!("run --rm --platform linux/amd64 {image} true"),
        )
        .ok();
        let other = docker(
            agent,
            &format!("run --rm --platform linux/s390x {image} true"),
        );
        assert_eq!(other.code, 125, "{other:?}");
        other.fails_saying("s390x");
        docker(
            agent,
            &format!("run --rm --platform nonsense/x/y/z {image} true"),
        )
        .fails_saying("platform");
        docker(
            agent,
            &format!("create --pull always --name made {image} true"),
        )
        .ok();
        docker(agent, "rm made").ok();
    });
}

#[test]
fn what_is_only_written_down_or_seen_from_outside() {
    if !docker_is_recent("run --annotation and others") {
        return;
    }
    with_agent(|agent, image| {
        let flags = "--annotation one=1 --cgroup-parent /hythe-flags-test --expose 81 -P \
                     --stop-timeout 3 --stop-signal USR1 --health-cmd true --health-interval 1h \
                     --health-timeout 2s --health-retries 4 --health-start-period 5s \
                     --health-start-interval 1s --restart unless-stopped --ip 10.88.0.9 \
                     --network own --network-alias other --disable-content-trust";
        docker(agent, "network create --subnet 10.88.0.0/24 own").ok();
        docker(
            agent,
            &format!("run -d --name noted {flags} {image} sleep 1000"),
        )
        .ok();
        for (template, expected) in [
            ("{{json .HostConfig.Annotations}}", r#"{"one":"1"}"#),
            ("{{.HostConfig.CgroupParent}}", "/hythe-flags-test"),
            ("{{.Config.StopTimeout}} {{.Config.StopSignal}}", "3 USR1"),
            ("{{.HostConfig.RestartPolicy.Name}}", "unless-stopped"),
            ("{{.HostConfig.PublishAllPorts}}", "true"),
            (
                "{{with .Config.Healthcheck}}{{.Interval}} {{.Timeout}} {{.Retries}} \
                 {{.StartPeriod}} {{.StartInterval}}{{end}}",
                "1h0m0s 2s 4 5s 1s",
            ),
            ("{{.NetworkSettings.Networks.own.IPAddress}}", "10.88.0.9"),
        ] {
            assert_eq!(inspect(agent, "noted", template), expected, "{template}");
        }
        let aliases = inspect(agent, "noted", "{{.NetworkSettings.Networks.own.Aliases}}");
        assert!(aliases.contains("other"), "{aliases}");
        let port = docker(agent, "port noted 81").ok().text();
        assert!(port.contains("0.0.0.0:"), "{port}");
        let group = std::fs::read_to_string(format!("/proc/{}/cgroup", agent.init_pid("noted")));
        let group = group.expect("it runs");
        assert!(group.contains("/hythe-flags-test/"), "{group}");

        // A link is a name and an entry in the environment of whoever has it.
        docker(
            agent,
            &format!("run -d --name server --expose 80 {image} sleep 1000"),
        )
        .ok();
        let linked = format!("run --rm --link server:db {image} sh -c");
        let mut words: Vec<&str> = linked.split_whitespace().collect();
        words.push("grep db /etc/hosts; env");
        let told = agent.docker(&words).finish().ok().text();
        assert!(told.contains("DB_PORT_80_TCP_PORT=80"), "{told}");
        assert!(told.contains("\tdb"), "{told}");
        let line = format!("run --rm --use-api-socket {image} test -S /var/run/docker.sock");
        docker(agent, &line).ok();
        docker(agent, "rm -f noted server").ok();
        docker(agent, "network rm own").ok();
    });
}
