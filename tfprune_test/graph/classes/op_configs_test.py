import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.graph.classes import op_configs
from tfprune_test import exactness

LAYERS = keras.layers
OPS = keras.ops


class Head(LAYERS.Layer):
    """A block whose sizes and limits are numbers of numpy."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = LAYERS.Conv2D(6, 3)
        self.dense = LAYERS.Dense(5)

    def call(self, x):
        x = OPS.clip(self.conv(x), np.float32(0), np.float32(6))
        return self.dense(OPS.reshape(x, (-1, np.prod(x.shape[1:]))))


class Scaled(keras.Operation):
    """An op that keeps its setting by another name."""

    def __init__(self, factor=1.0, *, name=None):
        super().__init__(name=name)
        self._times = factor

    def call(self, x):
        return x * self._times

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


class Mapped(LAYERS.Layer):
    def call(self, x):
        return OPS.map(twice, x)


def twice(x):
    return x * 2


def summed(total, x):
    return total + x, total


def functional(ops, size=3):
    """A model of some ops between two layers."""
    inputs = keras.Input((6, 6, 2))
    x = LAYERS.GlobalAveragePooling2D()(ops(LAYERS.Conv2D(6, size)(inputs)))
    return keras.Model(inputs, LAYERS.Dense(2)(x))


def of_a_layer():
    inputs = keras.Input((6, 6, 2))
    return keras.Model(inputs, LAYERS.Dense(2)(Head()(inputs)))


def of_a_shared_layer():
    """A nested model with such an op that shares its layer with the outer."""
    shared, clip = LAYERS.Conv2D(6, 3, padding="same"), np.float32(0.3)
    inside = keras.Input((6, 6, 6))
    inner = keras.Model(inside, OPS.clip(shared(inside), -clip, clip))
    return functional(lambda x: inner(shared(inner(x))), size=1)


class OpConfigsTest(parameterized.TestCase):
    @parameterized.parameters(
        of_a_shared_layer,
        lambda: functional(lambda x: OPS.clip(x, np.float32(0), np.ones(()))),
        lambda: functional(lambda x: OPS.reshape(x, (-1, np.int64(16), 1, 6))),
        of_a_layer,
    )
    def test_numbers_of_numpy_become_plain(self, build):
        model = build()
        found = exactness.strip_masked(model)
        self.assertEmpty(exactness.faults(found))
        self.assertGreater(found.removed, 0)

    @parameterized.parameters(
        (lambda x: OPS.repeat(x, np.array([1, 2, 1, 3, 1, 1]), -1), True),
        (lambda x: OPS.pad(x, np.array([(0, 0), (1, 1), *[(0, 0)] * 2])), True),
        (lambda x: OPS.clip(x, np.zeros(6, "float32"), 6), False),
        (lambda x: OPS.nan_to_num(x, np.ones(6, "float32")), False),
    )
    def test_arrays_become_lists(self, ops, removes):
        found = exactness.strip_masked(functional(ops))
        self.assertEmpty(exactness.faults(found))
        self.assertEqual(found.removed > 0, removes)

    def test_a_setting_that_is_kept_by_another_name(self):
        model = functional(lambda x: Scaled(np.float32(3)).symbolic_call(x))
        with self.assertRaisesRegex(ValueError, "of class Scaled, "):
            read.channel_graph(model)

    @parameterized.parameters(
        (lambda x: OPS.map(twice, x), "Map"),
        (lambda x: OPS.vectorized_map(twice, x), "VectorizedMap"),
        (lambda x: OPS.switch(1, [twice, twice], x), "Switch"),
        (lambda x: OPS.scan(summed, OPS.zeros((4, 4, 6)), x)[1], "Scan"),
        (lambda x: OPS.fori_loop(0, 3, lambda i, x: x * i, x), "ForiLoop"),
    )
    def test_a_function_is_refused_by_name(self, ops, name):
        model = functional(ops)
        for reads in (read.channel_graph, op_configs.check):
            with self.assertRaisesRegex(ValueError, f"of class {name}, which"):
                reads(model)

    def test_a_layer_that_takes_a_function(self):
        found = exactness.strip_masked(functional(lambda x: Mapped()(x)))
        self.assertEmpty(exactness.faults(found))

    def test_a_model_that_keras_cannot_save(self):
        plain = functional(lambda x: OPS.clip(x, 0, 6))
        op_configs.check(plain)
        inner = functional(lambda x: OPS.clip(x, np.float32(0), 6))
        inputs = keras.Input((6, 6, 2))
        with self.assertRaisesRegex(ValueError, r"as by float\(\)"):
            op_configs.check(keras.Model(inputs, inner(inputs)))


if __name__ == "__main__":
    absltest.main()
