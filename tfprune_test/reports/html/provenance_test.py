import importlib.metadata
import json
from unittest import mock

from absl.testing import absltest

from tfprune.reports.html import provenance


class EnvironmentTest(absltest.TestCase):
    def test_versions_are_those_that_the_packages_tell(self):
        import keras
        import numpy as np

        found = provenance.environment()
        self.assertEqual(found["versions"]["keras"], keras.__version__)
        self.assertEqual(found["versions"]["numpy"], np.__version__)
        self.assertEqual(
            found["versions"]["tfprune"],
            importlib.metadata.version("tfprune"),
        )

    def test_a_package_that_is_not_there_is_left_out(self):
        with mock.patch.object(
            provenance, "_PACKAGES", ("numpy", "no-such-thing")
        ):
            found = provenance.environment()
        self.assertEqual(list(found["versions"]), ["numpy"])

    def test_underscores_and_capitals_do_not_hide_a_package(self):
        class Found:
            name, version = "AI_Edge_LiteRT", "1.2"

        with mock.patch.object(
            importlib.metadata, "distributions", return_value=[Found]
        ):
            found = provenance.environment()
        self.assertEqual(found["versions"], {"ai-edge-litert": "1.2"})

    def test_leftovers_and_second_copies_do_not_count(self):
        found = [
            mock.Mock(version=None),
            *(mock.Mock(version=version) for version in ("2.1", "1.0")),
        ]
        for each, name in zip(found, (None, "torch", "torch"), strict=True):
            each.name = name
        with mock.patch.object(
            importlib.metadata, "distributions", return_value=found
        ):
            versions = provenance.environment()["versions"]
        self.assertEqual(versions, {"torch": "2.1"})

    def test_it_can_be_written_into_a_record(self):
        found = provenance.environment()
        self.assertEqual(json.loads(json.dumps(found)), found)
        self.assertRegex(found["machine"], r"^\w+ \w+, \d+ cores$")


if __name__ == "__main__":
    absltest.main()
