"""Masked attention in quantized files, against Keras."""

import pathlib

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.run import interpreter
from tfprune_test.export import small_models

LAYERS, OPS = keras.layers, keras.ops
LENGTH, WIDTH = 10, 8
FUTURE = np.triu(np.ones((LENGTH, LENGTH), "float32"), 1)
FIRST = (np.arange(LENGTH) < 6).astype("float32")
FAR = -np.abs(np.arange(LENGTH)[:, None] - np.arange(LENGTH)) / 2.0


def keys(x):
    """Which positions count."""
    return OPS.cast(OPS.greater(x[:, :, 0], 0), "float32")[:, None, :]


def attend(x, mask):
    scores = OPS.matmul(x, OPS.transpose(x, (0, 2, 1)))
    return OPS.matmul(OPS.softmax(mask(x, scores)), x)


def heads(x, **options):
    return LAYERS.MultiHeadAttention(2, 4)(x, x, **options)


def plus(number):
    return lambda x: attend(x, lambda x, s: s + (1 - keys(x)) * number)


def constant(array):
    array = array.astype("float32")
    return lambda x: attend(x, lambda _, s: s + array)


NETWORKS = {
    "causal": lambda x: heads(x, use_causal_mask=True),
    "padding": lambda x: heads(LAYERS.Masking()(x)),
    "both": lambda x: heads(LAYERS.Masking()(x), use_causal_mask=True),
    "attention": lambda x: LAYERS.Attention()([x, x], use_causal_mask=True),
    "softmax": lambda x: attend(
        x, lambda x, s: OPS.where(keys(x) > 0.5, s, -1e9)
    ),
    "largest": lambda x: attend(
        x, lambda x, s: OPS.where(keys(x) < 0.5, np.float32(-3e38), s)
    ),
    "added": plus(-1e9),
    "added more": plus(-3e4),
    "added to the other side": lambda x: attend(
        x, lambda x, s: (keys(x) - 1) * 1e9 + s
    ),
    "subtracted": lambda x: attend(x, lambda x, s: s - (1 - keys(x)) * 1e9),
    "added twice": lambda x: attend(
        x, lambda x, s: s + np.float32(-1e9) * FUTURE + (1 - keys(x)) * -1e9
    ),
    "two in one": lambda x: attend(
        x, lambda x, s: s + (3 - keys(x) - 2 * FIRST) * -1e9
    ),
    "another axis": lambda x: (
        x * OPS.softmax(OPS.where(keys(x)[:, 0, :, None] > 0, x, -1e9), axis=1)
    ),
    "four digits": lambda x: attend(
        x, lambda x, s: OPS.where(keys(x) > 0.5, s, -9999.0)
    ),
    "constant": constant(-1e9 * FUTURE),
    "infinite": constant(np.where(FUTURE, -np.inf, 0)),
    "with distances": constant(FAR - 1e9 * FUTURE),
    "maximum": lambda x: LAYERS.Dense(3)(
        OPS.max(OPS.where(keys(x)[:, 0, :, None] > 0, x, -1e9), 1)
    ),
    "padding of a maximum": lambda x: LAYERS.MaxPooling1D(3, 1)(
        OPS.pad(x, ((0, 0), (1, 1), (0, 0)), constant_values=-np.inf)
    ),
    "maximum of a sum": lambda x: OPS.max(
        x - (1 - keys(x)[:, 0, :, None]) * 1e9, 1
    ),
    "minimum": lambda x: OPS.min(
        OPS.where(keys(x)[:, 0, :, None] > 0, x, 1e9), 1
    ),
    "minimum of a sum": lambda x: OPS.min(
        x + (1 - keys(x)[:, 0, :, None]) * 1e9, 1
    ),
    "minimum of a difference": lambda x: OPS.min(
        x - (1 - keys(x)[:, 0, :, None]) * -1e9, 1
    ),
    "minimum with distances": lambda x: OPS.min(
        x[:, :, :1] + (1e9 * FUTURE - FAR).astype("float32"), 1
    ),
    "both ends": lambda x: (
        OPS.max(OPS.where(keys(x)[:, 0, :, None] > 0, x, -1e9), 1)
        - OPS.min(OPS.where(keys(x)[:, 0, :, None] > 0, x, 1e9), 1)
    ),
    "smallest position": lambda x: OPS.cast(
        OPS.argmin(x * 3 + (1 - keys(x)[:, 0, :, None]) * 1e9, 1), "float32"
    ),
    "largest position": lambda x: OPS.cast(
        OPS.argmax(x * 3 + (1 - keys(x)[:, 0, :, None]) * -1e9, 1), "float32"
    ),
    "minus distances": lambda x: attend(
        x, lambda _, s: s - np.float32(1e9 * FUTURE - FAR)
    ),
}


def masked(x):
    return OPS.where(keys(x)[:, 0, :, None] > 0, x, -1e9)


def own_softmax(x):
    weights = OPS.exp(x - OPS.max(x, 1, keepdims=True))
    return weights / OPS.sum(weights, 1, keepdims=True)


