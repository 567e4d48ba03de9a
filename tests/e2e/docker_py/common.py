"""What the scenarios share: a client, an image, containers that go away with the test."""

import os
import time
import unittest

import docker

IMAGE = os.environ["HYTHE_TEST_IMAGE"]


def eventually(what, condition, limit=30):
    start = time.monotonic()
    while not (answer := condition()):
        assert time.monotonic() - start < limit, what
        time.sleep(0.02)
    return answer


class Scenario(unittest.TestCase):
    def setUp(self):
        self.client = docker.from_env()
        self.api = self.client.api
        self.addCleanup(self.client.close)

    def create(self, command, **options):
        container = self.client.containers.create(IMAGE, command, **options)
        self.addCleanup(self.remove, container.id)
        return container

    def start(self, command, **options):
        container = self.create(command, **options)
        container.start()
        return container

    def remove(self, container):
        try:
            self.api.remove_container(container, v=True, force=True)
        except docker.errors.NotFound:
            pass

    def refused(self, status, words, call, *arguments, **options):
        with self.assertRaises(docker.errors.APIError) as caught:
            call(*arguments, **options)
        self.assertEqual(caught.exception.status_code, status)
        self.assertIn(words, caught.exception.explanation)
