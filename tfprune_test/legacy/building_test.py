import keras
import numpy as np
from absl.testing import absltest

from tfprune.legacy import building


def dense(name, units=2, **config):
    return {
        "class_name": "Dense",
        "config": {"name": name, "units": units, **config},
    }


def sequential(*entries, name="old"):
    return {
        "class_name": "Sequential",
        "config": {"name": name, "layers": list(entries)},
    }


class Shift(keras.layers.Layer):
    """A layer of a user, whose settings have names of Keras 1."""

    def __init__(self, init=0.0, layer=None, **kwargs):
        super().__init__(**kwargs)
        self.init = init
        self.layer = keras.saving.deserialize_keras_object(layer)

    def call(self, x):
        return self.layer(x) + self.init


class TrainingTest(absltest.TestCase):
    def test_layers_built_of_others_are_regularized(self):
        penalty = {"class_name": "L2", "config": {"l2": 0.5}}
        given = {"kernel_regularizer": penalty, "kernel_constraint": "non_neg"}
        kernel = {"kernel_size": [2], "filters": 3, **given}
        layers = {
            "LocallyConnected1D": kernel,
            "Conv1DTranspose": {
                **{"dilation_rate": [2], "padding": "same"},
                **kernel,
            },
            "Highway": given,
            "MaxoutDense": {"output_dim": 2, **given},
            "BatchNormalization": {"axis": [1, 2], "gamma_regularizer": "l2"},
        }
        for name, config in layers.items():
            shape = [None, 3] if name in ("Highway", "MaxoutDense") else None
            config |= {"name": "a", "batch_input_shape": shape or [None, 4, 2]}
            builder = building.Builder()
            entry = {"class_name": name, "config": config}
            (model,) = builder.model(sequential(entry)).layers
            with self.subTest(name):
                self.assertLen(model.losses, 2 if name == "Highway" else 1)
                lost = "a: without its kernel_constraint" in builder.notes
                self.assertEqual(lost, "kernel_constraint" in config)

    def test_what_an_activation_gives_is_regularized(self):
        entry = dense(
            "a",
            activation={"class_name": "LeakyReLU", "config": {"alpha": 0.5}},
            activity_regularizer={"class_name": "L1", "config": {"l1": 1.0}},
            batch_input_shape=[None, 2],
        )
        (model,) = building.Builder().model(sequential(entry)).layers
        x = np.float32([[1, -2], [-3, 4]])
        y = model(x)
        np.testing.assert_allclose(model.losses, [np.abs(y).sum() / 2])


class OwnTest(absltest.TestCase):
    def built(self, cls, **config):
        with keras.saving.custom_object_scope({cls.__name__: cls}):
            entry = sequential(
                {"class_name": cls.__name__, "config": config}, name="old"
            )
            return building.Builder().model(entry).layers[0].layers[0]

    def test_settings_and_an_inner_layer(self):
        norm = {"name": "inner", "axis": [1]}
        shift = self.built(
            Shift,
            name="shift",
            batch_input_shape=[None, 3],
            init=0.5,
            layer={"class_name": "BatchNormalization", "config": norm},
        )
        self.assertEqual((shift.name, shift.init), ("shift", 0.5))
        self.assertEqual(shift.layer.axis, 1)

    def test_a_subclass_of_a_layer_of_keras(self):
        class Norm(keras.layers.BatchNormalization):
            pass

        norm = self.built(
            Norm,
            name="norm",
            batch_input_shape=[None, 3],
            axis=[1],
            dtype={"class_name": "Policy", "config": {"name": "float32"}},
        )
        self.assertEqual(norm.axis, 1)

    def test_a_config_without_a_name(self):
        class Plain(keras.layers.Layer):
            def call(self, x):
                return x

        # Keras counts the layers of a class in a process.
        built = self.built(Plain, batch_input_shape=[None, 3])
        self.assertStartsWith(built.name, "plain")


class BuildingTest(absltest.TestCase):
    def test_a_vocabulary_that_is_not_in_the_file(self):
        config = {"name": "words", "vocabulary": None, "vocabulary_size": 4}
        entry = {"class_name": "TextVectorization", "config": config}
        with self.assertRaisesRegex(ValueError, "vocabulary .* layer 'words'"):
            building.Builder().layers.part(entry)

    def test_weights_of_words_that_config_and_file_have(self):
        words = {"vocabulary": ["a", "b"], "idf_weights": [1.0, 3.0]}
        for name in ("StringLookup", "TextVectorization"):
            config = {"name": "w", "batch_input_shape": [None, 1], **words}
            config |= {"dtype": "string", "output_mode": "tf_idf"}
            entry = {"class_name": name, "config": config}
            found = building.Builder().model(sequential(entry))
            # The file begins with that of unknown words.
            found.assign_by_layer({"w": [("w/Variable:0", [2.0, 1.0, 3.0])]})
            found.assign_in_order([("Variable", [2.0, 1.0, 3.0])])
            (model,) = found.layers
            got = model(keras.ops.convert_to_tensor([["b"], ["c"]]))
            np.testing.assert_array_equal(got, [[0, 0, 3], [2, 0, 0]])

    def test_errors_of_keras_name_the_layer(self):
        for kind, units in ((TypeError, None), (ValueError, -1)):
            entry = dense("late", units, batch_input_shape=[None, 3])
            if units is None:
                del entry["config"]["units"]
            with self.assertRaisesRegex(kind, "layer 'late' of class Dense"):
                building.Builder().model(sequential(entry))

    def test_the_first_layer_says_the_shape(self):
        entry = sequential(
            dense("a", batch_input_shape=[None, 3]), dense("b", 4)
        )
        model = building.Builder().model(entry).layers[0]
        self.assertEqual(model.input_shape, (None, 3))
        self.assertEqual(
            [v.shape for v in model.weights][::2], [(3, 2), (2, 4)]
        )

    def test_a_list_as_the_config_of_keras_1(self):
        entry = {
            "class_name": "Sequential",
            "config": [dense("a", batch_input_shape=[None, 3])],
        }
        model = building.Builder().model(entry, "model").layers[0]
        self.assertEqual(model.output_shape, (None, 2))

    def test_names_with_slashes_stay_apart(self):
        builder = building.Builder()
        names = [
            builder.layers.part(dense(name)).layers[0].name
            for name in ("a/b", "a_b", "a/b")
        ]
        self.assertEqual(names, ["a_b", "a_b_", "a_b"])
        self.assertIn("a/b: a name without a slash", builder.notes)

    def test_time_distributed_around_a_model(self):
        inner = sequential(dense("a", batch_input_shape=[None, 3]), dense("b"))
        part = building.Builder().layers.part(
            {
                "class_name": "TimeDistributed",
                "config": {"name": "each", "layer": inner},
            }
        )
        x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
        found = keras.ops.convert_to_numpy(part(x))
        self.assertEqual(found.shape, (2, 5, 2))
        alone = keras.ops.convert_to_numpy(part(x[:, 1:2]))
        np.testing.assert_allclose(found[:, 1:2], alone, rtol=1e-5, atol=1e-6)

    def test_a_class_of_ones_own_is_refused(self):
        entry = {"class_name": "MyNet", "config": {"width": 3}}
        with self.assertRaisesRegex(ValueError, "class_name='MyNet'"):
            building.Builder().model(entry)


if __name__ == "__main__":
    absltest.main()