READERS = {
    "sigmoid": lambda x: OPS.sigmoid(masked(x)),
    "tanh": lambda x: OPS.tanh(masked(x)),
    "relu": lambda x: OPS.relu(masked(x)),
    "elu": lambda x: OPS.elu(masked(x)),
    "exp": lambda x: OPS.exp(masked(x)),
    "maximum": lambda x: OPS.maximum(masked(x), -0.5),
    "clip": lambda x: OPS.clip(masked(x), -1, 1),
    "softmax of its own": lambda x: own_softmax(masked(x)),
    "logsumexp": lambda x: OPS.logsumexp(masked(x), 1),
    "added": lambda x: OPS.sigmoid(x - (1 - keys(x)[:, 0, :, None]) * 1e9),
    "from above": lambda x: OPS.sigmoid(
        OPS.where(keys(x)[:, 0, :, None] > 0, x, 1e9)
    ),
    "a softmax and another": lambda x: (
        OPS.softmax(masked(x + 20), 1) + OPS.relu(masked(x + 20)) / 10
    ),
    "two": lambda x: OPS.sigmoid(masked(x)) + OPS.relu(masked(x)),
}

TWICE = {
    "chosen": lambda x: OPS.where(keys(x)[:, 0, :, None] > 0, x, -1e9),
    "added": lambda x: x + (1 - keys(x)[:, 0, :, None]) * -1e9,
}


class MaskedScoresTest(parameterized.TestCase):
    def check(self, function, mode, runtime="micro"):
        """By how much the outputs of a file are off, of their deviation."""
        found, wanted = self.outputs(function, mode, runtime)
        return np.sqrt(np.square(found - wanted).mean()) / wanted.std()

    def outputs(self, function, mode, runtime="micro"):
        """The outputs of a file, and those of Keras."""
        keras.utils.set_random_seed(0)
        inputs = keras.Input((LENGTH, WIDTH))
        model = keras.Model(inputs, function(inputs))
        rng = np.random.default_rng(1)
        for weight in model.weights:
            if len(weight.shape) > 1:
                weight.assign(weight + 0.6 * rng.normal(size=weight.shape))
        x = rng.normal(size=(64, LENGTH, WIDTH)).astype("float32")
        # Far from where a step makes a difference to the mask.
        x[:, :, 0] += 0.2 * np.sign(x[:, :, 0])
        x[:32, 6:], x[:, 0, 0] = 0, 1
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        small_models.export(model, path, mode, x, runtime=runtime)
        wanted = model.predict(x, verbose=0)
        return interpreter.run(path, x, runtime), wanted

    @parameterized.product(name=sorted(NETWORKS), mode=("int8", "int16x8"))
    def test_scores_keep_their_steps(self, name, mode):
        # Positions of nearly equal values may change places.
        most = 0.3 if name.endswith("position") else 0.06
        self.assertLess(self.check(NETWORKS[name], mode), most)

    @parameterized.product(name=sorted(READERS), mode=("int8", "int16x8"))
    def test_whatever_reads_them(self, name, mode):
        self.assertLess(self.check(READERS[name], mode), 0.06)

    def test_an_output_stays_masked(self):
        def function(x):
            scores = masked(x)
            return OPS.concatenate([OPS.sigmoid(scores), 2 * scores], -1)

        def both(x):
            scores = masked(x)
            return [OPS.sigmoid(scores), scores]

        found, wanted = self.outputs(both, "int8")
        np.testing.assert_allclose(found[0], wanted[0], atol=0.02)
        self.assertTrue(((found[1] < -1e8) == (wanted[1] < -1e8)).all())
        # Nothing tells a penalty from a mask.
        found, wanted = self.outputs(function, "int16x8", "tflite")
        self.assertTrue(((found < -1e8) == (wanted < -1e8)).all())

    def test_a_penalty_of_later_samples_stays(self):
        def function(x):
            # The first half of the samples has zeros there.
            return OPS.relu(OPS.where(x[:, 6:7, :1] > 0.1, 1e6, x))

        found, wanted = self.outputs(function, "int8")
        self.assertTrue(((found > 5e5) == (wanted > 5e5)).all())

    @parameterized.product(mask=sorted(TWICE), mode=("int8", "int16x8"))
    def test_scores_that_are_read_twice(self, mask, mode):
        def function(x):
            scores = TWICE[mask](x)
            weights = OPS.softmax(scores, axis=1)
            return weights + OPS.softmax(2 * x, 1) * OPS.max(scores, 1, True)

        self.assertLess(self.check(function, mode), 0.06)

    @parameterized.product(mask=sorted(TWICE), mode=("int8", "int16x8"))
    def test_a_minimum_of_scores_that_a_softmax_reads(self, mask, mode):
        def function(x):
            scores = TWICE[mask](x)
            is_known = keys(x)[:, 0, :, None] > 0
            least = OPS.min(OPS.where(is_known, scores, 1e9), 1, True)
            return OPS.softmax(scores, axis=1) + least

        self.assertLess(self.check(function, mode), 0.06)

    def test_whole_numbers_are_no_scores(self):
        def function(x):
            whole = OPS.cast(x * 4, "int32")
            chosen = OPS.where(x > 0.5, whole, whole + 1)
            most = OPS.cast(OPS.max(chosen, 1), "float32")
            return attend(x, lambda _, s: s - 1e9 * FUTURE) + most[:, None]

        # TFLite Micro has no maximum of integers.
        self.assertLess(self.check(function, "int8", "tflite"), 0.3)

    def test_beside_a_fused_lstm(self):
        def function(x):
            return LAYERS.LSTM(6)(heads(x, use_causal_mask=True))

        self.assertLess(self.check(function, "int8"), 0.2)

    def test_what_else_is_huge_stays(self):
        def function(x):
            scale = np.linspace(-1, 1, WIDTH, dtype="float32") * 5e4
            return OPS.softmax((x * 1e4 + scale) / 5e4)

        self.assertLess(self.check(function, "int16x8"), 0.01)


if __name__ == "__main__":
    absltest.main()
