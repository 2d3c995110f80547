import importlib.util
import re

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune import zoo
from tfprune.zoo import checkpoints
from tfprune_test import conftest

# Correct answers in percent on the first 1,000 test images and on all
# 10,000; the latter are the published ones.
CIFAR = (
    ("resnet20_akamaster_cifar10", 91.5, 91.73),
    ("resnet32_akamaster_cifar10", 92.8, 92.63),
    ("resnet44_akamaster_cifar10", 93.3, 93.10),
    ("resnet56_akamaster_cifar10", 92.6, 93.39),
    ("resnet20_w8_brain_cifar10", 90.2, 90.28),
    ("resnet8_mlperftiny_cifar10", 88.1, 87.19),
)
# These take seconds, the depths between them no more than a longer wait.
QUICK = [row for row in CIFAR if not re.search("32|44|56", row[0])]


def _load_data():
    path = conftest.shared_path("tools", "load_data.py")
    spec = importlib.util.spec_from_file_location("load_data", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _accuracy(name, x, y):
    """Percent of `y` that the published network predicts from raw `x`."""
    weights = _load_data().weights(name)
    model = checkpoints.restore(name, weights)
    inputs = checkpoints.get(name).preprocessing(x)
    outputs = model.predict(inputs, batch_size=250, verbose=0)
    return 100 * np.mean(outputs.argmax(-1) == y)


def _cifar_test():
    path = conftest.shared_path("data", "cifar10", "test.npz")
    return _load_data()._read(path)


def _pytorch_arrays(model):
    """A state dict that fits `model`, a narrow ResNet-8, all values new."""
    rng = np.random.default_rng(0)
    shapes = {
        "conv1": (2, 3, 3, 3),
        "layer1.0.conv1": (2, 2, 3, 3),
        "layer1.0.conv2": (2, 2, 3, 3),
        "layer2.0.conv1": (4, 2, 3, 3),
        "layer2.0.conv2": (4, 4, 3, 3),
        "layer3.0.conv1": (8, 4, 3, 3),
        "layer3.0.conv2": (8, 8, 3, 3),
    }
    arrays = {f"{k}.weight": rng.normal(size=s) for k, s in shapes.items()}
    for name, shape in shapes.items():
        norm = name.replace("conv", "bn")
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            arrays[f"{norm}.{leaf}"] = rng.normal(size=shape[0])
        arrays[f"{norm}.num_batches_tracked"] = np.array(7)
    arrays["linear.weight"] = rng.normal(size=(5, 8))
    arrays["linear.bias"] = rng.normal(size=5)
    return arrays


def _narrow():
    return zoo.resnet.resnet_cifar(8, width=2, classes=5)


class PublishedWeightsTest(parameterized.TestCase):
    @parameterized.parameters(*QUICK)
    def test_a_thousand_images(self, name, thousand, _):
        x, y = _cifar_test()
        self.assertAlmostEqual(
            _accuracy(name, x[:1000], y[:1000]), thousand, delta=0.3
        )

    def test_a_thousand_words(self):
        path = conftest.shared_path(
            "data", "tinyml", "kws01_mfcc_int8_1000.npz"
        )
        with np.load(path) as arrays:
            x, y = arrays["x"][..., None], arrays["y"]
        self.assertAlmostEqual(
            _accuracy("dscnn_mlperftiny_kws", x, y), 91.3, delta=0.3
        )

    @parameterized.parameters(*CIFAR)
    @pytest.mark.slow
    def test_all_images(self, name, _, published):
        x, y = _cifar_test()
        self.assertAlmostEqual(_accuracy(name, x, y), published, delta=0.011)


class LoadPytorchTest(parameterized.TestCase):
    def test_axes_and_moments_go_where_keras_has_them(self):
        model = _narrow()
        arrays = _pytorch_arrays(model)
        checkpoints.load_pytorch(model, arrays)
        conv = model.get_layer("stage2_block0_conv1").kernel.numpy()
        kernel = arrays["layer2.0.conv1.weight"].astype("float32")
        for o, i, h, w in np.ndindex(kernel.shape):
            self.assertEqual(conv[h, w, i, o], kernel[o, i, h, w])
        dense = model.get_layer("logits")
        np.testing.assert_allclose(
            dense.kernel, arrays["linear.weight"].T, rtol=1e-6
        )
        norm = model.get_layer("stage3_block0_bn2")
        for variable, leaf in (
            (norm.gamma, "weight"),
            (norm.beta, "bias"),
            (norm.moving_mean, "running_mean"),
            (norm.moving_variance, "running_var"),
        ):
            np.testing.assert_allclose(
                variable, arrays[f"layer3.0.bn2.{leaf}"], rtol=1e-6
            )

    def test_data_parallel_names_load_too(self):
        first, second = _narrow(), _narrow()
        arrays = _pytorch_arrays(first)
        checkpoints.load_pytorch(first, arrays)
        checkpoints.load_pytorch(
            second, {f"module.{k}": v for k, v in arrays.items()}
        )
        for a, b in zip(first.weights, second.weights):
            np.testing.assert_array_equal(a, b)

    def test_bottlenecks_and_other_names_of_shortcuts_load_too(self):
        model = zoo.build("resnet50", width=2)
        arrays = {}
        for number, variable in enumerate(model.weights):
            layer, leaf = variable.path.split("/")
            for pattern, name in (
                (
                    r"stage(\d)_block(\d)_shortcut_conv",
                    r"layer\1.\2.shortcut.0",
                ),
                (r"stage(\d)_block(\d)_shortcut_bn", r"layer\1.\2.shortcut.1"),
                (r"stage(\d)_block(\d)_(\w+)", r"layer\1.\2.\3"),
                (r"stem_(conv|bn)", r"\g<1>1"),
                (r"logits", r"fc"),
            ):
                layer = re.sub(pattern, name, layer)
            leaf = {
                "kernel": "weight",
                "gamma": "weight",
                "beta": "bias",
                "moving_mean": "running_mean",
                "moving_variance": "running_var",
            }.get(leaf, leaf)
            shape = variable.shape[-2:][::-1] + variable.shape[:-2]
            shape = variable.shape if len(variable.shape) == 1 else shape
            arrays[f"{layer}.{leaf}"] = np.full(shape, float(number))
        checkpoints.load_pytorch(model, arrays)
        for number, variable in enumerate(model.weights):
            np.testing.assert_array_equal(variable, number)

    def test_depthwise_kernels_are_transposed(self):
        model = keras.Sequential(
            [
                keras.Input((4, 4, 3)),
                keras.layers.DepthwiseConv2D(3, use_bias=False, name="mix"),
            ]
        )
        kernel = np.arange(27.0).reshape(3, 1, 3, 3)
        checkpoints.load_pytorch(
            model, {"features.0.weight": kernel}, ((r"features\.0", "mix"),)
        )
        loaded = model.get_layer("mix").kernel.numpy()
        for c, h, w in np.ndindex(3, 3, 3):
            self.assertEqual(loaded[h, w, c, 0], kernel[c, 0, h, w])

    @parameterized.parameters(
        (
            lambda a: a.pop("linear.bias"),
            "no array for logits/bias",
        ),
        (
            lambda a: a.update({"layer4.0.conv1.weight": np.ones(3)}),
            "no variable for layer4.0.conv1.weight",
        ),
        (
            lambda a: a.update({"extra.bias": np.ones(3)}),
            "no variable for extra.bias",
        ),
        (
            lambda a: a.update({"fc.bias": np.ones(5)}),
            "one variable, logits/bias, for linear.bias, fc.bias",
        ),
        (
            lambda a: a.update({"conv1.weight": np.ones((2, 3, 5, 5))}),
            r"conv1.weight is \(5, 5, 3, 2\), stem_conv/kernel is \(3, 3,",
        ),
        (
            lambda a: a.update({"conv1.weight": np.ones(5)}),
            r"conv1.weight is \(5,\), stem_conv/kernel is",
        ),
    )
    def test_what_does_not_fit_is_named_and_changes_nothing(self, edit, text):
        model = _narrow()
        arrays = _pytorch_arrays(model)
        edit(arrays)
        before = model.get_weights()
        with self.assertRaisesRegex(ValueError, text):
            checkpoints.load_pytorch(model, arrays)
        for old, new in zip(before, model.get_weights()):
            np.testing.assert_array_equal(old, new)

    def test_a_dense_layer_behind_a_flattened_map_is_refused(self):
        model = keras.Sequential(
            [
                keras.Input((2, 2, 3)),
                keras.layers.Flatten(),
                keras.layers.Dense(4, use_bias=False, name="logits"),
            ]
        )
        with self.assertRaisesRegex(ValueError, r"Flatten.*\(None, 2, 2, 3\)"):
            checkpoints.load_pytorch(model, {"fc.weight": np.ones((4, 12))})


class LoadKerasTest(parameterized.TestCase):
    def _arrays(self, model):
        rng = np.random.default_rng(0)
        return {v.path: rng.normal(size=v.shape) for v in model.weights}

    def test_names_are_layer_and_variable(self):
        model = zoo.build("resnet8", width=2)
        arrays = self._arrays(model)
        checkpoints.load_keras(model, arrays)
        for variable in model.weights:
            np.testing.assert_allclose(
                variable, arrays[variable.path], rtol=1e-6
            )

    def test_counted_layers_are_taken_in_order(self):
        model = zoo.build("ds_cnn", width=2)
        layers = [layer for layer in model.layers if layer.weights]
        arrays = {}
        for i, layer in enumerate(layers):
            for variable in layer.weights:
                leaf = variable.name
                if isinstance(layer, keras.layers.DepthwiseConv2D):
                    leaf = leaf.replace("kernel", "depthwise_kernel")
                arrays[f"layer{i}/{leaf}"] = np.full(variable.shape, float(i))
        checkpoints.load_keras(model, arrays, by_order=True)
        for i, layer in enumerate(layers):
            for variable in layer.weights:
                np.testing.assert_array_equal(variable, i)

    def test_what_is_left_over_is_named(self):
        model = zoo.build("resnet8", width=2)
        arrays = self._arrays(model)
        arrays["dense_1/kernel"] = arrays.pop("dense/kernel")
        with self.assertRaisesRegex(
            ValueError,
            "no array for dense/kernel; no variable for dense_1/kernel",
        ):
            checkpoints.load_keras(model, arrays)


class CheckpointsTest(parameterized.TestCase):
    @parameterized.parameters(*checkpoints.names())
    def test_each_names_a_network_of_the_zoo(self, name):
        self.assertIn(checkpoints.get(name).network, zoo.names())

    def test_an_unknown_name_lists_the_known_ones(self):
        with self.assertRaisesRegex(ValueError, "resnet56_akamaster_cifar10"):
            checkpoints.restore("resnet57", {})
