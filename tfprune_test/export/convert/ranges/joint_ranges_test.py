import pathlib
import warnings

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.export.file import model_file
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

OPS = keras.ops
X = np.random.default_rng(0).normal(size=(150, 8, 6)).astype("float32")


def dense(x):
    return keras.layers.Dense(4)(x)


def below(inputs, x):
    """A condition that reads what is chosen from."""
    del inputs
    return OPS.where(x > 0.3, 0.0, x)


def larger(inputs, x):
    return OPS.where(inputs[..., :4] > 0, x, 5 * x)


def smaller(inputs, x):
    return OPS.where(inputs[..., :4] > -9, x, 0.5 * x)


def of_two(inputs, x):
    return OPS.where(inputs[..., :4] > 0, dense(inputs), 5 * dense(inputs)) + x


def in_turn(inputs, x):
    """Choices of choices, whose ranges depend on each other."""
    y = OPS.where(inputs[..., :4] > 0, x, 2 * x)
    return OPS.where(inputs[..., 2:] > 0, y, x) + y


def largest(inputs, x):
    """A choice of what has a part of the range."""
    most = OPS.max(x, -1, keepdims=True)
    return OPS.where(inputs[..., :1] > -9, most, 0.0)


def mean_of_four(inputs, x):
    mean = keras.layers.AveragePooling1D(4)(x)
    return OPS.where(inputs[:, :2, :4] > -9, mean, 0.0)


def log_of_sum(inputs, x):
    del inputs
    return OPS.logsumexp(x, -1)


def log_of_choices(inputs, x):
    """Between two choices is a maximum, which has a part of the range."""
    return OPS.logsumexp(OPS.where(inputs[..., :1] > -1, x, 2 * x - 3), 1)


def limits_beyond_all(inputs, x):
    del inputs
    return OPS.clip(x, -1e9, 1e9) * OPS.maximum(-1e9, OPS.minimum(x, 1e9))


def padded(inputs, x):
    del inputs
    return OPS.pad(x, [[0, 0], [1, 1], [0, 0]], constant_values=30.0)


def beside_large(inputs, x):
    return OPS.concatenate([x, 50 * dense(inputs)], -1)


def stacked(inputs, x):
    return OPS.stack([x, 50 * dense(inputs)], 1)


def in_a_row(inputs, x):
    """What the last one parts is not parted before it."""
    y = OPS.concatenate([x, dense(inputs)], -1)
    return OPS.concatenate([y, 50 * dense(inputs)], -1)


def within_another(inputs, x):
    y = OPS.concatenate([x, 50 * dense(inputs)], -1)
    return OPS.concatenate([y, dense(inputs)], -1)


def of_a_choice(inputs, x):
    """What was parted for a choice, and what the choice is, is joined."""
    y = OPS.where(inputs[..., :4] > 0, x, 5 * x)
    return OPS.concatenate([y, 50 * dense(inputs)], -1) + OPS.concatenate(
        [x, y], -1
    )


def an_input(inputs, x):
    return OPS.concatenate([inputs, 50 * x], -1)


def beside_larger(inputs, x):
    return OPS.concatenate([x, 3 * dense(inputs)], -1)


class JointRangesTest(parameterized.TestCase):
    def exported(self, function, mode):
        """The ops of a file whose outputs are those of the model."""
        keras.utils.set_random_seed(0)
        inputs = keras.Input((8, 6))
        x = dense(inputs)
        model = keras.Model(inputs, [function(inputs, x), 1.5 * x])
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        small_models.export(model, path, mode, X)
        wanted = small_models.predictions(model, [X])
        found = interpreter.run(path, X, "micro")
        for one, other in zip(found, wanted, strict=True):
            off = np.abs(one - other) > 0.03 * np.ptp(other)
            # Conditions turn where numbers are near their limit.
            self.assertLess(off.mean(), 0.01)
        return model_file.read(path).ops

    @parameterized.product(
        function=[
            below,
            larger,
            of_two,
            largest,
            mean_of_four,
            log_of_sum,
            log_of_choices,
            limits_beyond_all,
            padded,
        ],
        mode=["int8", "int16x8"],
    )
    def test_nothing_is_clipped(self, function, mode):
        ops = self.exported(function, mode)
        if mode == "int8":
            self.assertNotIn("DEQUANTIZE", ops)

    def test_choices_of_choices(self):
        self.exported(in_turn, "int16x8")
        # In int8 they have one range.
        keras.utils.set_random_seed(0)
        inputs = keras.Input((8, 6))
        model = keras.Model(inputs, in_turn(inputs, dense(inputs)))
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        file = small_models.export(model, path, "int8", X)
        self.assertEqual(file.ops["SELECT_V2"], 2)

    @parameterized.parameters(
        beside_large, stacked, in_a_row, within_another, an_input
    )
    def test_what_is_joined_keeps_its_steps(self, function):
        ops = self.exported(function, "int8")
        self.assertEqual(ops["QUANTIZE"], 1)

    def test_what_is_chosen_and_joined(self):
        self.exported(of_a_choice, "int8")

    def test_what_has_nearly_its_steps_is_joined_as_it_is(self):
        ops = self.exported(beside_larger, "int8")
        self.assertNotIn("QUANTIZE", ops)

    def test_int4_has_ranges_from_elsewhere(self):
        pytest.importorskip("ai_edge_quantizer")
        keras.utils.set_random_seed(0)
        inputs = keras.Input((8, 6))
        x = dense(inputs)
        model = keras.Model(inputs, [below(inputs, x), 1.5 * x])
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        with warnings.catch_warnings():
            # "Input model is already partially quantized."
            warnings.simplefilter("error", UserWarning)
            small_models.export(model, path, "int4", X)
        found = interpreter.run(path, X, "litert")
        for one, other in zip(found, model(X), strict=True):
            off = np.abs(one - np.asarray(other)) > 0.1 * np.ptp(other)
            self.assertLess(off.mean(), 0.02)

    def test_a_choice_stays_one_op(self):
        ops = self.exported(larger, "int8")
        self.assertEqual(ops["SELECT_V2"], 1)
        # The condition's input, and the side that others read.
        self.assertLessEqual(ops.get("QUANTIZE", 0), 2)
        ops = self.exported(larger, "int16x8")
        self.assertNotIn("SELECT_V2", ops)
        ops = self.exported(smaller, "int16x8")
        self.assertEqual(ops["SELECT_V2"], 1)

    @parameterized.parameters("int8", "int16x8")
    def test_a_limit_with_more_axes_gives_them(self, mode):
        inputs = keras.Input((8, 6))
        limit = np.full((1, 1, 1, 1), 1e9, "float32")
        model = keras.Model(inputs, OPS.minimum(dense(inputs), limit))
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        file = small_models.export(model, path, mode, X)
        self.assertEqual(file.outputs[0].shape, (1, 1, 8, 4))


if __name__ == "__main__":
    parameterized.absltest.main()
