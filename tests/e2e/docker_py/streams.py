"""Bytes in and out: attach, exec, logs, websockets, archives, export and commit."""

import datetime
import io
import os
import socket
import tarfile
import unittest

import websocket
from docker.utils.socket import frames_iter, next_frame_header, read_exactly

from common import IMAGE, Scenario, eventually


def tar_of(**files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid, entry.mtime = len(content), 0o640, 1234, 1_600_000_000
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def untar(chunks):
    return tarfile.open(fileobj=io.BytesIO(b"".join(chunks)))


class Streams(Scenario):
    def attach(self, container, **params):
        params = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1} | params
        sock = self.api.attach_socket(container.id, params=params)
        self.addCleanup(sock.close)
        sock._sock.settimeout(30)
        return sock

    def test_attach_carries_frames_both_ways(self):
        container = self.create(["sh", "-c", "read line; echo out $line; echo err >&2; cat"], stdin_open=True)
        sock = self.attach(container)
        container.start()
        sock._sock.sendall(b"typed\n")
        frames = frames_iter(sock, tty=False)
        got = {}
        while len(got) < 2:
            stream, data = next(frames)
            got[stream] = got.get(stream, b"") + data
        self.assertEqual(got, {1: b"out typed\n", 2: b"err\n"})
        sock._sock.sendall(b"\x00\xff" * 40_000)
        sock._sock.shutdown(socket.SHUT_WR)
        rest = b"".join(data for _, data in frames)
        self.assertEqual(rest, b"\x00\xff" * 40_000)
        # Stdin stays open for others unless StdinOnce says otherwise.
        self.assertTrue(container.attrs["Config"]["OpenStdin"])
        self.remove(container.id)

    def test_attach_replays_the_log(self):
        container = self.start("sh -c 'echo hello; echo err >&2'")
        container.wait()
        both = container.attach(logs=True, stream=False)
        self.assertEqual(sorted(both.splitlines()), [b"err", b"hello"])
        self.assertEqual(container.attach(logs=True, stream=False, stderr=False), b"hello\n")
        demux = container.attach(logs=True, stream=False, demux=True)
        self.assertEqual(demux, (b"hello\n", b"err\n"))

    def test_detach_keys_leave_it_running(self):
        container = self.start("cat", stdin_open=True, tty=True)
        for keys, typed in ((None, b"\x10\x11"), ("ctrl-a,d", b"\x01d")):
            sock = self.attach(container, **({"detachKeys": keys} if keys else {}))
            sock._sock.sendall(b"abc" + typed)
            seen = b""
            while piece := sock._sock.recv(4096):
                seen += piece
            self.assertNotIn(typed, seen)
        execution = self.api.exec_create(container.id, "cat", stdin=True, tty=True)
        sock = self.api.exec_start(execution, tty=True, socket=True)
        sock._sock.settimeout(30)
        sock._sock.sendall(b"\x10")
        sock._sock.sendall(b"\x11")
        while sock._sock.recv(4096):
            pass
        sock.close()
        self.assertTrue(self.api.exec_inspect(execution)["Running"])
        container.reload()
        self.assertEqual(container.status, "running")

    def test_websocket_attach(self):
        container = self.create(["sh", "-c", "read line; echo got $line"], stdin_open=True)
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(os.environ["DOCKER_HOST"].removeprefix("unix://"))
        url = f"ws://localhost/v1.45/containers/{container.id}/attach/ws?stream=1&stdin=1&stdout=1&stderr=1"
        ws = websocket.WebSocket()
        ws.connect(url, socket=raw)
        container.start()
        ws.send_binary(b"frame\n")
        got = b""
        while not got.endswith(b"got frame\n"):
            piece = ws.recv()
            got += piece if isinstance(piece, bytes) else piece.encode()
        self.assertEqual(container.wait()["StatusCode"], 0)
        ws.close()

    def test_exec_in_all_its_forms(self):
        container = self.start("sleep 1000", environment={"OWN": "1"}, working_dir="/tmp")
        run = container.exec_run
        self.assertEqual(run("echo hi").output, b"hi\n")
        self.assertEqual(run(["sh", "-c", "echo o; echo e >&2; exit 4"], demux=True), (4, (b"o\n", b"e\n")))
        self.assertEqual(run("sh -c 'echo $OWN$MORE; pwd; id -u'", environment={"MORE": "2"}, workdir="/etc", user="nobody").output,
                         b"12\n/etc\n65534\n")
        self.assertEqual(b"".join(run("seq 3", stream=True).output), b"1\n2\n3\n")
        self.assertEqual(run("tty", tty=True).exit_code, 0)
        missing = run("nope")
        self.assertEqual(missing.exit_code, 127)
        self.assertIn(b"nope", missing.output)
        self.assertEqual(run("cat /etc", stdout=True, stderr=True).exit_code, 1)
        run("touch /tmp/detached", detach=True)
        eventually("the detached one ran", lambda: run("test -e /tmp/detached").exit_code == 0)
        self.refused(404, "No such exec instance", self.api.exec_inspect, "ab" * 32)

    def test_exec_speaks_as_its_start_says(self):
        """Frames follow the start's Tty, whatever the creation said."""
        container = self.start("sleep 1000")
        made = self.api.exec_create(container.id, ["printf", "framed"], tty=True)
        sock = self.api.exec_start(made, socket=True, tty=False)
        self.assertEqual(next_frame_header(sock), (1, 6))
        self.assertEqual(read_exactly(sock, 6), b"framed")
        sock.close()
        made = self.api.exec_create(container.id, "cat", stdin=True)
        sock = self.api.exec_start(made, socket=True)
        sock._sock.sendall(b"to and fro")
        sock._sock.shutdown(socket.SHUT_WR)
        self.assertEqual(b"".join(data for _, data in frames_iter(sock, tty=False)), b"to and fro")
        sock.close()
        eventually("it ended", lambda: not self.api.exec_inspect(made)["Running"])
        self.refused(409, "has already run", self.api.exec_start, made)
        made = self.api.exec_create(container.id, "sh -c 'sleep 0.5; stty size'", tty=True)
        sock = self.api.exec_start(made, socket=True, tty=True)
        self.api.exec_resize(made, height=21, width=43)
        sock._sock.settimeout(30)
        self.assertEqual(sock._sock.makefile("rb").read(), b"21 43\r\n")
        sock.close()

    def test_logs_are_cut_and_followed(self):
        container = self.start(["sh", "-c", "echo 1; echo 2 >&2; echo 3; read x; echo 4"], stdin_open=True)
        eventually("three lines", lambda: len(container.logs().splitlines()) == 3)
        self.assertEqual(container.logs(stderr=False), b"1\n3\n")
        self.assertEqual(container.logs(stdout=False), b"2\n")
        self.assertEqual(len(container.logs(tail=1).splitlines()), 1)
        self.assertEqual(container.logs(tail=0), b"")
        stamp, line = container.logs(stderr=False, timestamps=True).splitlines()[-1].split(b" ")
        self.assertEqual((len(stamp), line), (30, b"3"))
        moment = datetime.datetime.fromisoformat(stamp.decode()[:26])
        self.assertEqual(container.logs(until=moment - datetime.timedelta(hours=1)), b"")
        self.assertEqual(container.logs(since=moment + datetime.timedelta(hours=1)), b"")
        follow = container.logs(stream=True, follow=True)
        sock = self.attach(container, stdout=0, stderr=0)
        sock._sock.sendall(b"\n")
        self.assertEqual(b"".join(follow).splitlines()[-1], b"4")
        self.refused(400, "at least one stream", container.logs, stdout=False, stderr=False)

    def test_archives_go_in_and_out(self):
        container = self.create("sh -c 'cat /tmp/a'")
        self.assertTrue(container.put_archive("/tmp", tar_of(a=b"into a stopped one", b=b"B" * 70_000)))
        container.start()
        self.assertEqual(container.wait()["StatusCode"], 0)
        self.assertEqual(container.logs(), b"into a stopped one")
        chunks, stat = container.get_archive("/tmp/a")
        self.assertEqual((stat["name"], stat["size"], stat["linkTarget"]), ("a", 18, ""))
        self.assertTrue(stat["mtime"].startswith("2020-09-13"))
        entry = untar(chunks).getmember("a")
        self.assertEqual((entry.mode, entry.uid, entry.mtime), (0o640, 1234, 1_600_000_000))
        chunks, stat = container.get_archive("/tmp", chunk_size=512, encode_stream=True)
        self.assertEqual(sorted(untar(chunks).getnames()), ["tmp", "tmp/a", "tmp/b"])
        self.assertTrue(stat["mode"] & 1 << 31)
        self.refused(404, "Could not find the file /none", container.get_archive, "/none")
        self.refused(404, "Could not find the file /none", container.put_archive, "/none", tar_of(x=b""))
        self.refused(400, "", container.put_archive, "/tmp/a", tar_of(x=b""))
        self.refused(400, "", container.put_archive, "/tmp", b"no archive at all" * 100)

    def test_export_and_commit(self):
        container = self.start(["sh", "-c", "echo made > /made"])
        container.wait()
        exported = untar(container.export())
        self.assertEqual(exported.extractfile("made").read(), b"made\n")
        image = container.commit(repository="py-committed", tag="1", author="me", message="why",
                                 changes='CMD ["cat", "/made"]', conf={"Env": ["A=b"]})
        self.addCleanup(self.client.images.remove, "py-committed:1", force=True)
        self.assertEqual(self.client.containers.run(image.id, remove=True), b"made\n")
        self.assertEqual((image.attrs["Author"], image.attrs["Comment"]), ("me", "why"))
        self.assertIn("A=b", image.attrs["Config"]["Env"])


if __name__ == "__main__":
    unittest.main()
