"""Methods that stop to learn in the middle of `fit`."""

import importlib.util

import keras
import numpy as np
import pytest
from absl.testing import absltest

import tfprune
from tfprune.graph import values
from tfprune.sparsity import wrapper
from tools import source_tree

pytestmark = [pytest.mark.any_backend, pytest.mark.jax]


def example():
    path = source_tree.ROOT / "examples" / "stopping.py"
    spec = importlib.util.spec_from_file_location("stopping", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class HeldTest(absltest.TestCase):
    def test_what_is_held_stays_in_each_step_of_fit(self):
        stopping = example()
        inputs = keras.Input((6,))
        model = keras.Model(inputs, keras.layers.Dense(4)(inputs))
        wrapped = tfprune.wrap(
            model, tfprune.methods.SoftThreshold(-1.0, decay=0.1)
        )
        wrapped.compile(keras.optimizers.SGD(0.1), "mse")
        before = [np.array(values.numpy(v)) for v in wrapper.learned(wrapped)]
        # From the first step on, after which the learned state is held.
        held = stopping.WhenPruned(wrapped, 1.0, stopping.Held)
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(24, 6)), rng.normal(size=(24, 4))
        wrapped.fit(x[:4], y[:4], verbose=0, callbacks=[held])
        first = [np.array(values.numpy(v)) for v in wrapper.learned(wrapped)]
        self.assertNotAlmostEqual(float(first[0]), float(before[0]))
        wrapped.fit(x, y, batch_size=4, verbose=0, callbacks=[held])
        for variable, value in zip(
            wrapper.learned(wrapped), first, strict=True
        ):
            np.testing.assert_array_equal(values.numpy(variable), value)


if __name__ == "__main__":
    absltest.main()
