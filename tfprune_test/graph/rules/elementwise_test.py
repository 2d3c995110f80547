import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.graph import rulebook
from tfprune.graph.rules import activation
from tfprune_test import exactness
from tfprune_test import models

LAYERS = keras.layers
OPS = keras.ops


def unary_ops():
    """Ops of `keras.ops` that run on one tensor, by the class they become."""
    x = keras.Input((4,))
    found = {}
    for name in sorted(dir(keras.ops)):
        function = getattr(keras.ops, name)
        if name.startswith("_") or not callable(function):
            continue
        arguments = ("float32",) if name.endswith("cast") else ()
        try:
            y = function(x, *arguments)
            (entry,) = keras.Model(x, y).get_config()["layers"][1:]
        except Exception:
            continue
        found[rulebook.name_of(entry)] = function, arguments
    return found


class ElementwiseTest(exactness.ExactnessTestCase):
    @parameterized.named_parameters(
        ("relu", lambda x: LAYERS.ReLU(max_value=2.0)(x)),
        ("leaky", lambda x: LAYERS.LeakyReLU()(x)),
        ("elu", lambda x: LAYERS.ELU()(x)),
        ("activation", lambda x: LAYERS.Activation("mish")(x)),
        ("identity", lambda x: LAYERS.Identity()(x)),
        ("dropout", lambda x: LAYERS.SpatialDropout2D(0.5)(x)),
        ("noise", lambda x: LAYERS.GaussianNoise(0.5)(x)),
        ("rescaling", lambda x: LAYERS.Rescaling(2.0, 1.0)(x)),
        ("flip", lambda x: LAYERS.RandomFlip()(x)),
        ("ops", lambda x: keras.ops.sqrt(keras.ops.square(x) + 1.0)),
        ("numbers", lambda x: 1.0 - x * 2.0 / 3.0),
        ("power", lambda x: keras.ops.abs(x) ** 1.5),
        ("cast", lambda x: keras.ops.cast(x, "float32")),
        ("clip", lambda x: keras.ops.clip(x, -1.0, 0.5)),
        ("converted", lambda x: keras.ops.convert_to_tensor(x)),
        ("saturated", lambda x: keras.ops.saturate_cast(x, "float32")),
        ("compare", lambda x: keras.ops.where(x > 0.1, x, -1.0)),
    )
    def test_channels_pass(self, body):
        model = models.around(lambda x: LAYERS.Conv2D(6, 1)(body(x)))
        found = self.assert_exact(model, silence=0.2)
        self.assertEqual(int(found.graph.removable.sum()), 6 + 6 + 4)

    @parameterized.named_parameters(
        ("softmax", lambda x: LAYERS.Softmax()(x)),
        ("softmax_of_all", lambda x: LAYERS.Softmax(axis=[1, 2, 3])(x)),
        ("log_softmax", lambda x: keras.ops.log_softmax(x)),
        ("arrays", lambda x: LAYERS.Rescaling([1.0, 2, 3, 4, 5, 6])(x)),
        ("limits", lambda x: keras.ops.clip(x, [-0.5] * 6, [0.5] * 6)),
        ("offsets", lambda x: LAYERS.Rescaling(1.0, [1.0, 2, 3, 4, 5, 6])(x)),
    )
    def test_channels_that_meet_are_kept(self, body):
        model = models.around(body)
        found = exactness.strip_masked(model)
        self.assertLess(found.error, exactness.TOLERANCE)
        self.assertEmpty(found.graph.unknown)
        self.assertEqual(int(found.graph.removable.sum()), 4)

    def test_masking_keeps_its_channels(self):
        inputs = keras.Input((8, 3))
        x = LAYERS.Masking()(LAYERS.Dense(6)(inputs))
        graph = read.channel_graph(keras.Model(inputs, LAYERS.Dense(2)(x)))
        self.assertEqual(int(graph.removable.sum()), 0)

    def test_softmax_over_positions_leaves_channels_free(self):
        model = models.around(LAYERS.Softmax(axis=1), (8, 3))
        found = self.assert_exact(model)
        self.assertEqual(int(found.graph.removable.sum()), 6 + 4)

    @parameterized.parameters(
        lambda x: LAYERS.Dense(6)(x) > 0,
        lambda x: np.arange(6).reshape(1, 1, 6) > 2,
    )
    def test_a_mask_of_softmax_loses_the_same(self, mask):
        inputs = keras.Input((8, 3))
        x = LAYERS.Dense(6)(inputs)
        x = LAYERS.Softmax(axis=1)(x, mask=mask(x))
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        graph = self.assert_exact(model).graph
        self.assertEqual(int(graph.removable.sum()), 6)

    @parameterized.parameters(LAYERS.Dropout, LAYERS.AlphaDropout)
    def test_the_shape_of_noise_follows(self, layer):
        model = models.around(layer(0.5, noise_shape=(None, 1, 6)), (8, 3))
        small = self.assert_exact(model).small
        x = np.ones((2, 8, 3), "float32")
        self.assertEqual(small(x, training=True).shape, (2, 2))

    def test_the_ops_named_here_act_on_each_element(self):
        known = unary_ops()
        rng = np.random.default_rng(0)
        x = rng.uniform(0.05, 0.95, (5, 4)).astype("float32")
        order = rng.permutation(x.size)
        checked = 0
        for name in activation.OPS:
            if "ops." + name not in known:
                continue
            function, arguments = known["ops." + name]
            y = np.asarray(function(x, *arguments))
            moved = np.asarray(
                function(x.reshape(-1)[order].reshape(x.shape), *arguments)
            )
            np.testing.assert_allclose(
                moved.reshape(-1), y.reshape(-1)[order], 1e-5, err_msg=name
            )
            checked += 1
        self.assertGreater(checked, 55)

    def test_every_op_named_here_is_one_of_keras(self):
        # These take more than a tensor, so that `unary_ops` misses them.
        others = {"Clip", "Threshold"}
        known = {name.removeprefix("ops.") for name in unary_ops()}
        self.assertEmpty(set(activation.OPS) - known - others)

    def test_the_activations_named_here_act_on_each_element(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(5, 4)).astype("float32")
        order = rng.permutation(x.size)
        for name in sorted(activation.ELEMENTWISE - {"threshold"}):
            function = keras.activations.get(name)
            y = np.asarray(function(keras.ops.convert_to_tensor(x)))
            moved = x.reshape(-1)[order].reshape(x.shape)
            moved = np.asarray(function(keras.ops.convert_to_tensor(moved)))
            np.testing.assert_allclose(
                moved.reshape(-1), y.reshape(-1)[order], 1e-5, err_msg=name
            )


