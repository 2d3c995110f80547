"""Models of tf_keras in this process; `make test-tfmot` has tf_keras."""

import importlib
import importlib.util
import warnings

import keras
import numpy as np
import pytest
from absl.testing import absltest

import tfprune

HAS_KERAS_2 = importlib.util.find_spec("tf_keras") is not None
HAS_TFMOT = (
    importlib.util.find_spec("tensorflow_model_optimization") is not None
)


def toolkit():
    with warnings.catch_warnings():
        # It asks distutils for versions.
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("tensorflow_model_optimization")


def trained(model):
    """The ranges of outputs in a model of the toolkit, by layer."""
    prefixes = "output", "post_", "quantize_layer"
    found = {}
    for layer in model.layers:
        ends = {
            w.name[-5:-2]: float(w.numpy())
            for w in layer.weights
            if w.name.split("/")[-1].startswith(prefixes)
        }
        if ends:
            name = layer.name.removeprefix("quant_")
            found[name] = (ends["min"], ends["max"])
    return found


class RefusalTest(absltest.TestCase):
    def test_a_model_of_keras_3_is_told_apart(self):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        with self.assertRaisesRegex(TypeError, "one of Keras 3"):
            tfprune.from_tf_keras(model)

    def test_what_is_no_model_is_refused_by_its_type(self):
        with self.assertRaisesRegex(TypeError, "Received: .*builtins.str"):
            tfprune.from_tf_keras("model.h5")


@pytest.mark.skipif(not HAS_KERAS_2, reason="tf_keras is not installed")
class LiveModelTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        import tf_keras

        self.old = tf_keras
        tf_keras.utils.set_random_seed(0)
        self.x = np.random.default_rng(0).normal(size=(4, 8, 8, 3))
        self.x = self.x.astype("float32")

    def network(self):
        layers = self.old.layers
        h = inputs = self.old.Input((8, 8, 3), name="image")
        h = layers.Conv2D(6, 3, padding="same", name="first")(h)
        h = layers.BatchNormalization()(h)
        y = layers.Conv2D(6, 3, padding="same", activation="relu")(h)
        h = layers.GlobalAveragePooling2D()(layers.Add()([h, y]))
        outputs = layers.Dense(3, activation="softmax", name="classes")(h)
        return self.old.Model(inputs, outputs, name="small/net")

    def check(self, old, **options):
        before = [w.numpy() for w in old.weights]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* is translated")
            new = tfprune.from_tf_keras(old, **options)
        self.assertIsInstance(new, keras.Model)
        np.testing.assert_allclose(
            new.predict(self.x, verbose=0), old(self.x).numpy(), atol=1e-5
        )
        for a, b in zip(before, old.weights):
            np.testing.assert_array_equal(a, b.numpy())
        return new

    def test_a_functional_model_comes_over_and_is_pruned(self):
        old = self.network()
        old.compile("adam", "sparse_categorical_crossentropy")
        new = self.check(old)
        self.assertTrue(new.compiled)
        small = tfprune.prune(new, macs=0.5)
        self.assertLess(small.count_params(), old.count_params())

    def test_a_lambda_of_this_process_is_taken(self):
        layers = self.old.layers
        old = self.old.Sequential(
            [
                self.old.Input((8, 8, 3)),
                layers.Lambda(lambda x: x * 2.0),
                layers.Flatten(),
                layers.Dense(2),
            ]
        )
        self.check(old)

    def test_a_class_of_ones_own_is_refused_by_name(self):
        outer = self.old

        class Own(outer.Model):
            def __init__(self):
                super().__init__()
                self.conv = outer.layers.Conv2D(4, 3, activation="relu")
                self.pool = outer.layers.GlobalAveragePooling2D()
                self.out = outer.layers.Dense(2)

            def call(self, x):
                return self.out(self.pool(self.conv(x)))

        old = Own()
        old(self.x)
        with self.assertRaisesRegex(ValueError, "class Own.*set_weights"):
            tfprune.from_tf_keras(old)

    def test_a_model_without_weights_is_refused(self):
        old = self.old.Sequential([self.old.layers.Dense(2)])
        with self.assertRaisesRegex(ValueError, "must be built"):
            tfprune.from_tf_keras(old)

    def test_other_outputs_are_an_error(self):
        class Doubled(keras.layers.Dense):
            def call(self, x):
                return 2 * super().call(x)

        outer = self.old

        class Mine(outer.layers.Dense):
            pass

        old = outer.Sequential([outer.Input((8,)), Mine(2)])
        with self.assertRaisesRegex(ValueError, "output .* differs"):
            tfprune.from_tf_keras(old, custom_objects={"Mine": Doubled})

    @pytest.mark.skipif(not HAS_TFMOT, reason="the toolkit is not installed")
    def test_a_model_trained_for_quantization_loses_its_rounding(self):
        tfmot = toolkit()
        old = tfmot.quantization.keras.quantize_model(self.network())
        for _ in range(200):  # The ranges are averages that begin at 6.
            old(self.x, training=True)
        with self.assertWarnsRegex(UserWarning, "not rounded as in training"):
            new = tfprune.from_tf_keras(old)
        # Rounding to 8 bits moves probabilities by little.
        np.testing.assert_allclose(
            new.predict(self.x, verbose=0), old(self.x).numpy(), atol=0.1
        )

    @pytest.mark.skipif(not HAS_TFMOT, reason="the toolkit is not installed")
    def test_its_ranges_are_those_of_its_files(self):
        api = toolkit().quantization.keras
        for frozen, names in (
            (False, ("qat.h5", "qat.keras", "qat")),
            # Keras 2 does not write such a model to HDF5.
            (True, ("frozen.keras", "frozen")),
        ):
            old = api.quantize_model(self.network())
            for _ in range(3):
                old(self.x, training=True)
            if frozen:
                for layer in old.layers:
                    layer.trainable = False
            ranges = tfprune.quantization_ranges(old)
            self.assertEqual(ranges, trained(old))
            self.assertLen(ranges, 5)
            for name in names:
                with self.subTest(name):
                    self.check_file(old, name, ranges)

    def check_file(self, old, name, ranges):
        path = f"{self.create_tempdir().full_path}/{name}"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "You are saving your model as")
            old.save(path, save_format=None if "." in name else "tf")
        self.assertEqual(tfprune.quantization_ranges(path), ranges)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* is translated")
            new, wanted = tfprune.load_model(path), tfprune.from_tf_keras(old)
        np.testing.assert_array_equal(new(self.x), wanted(self.x))

    @pytest.mark.skipif(not HAS_TFMOT, reason="the toolkit is not installed")
    def test_masks_of_the_toolkit_leave_their_zeros(self):
        api = toolkit().sparsity.keras
        old = api.prune_low_magnitude(
            self.network(), api.ConstantSparsity(0.5, 0, frequency=1)
        )
        old.compile("sgd", "sparse_categorical_crossentropy")
        steps = [api.UpdatePruningStep()]
        old.fit(self.x, np.arange(4) % 3, callbacks=steps, verbose=0)
        with self.assertRaisesRegex(ValueError, "Call strip_pruning"):
            tfprune.from_tf_keras(old)
        old = api.strip_pruning(old)
        new = self.check(old)
        kernel = np.asarray(new.get_layer("first").kernel)
        self.assertEqual(np.mean(kernel == 0), 0.5)


if __name__ == "__main__":
    absltest.main()
