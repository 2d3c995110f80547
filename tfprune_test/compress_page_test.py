"""The verdicts on the page of `benchmarks/compress.py`."""

import pathlib
import sys

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tools import source_tree

sys.path.append(str(source_tree.ROOT / "benchmarks"))

import compress_page

# Right answers of 359, with the same sum, whose means differ by rounding.
SAME_SUMS = ((350, 351, 358), (350, 353, 356))


def figures(*args, **kwargs):
    return compress_page.figures(rows(*args, **kwargs))


def rows(way, tests, file_bytes=100, task="digits", share=0.5):
    """A row for each seed; validation is a tenth lower than test."""
    return [
        {
            "task": task,
            "share": share,
            "way": way,
            "seed": seed,
            "test": test,
            "validation": test - 0.1,
            "file_bytes": file_bytes,
        }
        for seed, test in enumerate(tests)
    ]


class FiguresTest(absltest.TestCase):
    def test_seeds_that_ran_elsewhere_are_joined(self):
        every = rows("mine", [0.8, 0.9, 0.7])
        (whole,) = compress_page.figures(every)
        for count in (1, 2):
            known = compress_page.figures(every[:count])
            (joined,) = compress_page.figures(every[count:], known)
            self.assertEqual(joined.seeds, whole.seeds)
            self.assertAlmostEqual(joined.test, whole.test)
            self.assertAlmostEqual(joined.spread, whole.spread)

    def test_a_cell_that_runs_again_is_replaced(self):
        known = figures("mine", [0.8, 0.9])
        (again,) = compress_page.figures(rows("mine", [0.6, 0.7]), known)
        self.assertAlmostEqual(again.test, 0.65)
        with self.assertRaisesRegex(ValueError, r"Received: seeds=\(0,\)"):
            compress_page.figures(rows("mine", [0.6]), known)

    def test_other_tasks_keep_their_place(self):
        known = figures("mine", [0.8]) + figures("mine", [0.7], task="kws")
        found = compress_page.figures(rows("theirs", [0.9]), known)
        told = [(figure.task, figure.way) for figure in found]
        self.assertEqual(
            told, [("digits", "mine"), ("digits", "theirs"), ("kws", "mine")]
        )

    def test_a_file_has_them_all(self):
        found = figures("mine", [0.8, 0.9]) + figures("theirs", [0.7])
        path = pathlib.Path(self.create_tempdir()) / "figures.json"
        self.assertEqual(compress_page.read(path), [])
        compress_page.write(found, path)
        self.assertEqual(compress_page.read(path), found)


class VerdictsTest(parameterized.TestCase):
    @parameterized.parameters(
        ([0.8, 0.9], "ahead"),
        ([0.85, 0.85], "ahead"),
        ([0.82, 0.9], "within the spread"),
        ([0.91, 0.92], "within the spread"),
        ([0.95, 0.96], "behind"),
    )
    def test_means_beside_the_larger_spread(self, tests, verdict):
        found = figures("mine", [0.8, 0.9]) + figures("theirs", tests)
        told = compress_page.verdicts(found, "mine", ["theirs"])
        self.assertEqual(told, {"theirs": [("digits", 0.5, verdict)]})

    def test_as_many_right_answers_are_level(self):
        mine, theirs = ([n / 359 for n in right] for right in SAME_SUMS)
        self.assertLess(np.mean(mine), np.mean(theirs))
        found = figures("mine", mine) + figures("theirs", theirs)
        told = compress_page.verdicts(found, "mine", ["theirs"])
        self.assertEqual(told["theirs"][0][2], "ahead")

    def test_larger_files_do_not_compare(self):
        for file_bytes, verdict in ((110, "behind"), (111, "larger")):
            found = figures("mine", [0.8]) + figures(
                "theirs", [0.9], file_bytes
            )
            told = compress_page.verdicts(found, "mine", ["theirs"])
            self.assertEqual(told["theirs"], [("digits", 0.5, verdict)])

    def test_other_seeds_do_not_compare(self):
        found = figures("mine", [0.8, 0.0]) + figures("theirs", [0.7])
        told = compress_page.verdicts(found, "mine", ["theirs"])
        self.assertEqual(told, {"theirs": []})

    def test_summary(self):
        found = figures("mine", [0.8]) + figures("theirs", [0.9])
        found += figures("mine", [0.8], share=0.1)
        found += figures("theirs", [0.7], share=0.1)
        told = compress_page.verdicts(found, "mine", ["theirs"])
        self.assertEqual(
            compress_page.summary(told),
            "- theirs: 1 of 2 cells ahead; behind: digits 50%.\n"
            "- In 1 of 2 cells (50%) no control that compares is ahead.",
        )


class VariantsTest(absltest.TestCase):
    def test_differences_of_validation(self):
        found = rows("mine", [0.8, 0.9]) + rows("other", [0.83, 0.89])
        found += rows("mine", [0.5], task="keywords")
        found += rows("other", [0.6], task="keywords")
        found += rows("mine", [0.5], task="gestures")
        table = compress_page.variants(found, "mine", ["other", "missing"])
        self.assertEqual(
            table.header, ("variant", "digits", "keywords", "better", "worse")
        )
        self.assertEqual(
            table.rows,
            (
                (
                    "other",
                    "+0.0100 ± 0.0200",
                    "+0.1000 ± 0.0000",
                    "2",
                    "1",
                ),
            ),
        )


if __name__ == "__main__":
    absltest.main()