class AlongAnAxisTest(exactness.ExactnessTestCase):
    @parameterized.product(
        op=(
            lambda x, axis: OPS.cumsum(x, axis=axis),
            lambda x, axis: OPS.roll(x, 1, axis=axis),
            lambda x, axis: OPS.nn.normalize(x, axis=axis),
            lambda x, axis: OPS.sort(x, axis=axis),
            lambda x, axis: OPS.diff(x, axis=axis),
        ),
        axis=(1, -1),
    )
    def test_channels_pass_on_other_axes(self, op, axis):
        model = models.around(lambda x: op(x, axis))
        found = self.assert_exact(model, silence=0.3)
        removable = 4 if axis == -1 else 6 + 4
        self.assertEqual(int(found.graph.removable.sum()), removable)

    @parameterized.parameters(
        lambda x: OPS.digitize(x, np.array([-1.0, 0.0, 1.0], "float32")),
        lambda x: OPS.isin(OPS.round(x), np.array([0.0, 1.0], "float32")),
        lambda x: OPS.isreal(x),
        lambda x: OPS.rot90(x, axes=(1, 2)),
        lambda x: OPS.angle(x) + OPS.real(x),
    )
    def test_channels_pass(self, op):
        model = models.around(lambda x: OPS.cast(op(x), "float32"))
        found = self.assert_exact(model, silence=0.3)
        self.assertEqual(int(found.graph.removable.sum()), 6 + 4)

    def test_triangles(self):
        model = models.around(
            lambda x: OPS.transpose(
                OPS.tril(OPS.transpose(x, (0, 3, 1, 2))), (0, 2, 3, 1)
            )
        )
        found = self.assert_exact(model)
        self.assertEqual(int(found.graph.removable.sum()), 6 + 4)
        found = self.assert_exact(models.around(lambda x: OPS.triu(x)))
        self.assertEqual(int(found.graph.removable.sum()), 4)


if __name__ == "__main__":
    absltest.main()
