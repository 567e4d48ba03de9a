"""Images, networks and volumes, as far as a program sees them beside its containers."""

import io
import tarfile
import unittest

import docker
from docker.types import EndpointConfig, IPAMConfig, IPAMPool, Mount

from common import IMAGE, Scenario, eventually


class Stores(Scenario):
    def network(self, name, **options):
        network = self.client.networks.create(name, **options)
        self.addCleanup(network.remove)
        return network

    def volume(self, name, **options):
        volume = self.client.volumes.create(name, **options)
        self.addCleanup(volume.remove, force=True)
        return volume

    def test_images(self):
        image = self.client.images.get(IMAGE)
        self.assertTrue(image.tag("py/copy", tag="2"))
        self.addCleanup(lambda: self.client.images.list("py/copy") and self.client.images.remove("py/copy:2"))
        self.assertEqual([i.id for i in self.client.images.list("py/copy")], [image.id])
        self.assertEqual(self.client.images.list(filters={"reference": "py/*"})[0].id, image.id)
        image.reload()
        saved = b"".join(image.save(named="py/copy:2"))
        self.client.images.remove("py/copy:2")
        with self.assertRaises(docker.errors.ImageNotFound):
            self.client.images.get("py/copy:2")
        self.assertEqual([i.id for i in self.client.images.load(saved)], [image.id])
        self.assertIn("py/copy:2", self.client.images.get(image.id).attrs["RepoTags"])
        self.assertTrue(image.history()[0]["Id"])
        pulled = self.client.images.pull(IMAGE)
        self.assertEqual(pulled.id, image.id)
        context = io.BytesIO(f"FROM {IMAGE}\nRUN echo built > /built\nLABEL py=built\nCMD cat /built\n".encode())
        built, log = self.client.images.build(fileobj=context, tag="py/built:1", rm=True)
        self.addCleanup(self.client.images.remove, "py/built:1", force=True)
        self.assertTrue(any("Successfully built" in line.get("stream", "") for line in log))
        self.assertEqual(self.client.containers.run("py/built:1", remove=True), b"built\n")
        self.assertEqual([i.id for i in self.client.images.list(filters={"label": "py=built"})], [built.id])
        with self.assertRaises(docker.errors.BuildError):
            self.client.images.build(fileobj=io.BytesIO(f"FROM {IMAGE}\nRUN exit 3\n".encode()))

    def test_registry_data(self):
        data = self.client.images.get_registry_data(IMAGE)
        self.assertTrue(data.id.startswith("sha256:"))
        self.assertTrue(data.has_platform("linux/amd64") or data.has_platform("linux/arm64"))
        self.assertIn(f"{IMAGE.rsplit(':', 1)[0]}@{data.id}", self.client.images.get(IMAGE).attrs["RepoDigests"])
        self.refused(404, "", self.client.images.get_registry_data, IMAGE.rsplit(":", 1)[0] + ":none")

    def test_networks(self):
        pool = IPAMPool(subnet="10.123.0.0/24", gateway="10.123.0.1")
        one = self.network("py-one", driver="bridge", ipam=IPAMConfig(pool_configs=[pool]), labels={"py": "net"})
        two = self.network("py-two", internal=True)
        self.assertEqual([n.id for n in self.client.networks.list(filters={"label": "py=net"})], [one.id])
        self.refused(409, "already exists", self.client.networks.create, "py-one", check_duplicate=True)
        endpoint = self.api.create_endpoint_config(ipv4_address="10.123.0.77", aliases=["db"])
        config = self.api.create_networking_config({"py-one": endpoint})
        made = self.api.create_container(IMAGE, "sleep 1000", name="py-db", networking_config=config,
                                         host_config=self.api.create_host_config(network_mode="py-one"))
        self.addCleanup(self.remove, made["Id"])
        self.api.start(made["Id"])
        reader = self.start("sleep 1000", network="py-one")
        self.assertIn(b"10.123.0.77", reader.exec_run("nslookup db").output)
        # Names of one's own for others, as compose makes them of `links`.
        linked = self.start("sleep 1000", name="py-linked", network="py-two")
        one.connect(linked, links=[("py-db", "mine")])
        linked.reload()
        self.assertEqual(linked.attrs["NetworkSettings"]["Networks"]["py-one"]["Links"], ["py-db:mine"])
        self.assertIn(b"10.123.0.77", linked.exec_run("ping -c 1 -W 5 mine").output)
        one.reload()
        self.assertEqual(len(one.containers), 3)
        one.disconnect(linked)
        self.assertEqual(linked.exec_run("ping -c 1 -W 5 mine").exit_code, 1)
        for force in (False, True):
            self.refused(403, "is not connected", one.disconnect, linked, force=force)
        self.refused(403, "active endpoints", one.remove)
        self.refused(404, "network none-such not found", self.client.networks.get, "none-such")
        for container in (made["Id"], reader.id, linked.id):
            self.remove(container)

    def test_volumes(self):
        volume = self.volume("py-data", labels={"py": "volume"})
        self.assertEqual([v.name for v in self.client.volumes.list(filters={"label": "py=volume"})], ["py-data"])
        write = ["sh", "-c", "echo kept > /data/file"]
        self.client.containers.run(IMAGE, write, remove=True, volumes={"py-data": {"bind": "/data", "mode": "rw"}})
        mount = Mount("/see", "py-data", read_only=True)
        read = self.start(["sh", "-c", "cat /see/file; touch /see/x || sleep 1000"], mounts=[mount])
        eventually("it read", lambda: b"kept\n" in read.logs(stderr=False))
        self.assertIn(b"Read-only file system", eventually("it failed", lambda: read.logs(stdout=False)))
        self.refused(409, "volume is in use", volume.remove)
        self.assertEqual(self.client.df()["Volumes"][0]["UsageData"]["RefCount"], 1)
        self.remove(read.id)
        anonymous = self.create("true", volumes=["/anonymous"])
        name = self.client.api.inspect_container(anonymous.id)["Mounts"][0]["Name"]
        anonymous.remove()
        self.assertIn(name, self.client.volumes.prune()["VolumesDeleted"])
        self.refused(404, "no such volume", self.client.volumes.get, name)

    def test_the_engine_itself(self):
        self.assertTrue(self.client.ping())
        self.assertEqual(self.client.version()["Os"], "linux")
        self.assertGreaterEqual(self.client.info()["Containers"], 0)
        df = self.client.df()
        self.assertTrue({"Images", "Containers", "Volumes", "LayersSize"} <= df.keys())
        self.refused(503, "not a swarm manager", self.client.services.list)
        self.assertEqual(self.client.plugins.list(), [])


if __name__ == "__main__":
    unittest.main()
