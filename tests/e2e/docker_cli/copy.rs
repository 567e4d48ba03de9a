//! `docker cp`, both ways, and that no path leads out of the container.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use hythe_tests::{Agent, CommandExt as _, Finished, docker_is_recent};

use super::{docker, with_agent};

#[track_caller]
fn copy(agent: &Agent<'_>, flags: &[&str], from: &str, to: &str) -> Finished {
    let mut words = vec!["cp"];
    words.extend(flags);
    words.extend([from, to]);
    agent.docker(&words).finish()
}

#[test]
fn files_go_in_and_out() {
    with_agent(|agent, image| {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name).display().to_string();
        let read = |name: &str| fs::read_to_string(at(name)).expect("it came out");
        fs::create_dir_all(at("tree/sub")).expect("a directory");
        fs::write(at("tree/a"), "first").expect("a file");
        fs::write(at("tree/sub/b"), vec![b'x'; 300_000]).expect("a file");
        fs::set_permissions(at("tree/a"), fs::Permissions::from_mode(0o751)).expect("a mode");
        chown(at("tree/a"), Some(1234), Some(567)).expect("an owner");
        symlink("a", at("tree/link")).expect("a link");
        docker(agent, &format!("run -d --name box {image} sleep 1000")).ok();
        let inside = |script: &str| agent.docker(&["exec", "box", "sh", "-c", script]).finish();

        // A directory under its name, its content alone, a file under a new name.
        copy(agent, &[], &at("tree"), "box:/tmp").ok();
        copy(agent, &[], &format!("{}/.", at("tree")), "box:/tmp/content").ok();
        let quietly: &[&str] = if docker_is_recent("cp -q") {
            &["-q"]
        } else {
            &[]
        };
        copy(agent, quietly, &at("tree/a"), "box:/tmp/renamed").ok();
        let list = inside("cd /tmp; find . -type f | sort; cat renamed; readlink tree/link").ok();
        assert_eq!(
            list.lines(),
            [
                "./content/a",
                "./content/sub/b",
                "./renamed",
                "./tree/a",
                "./tree/sub/b",
                "firsta"
            ]
        );
        // Owners and modes are as they were, with and without -a, unless the container has a user.
        for flags in [&[][..], &["-a"]] {
            copy(agent, flags, &at("tree/a"), "box:/tmp/own").ok();
            let status = inside("stat -c '%u:%g %a' /tmp/own").ok();
            assert_eq!(status.text(), "1234:567 751");
        }

        // And back.
        copy(agent, &[], "box:/tmp/tree", &at("back")).ok();
        assert_eq!(read("back/a"), "first");
        assert_eq!(
            fs::read_link(at("back/link")).expect("a link").to_str(),
            Some("a")
        );
        copy(agent, &[], "box:/tmp/tree/link", &at("link")).ok();
        assert_eq!(
            fs::read_link(at("link")).expect("a link").to_str(),
            Some("a")
        );
        copy(agent, &["-L"], "box:/tmp/tree/link", &at("followed")).ok();
        assert_eq!(read("followed"), "first");

        // Archives on standard input and output.
        let tar = copy(agent, &[], "box:/tmp/tree", "-").ok().stdout;
        let mut words = vec!["cp", "-", "box:/root"];
        agent.docker(&words).finish_with_input(&tar).ok();
        assert_eq!(inside("cat /root/tree/a").ok().text(), "first");
        words[2] = "box:/root/tree/a";
        agent
            .docker(&words)
            .finish_with_input(&tar)
            .fails_saying("must be a directory");

        // Errors name what is missing.
        let missing = if docker_is_recent("what is said of a missing file") {
            "Could not find the file /nope"
        } else {
            "No such container:path: box:/nope"
        };
        copy(agent, &[], "box:/nope", &at("x")).fails_saying(missing);
        copy(agent, &[], &at("tree/a"), "box:/nope/deep/").fails_saying("no such directory");
        copy(agent, &[], &at("tree"), "box:/tmp/renamed").fails_saying("cannot copy directory");
        docker(agent, "exec box mkdir /tmp/place").ok();
        copy(agent, &[], &at("tree/a"), "box:/tmp/place").ok();
        assert_eq!(inside("cat /tmp/place/a").ok().text(), "first");

        // Into and out of a volume, a tmpfs being the running container's own, and while stopped.
        docker(agent, "stop -t 0 box").ok();
        copy(agent, &[], &at("tree/a"), "box:/stopped").ok();
        copy(agent, &[], "box:/stopped", &at("stopped")).ok();
        assert_eq!(read("stopped"), "first");
        docker(
            agent,
            &format!("create --name volumed -v /data {image} cat /data/a"),
        )
        .ok();
        copy(agent, &[], &at("tree/a"), "volumed:/data/").ok();
        assert_eq!(docker(agent, "start -a volumed").ok().text(), "first");
        let read_only = format!("create --name closed --read-only {image} true");
        docker(agent, &read_only).ok();
        // More than a socket holds: it is refused while docker still sends.
        fs::write(at("large"), vec![b'x'; 4 << 20]).expect("a file");
        copy(agent, &[], &at("large"), "closed:/x").fails_saying("read-only");
        docker(agent, "rm -f -v volumed closed box").ok();
    });
}

#[test]
fn no_link_leads_out_of_the_container() {
    with_agent(|agent, image| {
        let directory = tempfile::tempdir().expect("a directory");
        let host = directory.path().display().to_string();
        let at = |name: &str| format!("{host}/{name}");
        fs::write(at("secret"), "of the host").expect("a file");
        fs::write(at("file"), "sent").expect("a file");
        // The path of the host's directory leads nowhere in the container, or to its own.
        let script = format!(
            "ln -s {host} /absolute; ln -s ../../../../../../..{host} /relative; \
             ln -s {host}/secret /one; mkdir -p /real; exec sleep 1000"
        );
        agent
            .docker(&["run", "-d", "--name", "sly", image, "sh", "-c", &script])
            .finish()
            .ok();
        for link in ["absolute", "relative"] {
            copy(agent, &[], &at("file"), &format!("sly:/{link}/planted")).fails_saying("");
            copy(agent, &[], &format!("sly:/{link}/secret"), &at("stolen")).fails_saying("");
        }
        copy(agent, &["-L"], "sly:/one", &at("stolen")).fails_saying("");
        docker(agent, &format!("exec sly mkdir -p {host}")).ok();
        for link in ["absolute", "relative"] {
            copy(agent, &[], &at("file"), &format!("sly:/{link}/planted")).ok();
        }
        let planted = docker(agent, &format!("exec sly cat {host}/planted")).ok();
        assert_eq!(planted.text(), "sent", "inside it is");
        assert!(!directory.path().join("planted").exists());
        assert!(!directory.path().join("stolen").exists());
        assert_eq!(
            fs::read_to_string(at("secret")).expect("kept"),
            "of the host"
        );
    });
}
