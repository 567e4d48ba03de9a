"""The life of a container: every verb, every state, what lists and events say of them."""

import threading
import unittest

import docker

from common import IMAGE, Scenario, eventually


class Lives(Scenario):
    def test_run_answers_with_the_output(self):
        run = self.client.containers.run
        self.assertEqual(run(IMAGE, "echo hello", remove=True), b"hello\n")
        self.assertEqual(run(IMAGE, ["sh", "-c", "echo out; echo err >&2"], remove=True), b"out\n")
        self.assertEqual(
            run(IMAGE, ["sh", "-c", "echo err >&2"], remove=True, stdout=False, stderr=True), b"err\n"
        )
        with self.assertRaises(docker.errors.ContainerError) as caught:
            run(IMAGE, ["sh", "-c", "echo why >&2; exit 3"], remove=True)
        self.assertEqual((caught.exception.exit_status, caught.exception.stderr), (3, b"why\n"))
        with self.assertRaises(docker.errors.ImageNotFound):
            self.api.create_container("no-such-image", "true")

    def test_states_follow_the_verbs(self):
        container = self.create("sleep 1000", name="py-states", stop_signal="SIGKILL")
        status = lambda: (container.reload(), container.status)[1]
        self.assertEqual(status(), "created")
        container.start()
        self.assertEqual(status(), "running")
        container.start()  # 304 is no error
        container.pause()
        self.assertEqual(status(), "paused")
        self.refused(409, "is already paused", container.pause)
        self.refused(409, "is paused", container.exec_run, "true")
        container.unpause()
        self.assertEqual(status(), "running")
        container.restart(timeout=0)
        self.assertEqual(status(), "running")
        container.rename("py-renamed")
        container.reload()
        self.assertEqual(container.name, "py-renamed")
        container.stop()
        self.assertEqual(status(), "exited")
        self.assertEqual(container.attrs["State"]["ExitCode"], 137)
        container.stop()
        self.refused(409, "is not running", container.kill)
        container.start()
        self.refused(409, "running", container.remove)
        container.kill(signal="SIGKILL")
        self.assertEqual(container.wait()["StatusCode"], 137)
        container.remove()
        self.refused(404, "No such container", container.reload)

    def test_wait_knows_its_conditions(self):
        container = self.create("sh -c 'exit 5'", auto_remove=True)
        answers = {}

        def wait(condition):
            answers[condition] = docker.from_env().api.wait(container.id, condition=condition)

        threads = [threading.Thread(target=wait, args=[c]) for c in ("next-exit", "removed")]
        for thread in threads:
            thread.start()
        self.assertEqual(container.wait()["StatusCode"], 0)  # not running: at once
        # The two wait for the first exit: they have to be there before it.
        eventually("both are waiting", lambda: all(t.is_alive() for t in threads))
        container.start()
        for thread in threads:
            thread.join()
        self.assertEqual({k: v["StatusCode"] for k, v in answers.items()}, {"next-exit": 5, "removed": 5})
        self.refused(400, "invalid condition", self.api.wait, "x", condition="dark")

    def test_names_and_prefixes(self):
        container = self.create("true", name="py-name")
        for name in ("py-name", "/py-name", container.id, container.id[:12], container.id[:7]):
            self.assertEqual(self.client.containers.get(name).id, container.id)
        self.refused(409, 'The container name "/py-name" is already in use', self.create, "true", name="py-name")
        self.refused(400, "Invalid container name", self.create, "true", name="-")
        self.refused(404, "No such container: py-nam", self.client.containers.get, "py-nam")

    def test_lists_are_filtered(self):
        one = self.start("sleep 1000", name="py-one", labels={"py": "list", "n": "1"})
        two = self.create("true", name="py-two", labels={"py": "list"})
        three = self.start("sh -c 'exit 4'", name="py-three", labels={"py": "list"})
        three.wait()

        def names(all=True, **options):
            options.setdefault("filters", {}).setdefault("label", ["py=list"])
            return [c.name for c in self.client.containers.list(all, **options)]

        self.assertEqual(names(), ["py-three", "py-two", "py-one"])
        self.assertEqual(names(all=False), ["py-one"])
        self.assertEqual(names(filters={"status": ["created", "exited"]}), ["py-three", "py-two"])
        self.assertEqual(names(filters={"exited": [4]}), ["py-three"])
        self.assertEqual(names(filters={"label": ["py", "n=1"]}), ["py-one"])
        self.assertEqual(names(filters={"name": "py-t"}), ["py-three", "py-two"])
        self.assertEqual(names(filters={"id": one.id[:8]}), ["py-one"])
        self.assertEqual(names(filters={"ancestor": IMAGE}), ["py-three", "py-two", "py-one"])
        self.assertEqual(names(filters={"before": "py-two"}), ["py-one"])
        self.assertEqual(names(filters={"since": two.id}), ["py-three"])
        # A limit also lists what does not run.
        self.assertEqual(len(self.client.containers.list(limit=1)), 1)
        self.refused(400, "invalid filter", names, filters={"colour": "red"})
        sizes = self.api.containers(all=True, size=True, filters={"name": "py-one"})
        self.assertIn("SizeRw", sizes[0])
        self.assertGreater(sizes[0]["SizeRootFs"], 100_000)

    def test_update_and_stats(self):
        container = self.start("sleep 1000", mem_limit="64m")
        container.update(mem_limit="48m", memswap_limit="48m", cpu_shares=300, restart_policy={"Name": "always"})
        container.reload()
        host = container.attrs["HostConfig"]
        self.assertEqual((host["Memory"], host["CpuShares"]), (48 << 20, 300))
        self.assertEqual(host["RestartPolicy"]["Name"], "always")
        once = container.stats(stream=False)
        self.assertEqual(once["memory_stats"]["limit"], 48 << 20)
        self.assertGreater(once["cpu_stats"]["system_cpu_usage"], once["precpu_stats"]["system_cpu_usage"])
        self.assertIn("eth0", once["networks"])
        self.assertEqual(once["pids_stats"]["current"], 1)
        quick = self.api.stats(container.id, stream=False, one_shot=True)
        self.assertEqual(quick["precpu_stats"]["cpu_usage"]["total_usage"], 0)
        stream = container.stats(decode=True)
        first, second = next(stream), next(stream)
        self.assertEqual(second["precpu_stats"]["cpu_usage"], first["cpu_stats"]["cpu_usage"])
        self.assertEqual(second["id"], container.id)
        stream.close()

    def test_top_diff_and_prune(self):
        container = self.start(["sh", "-c", "touch /new; rm /etc/group; sleep 1000"], labels={"py": "prune"})
        changes = eventually(
            "the changes show", lambda: (d := container.diff()) and len(d) >= 3 and {c["Path"]: c["Kind"] for c in d}
        )
        self.assertEqual(changes, {"/new": 1, "/etc": 0, "/etc/group": 2})
        top = container.top()
        self.assertEqual(top["Titles"], ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"])
        self.assertTrue(any(row[-1] == "sleep 1000" for row in top["Processes"]), top)
        self.assertEqual(container.top(ps_args="-o pid,comm")["Titles"], ["PID", "COMMAND"])
        self.assertIsNone(self.client.containers.prune(filters={"label": "py=prune"})["ContainersDeleted"])
        container.kill()
        container.wait()
        pruned = self.client.containers.prune(filters={"label": ["py=prune"]})
        self.assertEqual(pruned["ContainersDeleted"], [container.id])
        self.assertGreater(pruned["SpaceReclaimed"], -1)

    def test_health_is_told(self):
        test = {"test": ["CMD", "test", "-e", "/well"], "interval": 10**9, "retries": 1, "timeout": 10**9}
        container = self.start("sleep 1000", healthcheck=test)
        health = lambda: self.api.inspect_container(container.id)["State"]["Health"]
        eventually("it is ill", lambda: health()["Status"] == "unhealthy")
        self.assertGreaterEqual(health()["FailingStreak"], 1)
        container.exec_run("touch /well")
        eventually("it is well", lambda: health()["Status"] == "healthy")
        self.assertEqual(health()["Log"][-1]["ExitCode"], 0)

    def test_events_tell_all_of_it(self):
        since = self.api.info()["SystemTime"]
        container = self.create("sh -c 'exit 6'", name="py-events", labels={"py": "events"})
        stream = self.api.events(decode=True, filters={"container": container.id, "type": "container"})
        container.start()
        container.wait()
        container.remove(v=True)
        seen = []
        for event in stream:
            seen.append(event)
            if event["Action"] == "destroy":
                break
        stream.close()
        self.assertEqual([e["Action"] for e in seen], ["start", "die", "destroy"])
        die = seen[1]["Actor"]
        self.assertEqual((die["ID"], die["Attributes"]["exitCode"]), (container.id, "6"))
        self.assertEqual((die["Attributes"]["name"], die["Attributes"]["py"]), ("py-events", "events"))
        self.assertEqual(die["Attributes"]["image"], IMAGE)
        self.assertEqual((seen[1]["status"], seen[1]["id"]), ("die", container.id))
        past = self.api.events(decode=True, since=int(seen[0]["time"]) - 60, until=int(seen[-1]["time"]) + 1,
                               filters={"container": [container.id]})
        self.assertEqual([e["Action"] for e in past if e["Type"] == "container"], ["create", "start", "die", "destroy"])
        self.assertTrue(since)

    def test_restart_policy_counts(self):
        container = self.start("false", restart_policy={"Name": "on-failure", "MaximumRetryCount": 2})
        eventually(
            "it gave up", lambda: (container.reload(), container.status == "exited" and container.attrs["RestartCount"] == 2)[1]
        )
        self.assertEqual(container.attrs["State"]["ExitCode"], 1)


if __name__ == "__main__":
    unittest.main()
