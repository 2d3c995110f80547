import keras
from absl.testing import absltest

from tfprune.core.processes import child
from tfprune.export.convert import failures
from tfprune.export.convert import tflite

PLACES = {"places": {"Lgamma": "head", "While": "loop"}}


def answer(error):
    return child.Answer(None, error, crashed=False, log="the end")


class FailuresTest(absltest.TestCase):
    def test_ends_of_float(self):
        error = "RuntimeError: Unsupported output type INT16 for output tensor"
        self.assertTrue(failures.are_float_ends(answer(error)))
        self.assertFalse(failures.are_float_ends(answer("Unsupported op")))
        self.assertFalse(failures.are_float_ends(answer(None)))

    def test_an_op_without_a_kernel_is_named_with_its_layer(self):
        found = failures.of(
            answer("Some ops are missing\nTF Select ops: Lgamma, Igamma"),
            PLACES,
            "int8",
        )
        self.assertIsInstance(found, ValueError)
        self.assertIn("Igamma, Lgamma (at head)", str(found))

    def test_a_loop_is_the_likely_reason(self):
        found = failures.of(answer("it broke\nat length"), PLACES, "int8")
        self.assertIsInstance(found, RuntimeError)
        self.assertIn("(it broke). The model holds a loop", str(found))
        found = failures.of(answer("it broke"), {"places": {}}, "int8")
        self.assertNotIn("loop", str(found))

    def test_layers_that_keras_has_quantized_are_the_likely_reason(self):
        inputs = keras.Input((4,))
        dense = keras.layers.Dense(2, name="head")(inputs)
        model = keras.Model(inputs, dense)
        model.get_layer("head").quantize("int8")
        with self.assertRaisesRegex(RuntimeError, "quantized head: export the"):
            tflite.export_tflite(model, self.create_tempfile().full_path)


if __name__ == "__main__":
    absltest.main()
