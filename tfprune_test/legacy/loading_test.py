"""Files of Keras 2: written here by hand, by `make test-tfmot` for real."""

import importlib.util
import json
import pathlib
import subprocess
import sys
import textwrap
import warnings

import h5py
import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.legacy import building
from tfprune.legacy import loading

HAS_KERAS_2 = importlib.util.find_spec("tf_keras") is not None


def entry(name, class_name, inputs, **config):
    """A layer's entry in the config of an old Functional model."""
    return {
        "class_name": class_name,
        "config": {"name": name, "trainable": True, "dtype": "float32"}
        | config,
        "name": name,
        "inbound_nodes": inputs,
    }


def after(*names, **kwargs):
    return [[[name, 0, 0, kwargs] for name in names]]


def function(of, source, **kwargs):
    node = source if isinstance(source, list) else [source, 0, 0, kwargs]
    return entry(f"tf.{of}", "TFOpLambda", [node], function=of)


def config(*entries, last, shape=(None, 6, 6, 3)):
    return {
        "class_name": "Functional",
        "config": {
            "name": "old",
            "layers": [
                entry("x", "InputLayer", [], batch_input_shape=list(shape)),
                *entries,
            ],
            "input_layers": [["x", 0, 0]],
            "output_layers": [[last, 0, 0]],
        },
    }


def old_network():
    """What Keras 3 refuses: groups, a list of axes, functions, slashes."""
    return config(
        entry(
            "block/conv",
            "Conv2D",
            after("x"),
            filters=4,
            kernel_size=[1, 1],
            kernel_initializer={"class_name": "HeNormal", "config": {}},
            kernel_regularizer={"class_name": "L2", "config": {"l2": 0.1}},
        ),
        entry("norm", "BatchNormalization", after("block/conv"), axis=[3]),
        function("nn.relu6", "norm"),
        entry(
            "depthwise",
            "DepthwiseConv2D",
            after("tf.nn.relu6"),
            kernel_size=[3, 3],
            padding="same",
            groups=1,
        ),
        function("math.add", "depthwise", y=["tf.nn.relu6", 0, 0], name=None),
        function(
            "math.subtract",
            ["_CONSTANT_VALUE", -1, 1.0, {"y": ["tf.math.add", 0, 0]}],
        ),
        entry("pool", "GlobalAveragePooling2D", after("tf.math.subtract")),
        entry("dense", "Dense", after("pool"), units=2),
        last="dense",
    )


def weights(rng):
    return {
        "block/conv": [
            ("block/conv/kernel:0", rng.normal(size=(1, 1, 3, 4))),
            ("block/conv/bias:0", rng.normal(size=4)),
        ],
        "norm": [
            (f"norm/{name}:0", rng.uniform(0.5, 1.5, 4))
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        ],
        "depthwise": [
            ("depthwise/depthwise_kernel:0", rng.normal(size=(3, 3, 4, 1))),
            ("depthwise/bias:0", rng.normal(size=4)),
        ],
        "dense": [
            ("dense/kernel:0", rng.normal(size=(4, 2))),
            ("dense/bias:0", rng.normal(size=2)),
        ],
    }


def write(path, model_config, arrays):
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(model_config)
        group = file.create_group("model_weights")
        names = [e["name"] for e in model_config["config"]["layers"]]
        group.attrs["layer_names"] = names
        for layer in names:
            inner = group.create_group(layer)
            given = arrays.get(layer, [])
            inner.attrs["weight_names"] = [name for name, _ in given]
            for name, array in given:
                inner[name] = np.float32(array)


