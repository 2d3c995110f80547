"""Writes files of Keras 1 and 2, and checks what is read of them."""

import json
import pathlib
import warnings

import h5py
import numpy as np
from absl.testing import parameterized

from tfprune.legacy import loading


def layer(class_name, **config):
    return {"class_name": class_name, "config": config}


def sequential(*layers):
    """The config of a Sequential model of Keras <= 2.2.2: a list."""
    return {"class_name": "Sequential", "config": list(layers)}


def write(path, config, weights, version="2.2.4", **attributes):
    """Writes a file; texts are bytes, as Python 2 wrote them."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config).encode()
        file.attrs["keras_version"] = version.encode()
        for name, value in attributes.items():
            file.attrs[name] = value.encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            inner = group.create_group(name)
            names = [f"{name}/w{i}:0".encode() for i in range(len(arrays))]
            inner.attrs["weight_names"] = names
            for key, array in zip(names, arrays, strict=True):
                inner[key] = np.float32(array)


def write_quantized(path, kernel, bias, low, high):
    """Writes what `quantize_model` makes of a dense layer, `a`."""
    relu = layer("QuantizeAwareActivation", activation="relu")
    units = len(bias)
    inner = layer("Dense", name="a", units=units, activation=relu)
    shape = [None, len(kernel)]
    config = sequential(
        layer("QuantizeLayer", name="q", batch_input_shape=shape),
        layer("QuantizeWrapperV2", name="quant_a", layer=inner),
    )
    write(path, config, {"q": [], "quant_a": []})
    arrays = {
        "a/kernel:0": kernel,
        "a/bias:0": bias,
        "quant_a/optimizer_step:0": np.int32(-1),
        "quant_a/kernel_min:0": np.float32(-1),
        "quant_a/kernel_max:0": np.float32(1),
        "quant_a/post_activation_min:0": np.float32(low),
        "quant_a/post_activation_max:0": np.float32(high),
    }
    with h5py.File(path, "r+") as file:
        group = file["model_weights/quant_a"]
        group.attrs["weight_names"] = [name.encode() for name in arrays]
        for name, array in arrays.items():
            group[name] = array


def clipped(x):
    return np.clip(0.2 * x + 0.5, 0, 1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class OldFileTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.rng = np.random.default_rng(0)
        folder = pathlib.Path(self.create_tempdir().full_path)
        self.path = folder / "old.h5"

    def normal(self, *shape):
        return self.rng.normal(size=shape).astype("float32")

    def check(self, x, wanted, quiet=True):
        with warnings.catch_warnings():
            if quiet:
                warnings.filterwarnings("ignore", ".*is translated")
            model = loading.load_model(self.path)
        got = np.asarray(model(x, training=False))
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
        return model

    def first(self, shape, **more):
        return {"batch_input_shape": [None, *shape], "name": "a", **more}
