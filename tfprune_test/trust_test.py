"""The quick part of `benchmarks/trust.py`: some kills, some damaged files."""

import os
import pathlib
import sys
import time
from unittest import mock

import pytest
from absl.testing import absltest

from tools import source_tree

sys.path.append(str(source_tree.ROOT / "benchmarks"))

import trust
import trust_aimed
import trust_alone
import trust_files
import trust_journal
import trust_kills
import trust_places


class TrustTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.journal = trust_journal.Journal(self.folder / "state", 0)

    def check(self, *kinds):
        """Every trial survived, and there were some of each kind."""
        for row in self.journal.rows():
            self.assertEqual(row.tried, row.survived, row)
        for what in kinds:
            self.assertGreater(self.journal.count(what), 0, what)

    def kills(self, jobs, most):
        with mock.patch.object(trust_kills, "KILLED", jobs):
            trust_kills.kills(
                self.folder, self.journal, 0, time.time() + 600, most
            )
        self.check("killed: ")

    @pytest.mark.slow  # Each kill waits for a process that imports a backend.
    def test_files_that_are_written_when_a_kill_comes(self):
        self.kills(("write",), 2)

    def damaged(self, most, every):
        trust_files.damaged(self.folder, self.journal, 0, None, most, every)
        self.check("opened: model", "opened: folder", "opened: data")

    def test_damaged_and_hostile_files(self):
        self.damaged(6, every=False)

    @pytest.mark.slow
    def test_damaged_and_hostile_files_of_every_kind(self):
        self.damaged(45, every=True)
        self.check("opened: quantized", "opened: blanks")

    @pytest.mark.slow  # Processes that import Keras.
    def test_odd_places(self):
        if sys.platform != "linux" or os.geteuid():
            self.skipTest("mounts disks")
        trust_places.odd_places(self.folder, self.journal, ["bytes", "model"])
        self.check("written: a full disk", "written: a pipe")

    @pytest.mark.slow
    def test_several_at_once(self):
        trust.threads(self.folder, self.journal)
        trust.two_at_once(self.folder, self.journal, ("compress", "fit"))
        self.check("at once: ")

    @pytest.mark.slow
    def test_folders_that_are_exchanged(self):
        trust_aimed.firmware(self.folder / "firmware", self.journal, 4)
        trust_aimed.result(self.folder / "result", self.journal, 4)
        self.check("killed before a change on disk: ")

    @pytest.mark.slow
    def test_children_end_and_nothing_is_fetched(self):
        if sys.platform != "linux" or os.geteuid():
            self.skipTest("takes the network away")
        trust_alone.network(self.folder, self.journal)
        trust_alone.orphans(self.folder / "orphans", self.journal, 0, 2)
        self.check("network: ", "orphans: exports", "orphans: what they left")

    def test_a_run_that_was_cut_off_goes_on(self):
        self.journal.add("a", True)
        self.journal.add("a", False, "odd")
        self.journal.keep("b", [1])
        with open(self.folder / "state" / "trials.jsonl", "a") as file:
            file.write('{"what": "a", "surv')
        again = trust_journal.Journal(self.folder / "state", 0)
        self.assertEqual(again.rows(), [trust_journal.Row("a", 2, 1, "odd")])
        self.assertEqual(again.kept("b"), [1])
        other = trust_journal.Journal(self.folder / "state", 1)
        self.assertEmpty(other.rows())

    @pytest.mark.slow
    def test_runs_that_are_killed(self):
        self.kills(("fit", "pcas", "search", "compress"), 12)


if __name__ == "__main__":
    absltest.main()
