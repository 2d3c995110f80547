"""Settings of old layers in the words of Keras 3."""

import keras
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy.layers import settings

LAYERS = keras.layers


class Base(LAYERS.Layer):
    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate


class Passing(Base):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units


class Closed(Base):
    def __init__(self, units, name=None):
        super().__init__(rate=1, name=name)
        self.units = units


def translate(cls, **config):
    """The settings and the notes."""
    notes = []
    found = settings.translate(cls, {"name": "a", **config}, notes)
    self_name = found.pop("name", None)
    assert self_name in ("a", None)
    return found, notes


class TranslateTest(parameterized.TestCase):
    @parameterized.parameters(
        (LAYERS.LeakyReLU, {"alpha": 0.3}, {"negative_slope": 0.3}),
        (LAYERS.Dense, {"units": 3, "input_dim": 5}, {"units": 3}),
        (
            LAYERS.Embedding,
            {"input_dim": 5, "output_dim": 2, "input_length": 7},
            {"input_dim": 5, "output_dim": 2},
        ),
        (LAYERS.ReLU, {"batch_input_shape": [None, 3], "trainable": False},
         {"trainable": False}),
        (LAYERS.Dropout,
         {"rate": 0.5, "dtype": {"config": {"name": "float32"}}},
         {"rate": 0.5, "dtype": "float32"}),
        # What is gone and asks for nothing.
        (LAYERS.ReLU, {"gone": None, "other": [], "one": 1, "off": False}, {}),
        (Passing, {"units": 3, "rate": 0.5}, {"units": 3, "rate": 0.5}),
        (LAYERS.BatchNormalization, {"axis": [3]}, {"axis": 3}),
        (LAYERS.RandomContrast, {"factor": 0.25}, {"factor": [0.25, 0.25]}),
        (LAYERS.RandomContrast, {"factor": [0, 1]}, {"factor": [0, 1]}),
        (LAYERS.TextVectorization, {"vocabulary": ["b"], "ngrams": [1, 3]},
         {"vocabulary": ["b"], "ngrams": (1, 3)}),
    )  # fmt: skip
    def test_what_a_class_takes(self, cls, config, expected):
        found, _ = translate(cls, **config)
        self.assertEqual(found, expected)

    @parameterized.parameters(
        (LAYERS.ReLU, {"gone": 2}, "gone=2 of ReLU. Build"),
        (LAYERS.ReLU, {"gone": "x"}, "gone='x' of ReLU"),
        (LAYERS.ReLU, {"gone": True}, "gone=True"),
        (Closed, {"units": 3, "rate": 0.5}, "rate=0.5 of Closed"),
        (LAYERS.BatchNormalization, {"mode": 1}, "mode=1 of layer 'a'"),
    )
    def test_what_would_be_lost_is_refused(self, cls, config, message):
        with self.assertRaisesRegex(ValueError, f"Received: .*{message}"):
            translate(cls, **config)

    def test_gates_of_keras_2_where_the_file_says_nothing(self):
        found, _ = translate(LAYERS.GRU, units=3)
        self.assertFalse(found["reset_after"])
        gate = found["recurrent_activation"]
        # 0.2 x + 0.5, not the sixth of Keras 3.
        self.assertAlmostEqual(float(gate(keras.ops.array(1.0))), 0.7, places=6)
        found, _ = translate(LAYERS.GRU, units=3, reset_after=True)
        self.assertTrue(found["reset_after"])

    def test_objects_without_settings_that_are_gone(self):
        found, notes = translate(
            LAYERS.Dense,
            units=3,
            kernel_initializer={
                "class_name": "Zeros",
                "config": {"dtype": "float32"},
            },
            kernel_regularizer={"class_name": "L2", "config": {"l2": 0.5}},
        )
        self.assertIsInstance(
            found["kernel_initializer"], keras.initializers.Zeros
        )
        self.assertEqual(float(found["kernel_regularizer"].l2), 0.5)
        self.assertEqual(notes, [])

    def test_contrasts_in_an_order_that_keras_3_turns_are_told(self):
        _, notes = translate(LAYERS.RandomContrast, factor=[0.5, 0.25])
        self.assertEqual(notes, ["a: contrasts from 0.75 to 1.5"])

    def test_what_outputs_do_not_need_may_go_and_is_noted(self):
        lost = {"class_name": "Lost", "config": {}}
        found, notes = translate(
            *(LAYERS.Dense,),
            units=3,
            kernel_initializer=lost,
            kernel_constraint=lost,
        )
        self.assertEqual(found["kernel_initializer"], "zeros")
        self.assertIsNone(found["kernel_constraint"])
        self.assertEqual(
            notes,
            ["a: without its kernel_initializer",
             "a: without its kernel_constraint"],
        )  # fmt: skip


