import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import document
from tfprune.graph import tensor
from tfprune_test import exactness
from tfprune_test import models
from tfprune_test.graph import read_test

LAYERS = keras.layers


def play(model, inputs):
    """The model's outputs, computed by its document, and all calls' paths."""
    paths = []

    def apply(site, args, kwargs):
        paths.append(site.path)
        args, kwargs = keras.tree.map_structure(
            lambda x: x.value if isinstance(x, tensor.Constant) else x,
            (args, kwargs),
        )
        return site.live(*args, **kwargs)

    flat = keras.tree.flatten(inputs)
    outputs = document.run(model.get_config(), model, flat, apply)
    return outputs, paths


def arguments():
    """Arguments of every kind: positions, keywords, slices, arrays."""
    inputs = keras.Input((6, 6, 4))
    x = inputs[..., 1:-1]
    x = keras.ops.where(x > 0.0, x, np.ones((6, 2), "float32"))
    x = keras.ops.concatenate([x, x * 2.0], axis=-1)
    return keras.Model(inputs, keras.ops.mean(x, axis=(1, 2), keepdims=True))


def three_outputs():
    inputs = keras.Input((6,))
    a, b, c = keras.ops.split(inputs, 3, axis=-1)
    return keras.Model(inputs, [c, a, b, c * b])


def inputs_by_name():
    """A nested model of a list of inputs, called on a dict."""
    a, b = keras.Input((6,), name="z"), keras.Input((6,), name="a")
    inner = keras.Model([a, b], LAYERS.Dense(3)(a) * LAYERS.Dense(3)(b))
    inputs = keras.Input((6,))
    x, y = LAYERS.Dense(6)(inputs), LAYERS.Dense(6)(inputs)
    return keras.Model(inputs, inner({"z": x, "a": y}))


class RunTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("arguments", arguments),
        ("three_outputs", three_outputs),
        ("lists", lambda: read_test.two_inputs(False)),
        ("dicts", lambda: read_test.two_inputs(True)),
        ("nested", lambda: read_test.nested(read_test.functional())),
        ("shared", read_test.shared_at_two_resolutions),
        ("shared_slice", lambda: read_test.shared_slice(5)),
        ("twice", read_test.twice),
        ("inputs_by_name", inputs_by_name),
    )
    def test_it_computes_what_the_model_computes(self, make):
        model = make()
        exactness.randomize(model, np.random.default_rng(0))
        inputs = keras.tree.map_structure(
            lambda x: (
                np.random.default_rng(1)
                .normal(size=(2, *x.shape[1:]))
                .astype("float32")
            ),
            model.input,
        )
        found, _ = play(model, inputs)
        expected = keras.tree.flatten(model(inputs))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_a_sequential_model(self):
        model = keras.Sequential([keras.Input((3,)), LAYERS.Dense(2)])
        x = np.ones((1, 3), "float32")
        (found,), _ = play(model, x)
        np.testing.assert_array_equal(found, model(x))

    def test_a_nested_model_as_output(self):
        inner = read_test.functional()
        inputs = keras.Input((6, 6, 6))
        model = keras.Model(inputs, [inner(inputs), inner(inputs * 2.0)])
        x = np.ones((1, 6, 6, 6), "float32")
        found, _ = play(model, x)
        for a, b in zip(found, model(x), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_paths_name_the_enclosing_models(self):
        inputs = keras.Input((3,))
        inner = keras.Sequential(
            [keras.Input((3,)), LAYERS.Dense(2, name="dense")], name="inner"
        )
        outer = keras.Model(inputs, inner(inputs), name="outer")
        top = keras.Input((3,))
        model = keras.Model(top, LAYERS.ReLU(name="relu")(outer(top)))
        _, paths = play(model, np.ones((1, 3), "float32"))
        self.assertEqual(paths, ["outer/inner/dense", "relu"])

    def test_a_config_with_a_loop(self):
        inputs = keras.Input((3,))
        x = LAYERS.ReLU(name="a")(inputs)
        model = keras.Model(inputs, LAYERS.ReLU(name="b")(x))
        config = model.get_config()
        for entry in config["layers"]:
            if entry["name"] == "a":
                (x,) = entry["inbound_nodes"][0]["args"]
                x["config"]["keras_history"] = ["b", 0, 0]
        with self.assertRaisesRegex(ValueError, r"without loops.*\['a', 'b'\]"):
            document.run(config, model, ["x"], lambda site, args, kwargs: args)


class PlacesTest(parameterized.TestCase):
    def test_values_are_found_and_set(self):
        nested = {"a": [1, (2, {"b": 3})], "c": 4}
        keys = ("a", 1, 1, "b")
        self.assertEqual(document.get_in(nested, keys), 3)
        changed = document.set_in(document.copied(nested), keys, 5)
        self.assertEqual(changed, {"a": [1, (2, {"b": 5})], "c": 4})
        self.assertEqual(nested, {"a": [1, (2, {"b": 3})], "c": 4})

    def test_an_element_of_a_tuple_is_set(self):
        changed = document.set_in({"a": (1, 2, 3)}, ("a", 1), 7)
        self.assertEqual(changed, {"a": (1, 7, 3)})

    def test_inputs_of_nested_models(self):
        calls = []
        inner = read_test.functional()
        model = read_test.nested(keras.Sequential([inner]))
        config = model.get_config()
        document.run(
            config,
            model,
            [np.ones((1, *models.IMAGE), "float32")],
            lambda site, args, kwargs: site.live(*args, **kwargs),
            lambda site, tensors: calls.append((site, tensors)),
        )
        self.assertLen(calls, 2)
        for site, tensors in calls:
            (keys,) = document.input_keys(site)
            self.assertEqual(
                tuple(document.get_in(config, keys)), (None, 6, 6, 6)
            )
            self.assertLen(tensors, 1)


if __name__ == "__main__":
    absltest.main()
