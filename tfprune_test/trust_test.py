"""The quick part of `benchmarks/trust.py`: some kills, some damaged files."""

import pathlib
import random
import sys
from unittest import mock

import pytest
from absl.testing import absltest

from tools import source_tree

sys.path.append(str(source_tree.ROOT / "benchmarks"))

import trust


class TrustTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def check(self, rows):
        for row in rows:
            self.assertEqual(row.tried, row.survived, row)

    def test_files_that_are_written_when_a_kill_comes(self):
        with mock.patch.object(trust, "KILLED", ("write",)):
            self.check(trust.kills(self.folder, random.Random(0), 2))

    def test_damaged_files(self):
        self.check(trust.damaged(self.folder, random.Random(0), 20, 25))

    def test_full_disks(self):
        self.check(trust.disks(self.folder))

    def test_several_at_once(self):
        self.check([trust.threads(self.folder), trust.two_at_once(self.folder)])

    @pytest.mark.slow
    def test_training_that_is_killed(self):
        with mock.patch.object(trust, "KILLED", ("fit", "pcas", "search")):
            self.check(trust.kills(self.folder, random.Random(0), 30))