class ModernTest(parameterized.TestCase):
    @parameterized.parameters(
        ("CuDNNLSTM", "LSTM", {"activation": "tanh"}),
        ("CuDNNGRU", "GRU", {"reset_after": True}),
        ("BatchNormalizationV2", "BatchNormalization", {}),
        ("tfmot>PruneLowMagnitude", "PruneLowMagnitude", {}),
        ("Dense", "Dense", {}),
    )
    def test_classes_by_their_later_names(self, name, expected, more):
        entry = {"class_name": name, "config": {"units": 3}, "name": "a"}
        found = settings.modern(entry)
        self.assertEqual(found["class_name"], expected)
        self.assertEqual(found["name"], "a")
        for key, value in {"units": 3, **more}.items():
            self.assertEqual(found["config"][key], value)
        self.assertEqual(entry["class_name"], name)


class FindTest(absltest.TestCase):
    def test_a_class_of_keras_or_a_registered_one(self):
        entry = {"class_name": "Dense", "config": {}}
        self.assertIs(settings.find(entry), LAYERS.Dense)
        with keras.saving.custom_object_scope({"Passing": Passing}):
            found = settings.find({"class_name": "Passing", "config": {}})
        self.assertIs(found, Passing)
        self.assertTrue(settings.is_own(Passing))
        self.assertFalse(settings.is_own(LAYERS.Dense))

    def test_a_class_that_nobody_knows(self):
        with self.assertRaisesRegex(
            ValueError, "'Lost' of layer 'b'. Register"
        ):
            settings.find({"class_name": "Lost", "config": {"name": "b"}})


class SmallTest(absltest.TestCase):
    def test_what_all_layers_take(self):
        self.assertEqual(
            settings.base({"name": "a/b"}), {"name": "a_b", "trainable": True}
        )

    def test_a_number_for_each_axis(self):
        self.assertEqual(settings.pair(3, 2), [3, 3])
        self.assertEqual(settings.pair((3, 4), 2), [3, 4])

    def test_two_directions_that_begin_at_the_end(self):
        inner = {"units": 3, "go_backwards": True, "name": "b"}
        made = settings.nested(
            {
                "class_name": "Bidirectional",
                "config": {
                    "name": "a",
                    "layer": {"class_name": "SimpleRNN", "config": inner},
                },
            },
            [],
        )
        self.assertTrue(made.forward_layer.go_backwards)
        self.assertFalse(made.backward_layer.go_backwards)
        self.assertNotEqual(made.forward_layer.name, made.backward_layer.name)

    def test_versions_before_another(self):
        self.assertTrue(settings.is_before("2.9.0", 2, 10))
        self.assertTrue(settings.is_before("1.2.2", 2, 10))
        self.assertFalse(settings.is_before("2.10.0-tf", 2, 10))
        self.assertFalse(settings.is_before("2", 2, 10))

    def test_a_layer_that_is_not_trained(self):
        made = settings.make(
            LAYERS.Dense, {"units": 3, "trainable": False, "name": "a"}
        )
        self.assertFalse(made.trainable)


if __name__ == "__main__":
    absltest.main()