def expected(x, arrays):
    """The old network by hand."""
    value = {name: a for layer in arrays.values() for name, a in layer}
    y = x @ value["block/conv/kernel:0"][0, 0] + value["block/conv/bias:0"]
    y = (y - value["norm/moving_mean:0"]) / np.sqrt(
        value["norm/moving_variance:0"] + 1e-3
    )
    y = np.clip(y * value["norm/gamma:0"] + value["norm/beta:0"], 0, 6)
    padded = np.pad(y, ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernel = value["depthwise/depthwise_kernel:0"][..., 0]
    z = value["depthwise/bias:0"] + sum(
        padded[:, i : i + 6, j : j + 6] * kernel[i, j]
        for i in range(3)
        for j in range(3)
    )
    z = (1 - (z + y)).mean((1, 2))
    return z @ value["dense/kernel:0"] + value["dense/bias:0"]


class LoadingTest(parameterized.TestCase):
    def path(self, name="old.h5"):
        return pathlib.Path(self.create_tempdir().full_path) / name

    def test_an_old_network(self):
        rng = np.random.default_rng(0)
        path, arrays = self.path(), weights(rng)
        write(path, old_network(), arrays)
        with self.assertRaises((TypeError, ValueError)):
            keras.saving.load_model(path)
        with self.assertWarnsRegex(
            UserWarning,
            r"block/conv: a name without a slash; norm: axis=3, not a list; "
            r"depthwise: without groups=1; tf.nn.relu6: tf.nn.relu6 is an op",
        ):
            model = loading.load_model(path)
        x = rng.normal(size=(3, 6, 6, 3))
        np.testing.assert_allclose(
            model(x.astype("float32"), training=False),
            expected(x, arrays),
            rtol=1e-4,
            atol=1e-4,
        )
        names = [layer.name for layer in model.layers]
        self.assertContainsSubset(["block_conv", "norm", "depthwise"], names)
        regularizer = model.get_layer("block_conv").kernel_regularizer
        self.assertAlmostEqual(float(regularizer.l2), 0.1, places=6)
        graph = read.channel_graph(model)
        self.assertEqual(graph.unknown, {})
        self.assertGreater(int(graph.removable.sum()), 0)

    def test_files_of_keras_3(self):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        model.compile("sgd", "mse")
        for name in ("new.keras", "new.h5"):
            path = self.path(name)
            model.save(path)
            again = loading.load_model(path)
            self.assertTrue(again.compiled)
            np.testing.assert_array_equal(
                again.layers[0].kernel, model.layers[0].kernel
            )

    @parameterized.product(
        written=[".keras", ".h5"], given=[".keras", ".h5", ".hdf5", ".model"]
    )
    def test_files_of_keras_3_with_any_ending(self, written, given):
        net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        folder = pathlib.Path(self.create_tempdir().full_path)
        net.save(folder / f"old{written}")
        path = folder / f"new{given}"
        (folder / f"old{written}").rename(path)
        found = loading.load_model(path)
        np.testing.assert_array_equal(
            found.layers[0].kernel, net.layers[0].kernel
        )

    def test_short_names_of_losses_and_metrics(self):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        model.compile("sgd", "mse", metrics=["mae"])
        path = self.path("new.h5")
        model.save(path)
        again = loading.load_model(path)
        x, y = np.ones((4, 3)), np.zeros((4, 2))
        self.assertEqual(
            again.evaluate(x, y, verbose=0, return_dict=True),
            model.evaluate(x, y, verbose=0, return_dict=True),
        )

    def test_metrics_that_keras_builds_later_are_not_worth_a_word(self):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        model.compile("sgd", "mean_squared_error", metrics=["accuracy"])
        path = self.path("new.h5")
        model.save(path)
        with self.assertNoLogs("absl", "WARNING"):
            again = loading.load_model(path)
        self.assertTrue(again.compiled)

    def test_code_in_a_file_does_not_run(self):
        path = self.path()
        code = ["4wEA", None, None]
        layer = entry("code", "Lambda", after("x"), function=code)
        write(path, config(layer, last="code"), {})
        with self.assertRaisesRegex(ValueError, "allow_lambda=True"):
            loading.load_model(path)
        builder = building.Builder(safe_mode=False)
        with self.assertRaisesRegex(ValueError, "from this Python version"):
            builder.model(config(layer, last="code"))

    @parameterized.parameters(
        (function("linalg.svd", "x"), "tf.linalg.svd.*has no translation"),
        (entry("own", "Mine", after("x")), "'Mine' of layer 'own'"),
        (
            entry("r", "ReLU", after("x"), curvature=3),
            "curvature=3 of ReLU.*Build it in code",
        ),
        (entry("late", "ReLU", after("late")), "inputs are never computed"),
        (
            function("roll", "x", shift=1, axis=1, turns=2),
            r"argument of tf\.roll.*\['turns'\] in layer 'tf\.roll'",
        ),
        (
            function("image.resize_images", "x", size=[3, 3], method="bicubic"),
            "method='bicubic'.*layer 'tf.image.resize_images'",
        ),
    )
    def test_what_has_no_counterpart_is_named(self, layer, message):
        with self.assertRaisesRegex(ValueError, f"(?s){message}"):
            building.Builder().model(config(layer, last=layer["name"]))

    def test_losses_and_metrics_within_a_model(self):
        builder = building.Builder()
        model = builder.model(
            config(
                entry("pool", "GlobalAveragePooling2D", after("x")),
                function("linalg.svd", "pool"),
                entry("loss", "AddLoss", after("tf.linalg.svd")),
                function("math.square", "pool"),
                entry("metric", "AddMetric", after("tf.math.square")),
                last="pool",
            )
        ).layers[0]
        self.assertLen(model.layers, 2)
        for name in ("loss", "metric"):
            self.assertIn(f"{name}: without this loss or metric", builder.notes)

    def test_a_frozen_model_stays_frozen(self):
        frozen = config(entry("relu", "ReLU", after("x")), last="relu")
        frozen["config"]["trainable"] = False
        model = building.Builder().model(frozen).layers[0]
        self.assertFalse(model.trainable)

    def test_models_that_are_classes_of_their_own(self):
        with self.assertRaisesRegex(ValueError, "class_name='MyModel'"):
            building.Builder().model({"class_name": "MyModel", "config": {}})

    def test_weights_that_do_not_fit(self):
        arrays = weights(np.random.default_rng(0))
        arrays["dense"][0] = ("dense/kernel:0", np.zeros((5, 2)))
        path = self.path()
        write(path, old_network(), arrays)
        with self.assertRaisesRegex(ValueError, "must fit layer 'dense'"):
            loading.load_model(path)

    def test_what_is_no_model(self):
        with self.assertRaisesRegex(FileNotFoundError, "which does not exist"):
            loading.load_model(self.path("none.h5"))
        path = self.path()
        with h5py.File(path, "w"):
            pass
        with self.assertRaisesRegex(ValueError, "only weights"):
            loading.load_model(path)
        with self.assertRaisesRegex(ValueError, "no keras_metadata.pb"):
            loading.load_model(path.parent)


@pytest.mark.skipif(not HAS_KERAS_2, reason="tf_keras is not installed")
class Keras2Test(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = pathlib.Path(absltest.get_default_test_tmpdir()) / "keras2"
        folder.mkdir(parents=True, exist_ok=True)
        # A process of its own: Keras 2 takes over tf.keras.
        subprocess.run([sys.executable, "-c", WRITER, folder], check=True)
        cls.folder = folder

    @parameterized.product(
        name=("functions", "texts", "mobilenet_v2", "mobilenet_v3"),
        end=(".h5", ""),
    )
    def test_outputs_are_those_of_keras_2(self, name, end):
        arrays = np.load(self.folder / f"{name}.npz")
        # In "texts" only arguments go that Keras 3 does not have.
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            model = loading.load_model(self.folder / f"{name}{end}")
        told = any("is translated" in str(one.message) for one in said)
        self.assertEqual(told, name != "texts")
        outputs = model(arrays["x"], training=False)
        np.testing.assert_allclose(outputs, arrays["y"], rtol=1e-4, atol=1e-5)
        self.assertEqual(read.channel_graph(model).unknown, {})


WRITER = textwrap.dedent("""
    import pathlib, sys
    import numpy as np
    import tensorflow as tf
    import tf_keras

    layers = tf_keras.layers
    x = inputs = tf_keras.Input((8, 8, 3), name="picture")
    x = layers.Conv2D(6, 3, padding="same")(x)
    x = tf.nn.relu6(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same")(x)
    x = 1.0 - tf.math.add(x + y, y) * 2.0
    z = tf.concat([x, y], axis=-1)[:, 1:, :, :4]
    z = tf.nn.relu(tf.reduce_mean(z, axis=[1, 2], keepdims=True))
    z = tf.reshape(tf.clip_by_value(z, 0.0, 1.0), (-1, 4))
    a, b = tf.split(z, 2, axis=1)
    inner = tf_keras.Sequential(
        [layers.Dense(5, "relu", input_shape=(2,)),
         layers.BatchNormalization()], name="inner")
    outputs = layers.Dense(3, "softmax")(inner(tf.maximum(a, b)))
    texts = tf_keras.Sequential([
        layers.Embedding(20, 8, input_length=7),
        layers.Bidirectional(layers.LSTM(6, return_sequences=True)),
        layers.GRU(4), layers.Dense(2)])
    texts.build((None, 7))
    size = {"weights": None, "input_shape": (32, 32, 3), "classes": 3}
    models = {
        "functions": tf_keras.Model(inputs, outputs),
        "texts": texts,
        "mobilenet_v2": tf_keras.applications.MobileNetV2(**size),
        "mobilenet_v3": tf_keras.applications.MobileNetV3Small(**size),
    }
    rng = np.random.default_rng(0)
    for name, model in models.items():
        for weight in model.weights:
            if "moving" in weight.name or "gamma" in weight.name:
                weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        shape = (2, *model.input_shape[1:])
        x = rng.integers(0, 20, shape) if name == "texts" else rng.normal(
            size=shape).astype("float32")
        folder = pathlib.Path(sys.argv[1])
        np.savez(folder / f"{name}.npz", x=x, y=model.predict(x, verbose=0))
        model.save(folder / f"{name}.h5")
        model.save(folder / name)
""")


if __name__ == "__main__":
    absltest.main()
