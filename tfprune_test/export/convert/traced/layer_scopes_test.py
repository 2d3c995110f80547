import pathlib
import re

import keras
import numpy as np
import pytest
from absl.testing import parameterized

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from tfprune.export.convert.traced import layer_scopes
from tfprune.export.file import model_file
from tfprune.export.file import packing
from tfprune.export.file import tensor_names
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

L = keras.layers
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(30, 8, 8, 3)).astype("float32")
STEPS = RNG.normal(size=(30, 6, 4)).astype("float32")


def numbered():
    """Layers that Keras named, whose names end in numbers."""
    x = inputs = keras.Input((8, 8, 3))
    for i in range(3):
        name = f"conv2d_{i}" if i else "conv2d"
        x = L.Conv2D(4, 3, padding="same", activation="relu", name=name)(x)
    x = L.GlobalAveragePooling2D(name="pooled")(x)
    return keras.Model(inputs, L.Dense(3, name="dense")(x))


def shared():
    inputs = keras.Input((8, 8, 3))
    conv = L.Conv2D(3, 3, padding="same", activation="relu", name="twice")
    x = keras.ops.maximum(conv(conv(inputs)), inputs * 0.3)
    return keras.Model(inputs, L.Flatten(name="flat")(x), name="net")


def nested():
    inputs = keras.Input((8, 8, 3))
    inner = keras.Sequential(
        [L.Conv2D(4, 1, activation="relu", name="conv2d")], name="inner"
    )
    x = L.Conv2D(3, 1, activation="relu", name="conv2d")(inputs)
    return keras.Model(inputs, L.Flatten(name="flat")(inner(x)))


def recurrent():
    inputs = keras.Input((6, 4))
    x = L.LSTM(5, return_sequences=True, name="lstm_1")(inputs)
    x = L.LSTM(5, name="lstm")(x)
    return keras.Model(inputs, L.Dense(2, name="dense_7")(x))


@keras.saving.register_keras_serializable("tfprune_test")
class Chooses(keras.Model):
    """Which layers it uses depends on their names."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = [L.Dense(4, name=name) for name in ("skip", "use")]

    def build(self, shape):
        for part in self.parts:
            part.build(shape)

    def call(self, x):
        for part in self.parts:
            if part.name == "use":
                x = part(x)
        return x


def told(path):
    """The layers of which the tensors of a file tell."""
    names = {
        tensor_names.layers(tensor.name.decode())
        for graph in packing.unpacked(path.read_bytes()).subgraphs
        for tensor in graph.tensors
    }
    return {part for name in names for part in name.split(" + ")}


class LayerScopesTest(parameterized.TestCase):
    def exported(self, model, mode, x, **settings):
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        calibration = None if mode == "float32" else x
        small_models.export(model, path, mode, calibration, **settings)
        return path

    @parameterized.product(
        model=[numbered, shared, nested, recurrent],
        mode=["float32", "int8", "int16x8"],
    )
    def test_tensors_tell_of_the_layers(self, model, mode):
        network = model()
        x = STEPS if model is recurrent else IMAGES
        found = told(self.exported(network, mode, x))
        names = {step.name for step in (*network.operations, network)}
        numbered = {
            name
            for name in found
            if name not in names and re.sub(r"_\d+$", "", name) in names
        }
        self.assertEmpty(numbered)
        for layer in network.layers[1:]:
            if layer.weights and not isinstance(layer, keras.Model):
                self.assertIn(layer.name, found)

    @parameterized.parameters("int8", "float32")
    def test_layers_in_float(self, interface):
        path = self.exported(
            numbered(),
            "int8",
            IMAGES,
            keep_float="conv2d_1",
            interface=interface,
        )
        found = told(path)
        self.assertContainsSubset({"conv2d", "conv2d_1", "conv2d_2"}, found)
        self.assertNotIn(b"__float", path.read_bytes())

    def test_names_with_dots_and_dashes(self):
        inputs = keras.Input((8, 8, 3))
        x = L.Conv2D(4, 3, activation="relu", name="block.0-conv")(inputs)
        x = L.Conv2D(4, 3, activation="relu", name="Höhe")(x)
        model = keras.Model(inputs, L.Flatten()(x), name="net-1.0")
        found = told(self.exported(model, "int8", IMAGES))
        self.assertContainsSubset({"block.0-conv", "Hohe"}, found)

    def test_loops(self):
        path = self.exported(recurrent(), "float32", STEPS, runtime="tflite")
        self.assertIn("WHILE", model_file.read(path).ops)
        found = {name.partition("/")[0] for name in told(path)}
        self.assertContainsSubset({"lstm", "lstm_1", "dense_7"}, found)
        self.assertNotIn(b"__layer", path.read_bytes())

    def test_a_model_that_chooses_by_names(self):
        keras.utils.set_random_seed(0)
        model = Chooses()
        x = RNG.normal(size=(5, 3)).astype("float32")
        wanted = np.asarray(model(x))
        path = self.exported(model, "float32", x)
        np.testing.assert_allclose(interpreter.run(path, x), wanted, atol=1e-5)

    def test_layers_are_as_before(self):
        model = numbered()
        with layer_scopes.named(model):
            self.assertIn("call", vars(model.layers[1]))
        for layer in model.layers:
            self.assertNotIn("call", vars(layer))


if __name__ == "__main__":
    parameterized.absltest.main()
