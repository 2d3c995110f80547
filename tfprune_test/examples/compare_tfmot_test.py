"""Batches as the other Keras reads them, in a process with flags of its own."""

import os
import subprocess
import sys

from absl.testing import absltest

from tools import source_tree

CODE = """
import types

import compare_tfmot
import numpy as np

from tfprune.datasets import batches

split = batches.Split(np.zeros((8, 2, 2, 1)), np.arange(8))
ours, theirs = (
    batches.Batches(split, 4, batches.Preprocessing(), seed=0) for _ in "ab"
)
other = types.SimpleNamespace(utils=types.SimpleNamespace(Sequence=object))
data = compare_tfmot.sequence(theirs, other)
orders = []
for _ in range(3):
    ours.on_epoch_begin()
    pairs = [(ours[i][1], data[i][1]) for i in range(len(data))]
    data.on_epoch_end()
    for one, two in pairs:
        np.testing.assert_array_equal(one, two)
    orders.append(tuple(np.concatenate([one for one, _ in pairs])))
assert len(set(orders)) == 3, orders
"""


class SequenceTest(absltest.TestCase):
    def test_both_train_on_the_same_batches_in_every_epoch(self):
        done = subprocess.run(
            [sys.executable, "-c", CODE],
            cwd=source_tree.ROOT / "examples",
            env=os.environ | {"PYTHONPATH": str(source_tree.ROOT)},
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])


if __name__ == "__main__":
    absltest.main()
