import keras
import numpy as np
from absl.testing import absltest

from tfprune.export.convert import tflite
from tfprune.export.convert.traced import plain_names
from tfprune.export.run import interpreter
from tfprune.graph import values
from tfprune_test.export import small_models


def model():
    """Names that Keras takes, and that TensorFlow cannot trace."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,), name="Höhe 1")
    nested = keras.Input((4,))
    inner = keras.Model(
        nested, keras.layers.Dense(3, name="(2)")(nested), name="inner part"
    )
    x = keras.layers.Dense(4, name="_dense", activation="relu")(inputs)
    outputs = keras.layers.ReLU(name="größte")(inner(x))
    return keras.Model(inputs, outputs, name="My 模型")


class PlainNamesTest(absltest.TestCase):
    def test_names_come_back(self):
        net = model()
        before = [layer.name for layer in values.layers(net)]
        with self.assertRaises(KeyError), plain_names.renamed(net):
            self.assertEqual(net.name, "My___")
            raise KeyError
        after = [layer.name for layer in values.layers(net)]
        self.assertEqual(before, after)

    def test_good_names_stay(self):
        net = small_models.residual()
        names = [layer.name for layer in net.layers]
        with plain_names.renamed(net):
            self.assertEqual(names, [layer.name for layer in net.layers])

    def test_a_model_exports_whatever_its_names(self):
        net = model()
        x = np.random.default_rng(0).normal(size=(150, 6)).astype("float32")
        path = f"{self.create_tempdir().full_path}/net.tflite"
        for mode in ("float32", "int8"):
            calibration = None if mode == "float32" else x
            file = tflite.export_tflite(net, path, mode, calibration)
            self.assertEqual(file.inputs[0].name, "Hohe_1")
            self.assertEqual(file.outputs[0].name, "gro_te")
            wanted = keras.ops.convert_to_numpy(net(x))
            off = np.abs(interpreter.run(path, x) - wanted).max()
            self.assertLess(off, 0.05 * np.ptp(wanted))


if __name__ == "__main__":
    absltest.main()
