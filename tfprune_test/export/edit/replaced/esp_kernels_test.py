import pathlib
from unittest import mock

import keras
import numpy as np
from absl import logging
from absl.testing import parameterized

from tfprune.export.edit.replaced import esp_kernels
from tfprune.export.file import model_file
from tfprune.export.file import packing
from tfprune.export.micro import compression
from tfprune.export.micro import firmware_folder
from tfprune.export.micro.arena import flat_ops
from tfprune.export.run import interpreter
from tfprune_test.export import hand_made
from tfprune_test.export import small_models

LAYERS = keras.layers


def strided(filters, kernel, strides=2, **options):
    return LAYERS.Conv2D(filters, kernel, strides, "same", **options)


# Shapes, layers, and the ops that take the place of those that would go wrong.
WRONG = {
    "odd and even sides": ((9, 10, 6), strided(4, 3), {"PAD", "CONV_2D"}),
    "a large kernel": ((8, 8, 8), strided(4, 5), {"PAD", "CONV_2D"}),
    "an even kernel": ((8, 8, 8), strided(4, 4, 1), {"PAD", "CONV_2D"}),
    "windows of few values": (
        (12, 5, 1),
        strided(3, (2, 5), 1, activation="relu"),
        {"PAD", "CONV_2D"},
    ),
    "rows of six": ((5, 6), LAYERS.Dense(3), {"CONV_2D"}),
    "rows of 20, relu6": (
        (3, 20),
        LAYERS.Dense(3, "relu6", use_bias=False),
        {"CONV_2D"},
    ),
    "softmax of rows": ((3, 40), LAYERS.Softmax(), {"SOFTMAX", "QUANTIZE"}),
    "softmax of whole vectors": ((3, 48), LAYERS.Softmax(), {"RESHAPE"}),
    "softmax of maps": ((3, 4, 20), LAYERS.Softmax(), {"RESHAPE"}),
    "pools of a map that is not square": (
        (6, 8, 4),
        LAYERS.AveragePooling2D(3, 2, "same"),
        {"AVERAGE_POOL_2D", "QUANTIZE"},
    ),
}
RIGHT = {
    "square maps": ((8, 8, 8), strided(4, 3)),
    "few channels": ((9, 10, 2), strided(4, 3)),
    "groups": ((9, 10, 6), strided(4, 3, groups=2)),
    "strides of one": ((9, 10, 6), strided(4, 3, 1)),
    "no padding": ((8, 9, 8), LAYERS.Conv2D(4, 4, 2)),
    "depthwise": ((9, 10, 8), LAYERS.DepthwiseConv2D(3, 2, "same")),
    "one row": ((6,), LAYERS.Dense(3)),
    "rows of eight": ((5, 8), LAYERS.Dense(3)),
    "softmax of more rows than columns": ((48, 32), LAYERS.Softmax()),
    "softmax of one row": ((40,), LAYERS.Softmax()),
    "pools of a square": ((8, 8, 4), LAYERS.AveragePooling2D(2)),
    "pools in C": ((6, 8, 3), LAYERS.AveragePooling2D(2)),
    "largest values": ((6, 8, 4), LAYERS.MaxPooling2D()),
}
POOL = (6, 8, 4), LAYERS.AveragePooling2D(2)
FIRMWARE = (
    ({"core": "esp32-s3"}, "rewritten"),
    ({"board": "esp32-s3"}, "rewritten"),
    ({"kernels": "esp-nn"}, "rewritten"),
    ({"project": "esp-idf"}, "rewritten"),
    ({"core": "ESP32"}, "kept"),
    ({"core": "esp32-s3", "kernels": "reference"}, "kept"),
    ({"core": "cortex-m4"}, "kept"),
    ({}, "warned"),
)


class EspKernelsTest(parameterized.TestCase):
    def export(self, *cases, **options):
        """The file of a model with inputs of some shapes, and its inputs."""
        inputs = [keras.Input(shape) for shape, _ in cases]
        # An op before it, as reshapes of inputs are left out.
        outputs = [
            layer(LAYERS.LeakyReLU()(x))
            for x, (_, layer) in zip(inputs, cases, strict=True)
        ]
        model = keras.Model(inputs, outputs)
        for weight in model.weights:
            weight.assign(np.random.default_rng(1).normal(size=weight.shape))
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        data = small_models.samples(model, 30)
        small_models.export(model, path, "int8", data, **options)
        return path, data

    @parameterized.named_parameters((k, *v) for k, v in WRONG.items())
    def test_what_goes_wrong_is_computed_by_other_ops(
        self, shape, layer, kinds
    ):
        path, data = self.export((shape, layer))
        wanted = interpreter.run(path, data, "micro")
        made, names = esp_kernels.substituted(path.read_bytes())
        self.assertLen(names, 1)
        (graph,) = flat_ops.read(made)
        self.assertLessEqual(kinds, {op.kind for op in graph.ops})
        path.write_bytes(made)
        self.assertEqual(esp_kernels.substituted(made), (made, []))
        found = interpreter.run(path, data, "micro")
        (output,) = model_file.read(path).outputs
        steps = 1.01 if "SOFTMAX" in kinds else 0  # by another kernel
        np.testing.assert_allclose(found, wanted, atol=steps * output.scale)

    def test_compressed_weights(self):
        inputs = keras.Input((5, 60))
        layer = LAYERS.Dense(64)
        model = keras.Model(inputs, layer(inputs))
        kernel = np.random.default_rng(1).normal(size=(60, 64))
        layer.kernel.assign(np.where(np.abs(kernel) > 2, kernel, 0))
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        data = small_models.samples(model, 30)
        small_models.export(model, path, "int8", data)
        wanted = interpreter.run(path, data, "micro")
        compression.compress_tflite(path, path)
        made, names = esp_kernels.substituted(path.read_bytes())
        self.assertLen(names, 1)
        (graph,) = flat_ops.read(made)
        kinds = [op.kind for op in graph.ops]
        self.assertEqual(
            kinds, ["TFLM_DECODE", "RESHAPE", "CONV_2D", "RESHAPE"]
        )
        path.write_bytes(made)
        found = interpreter.run(path, data, "micro")
        np.testing.assert_array_equal(found, wanted)

    def test_the_plain_kernels(self):
        path, _ = self.export(POOL, ((3, 48), LAYERS.Softmax()))
        data, names = esp_kernels.substituted(path.read_bytes(), "plain")
        self.assertLen(names, 1)
        (graph,) = flat_ops.read(data)
        (op,) = (op for op in graph.ops if op.kind == "SOFTMAX")
        self.assertEqual(op.inputs[0].shape, (3, 48))

    def test_what_goes_right_stays(self):
        data = self.export(*RIGHT.values())[0].read_bytes()
        self.assertEqual(esp_kernels.substituted(data), (data, []))

    def test_a_damaged_file(self):
        path, _ = self.export(*(case[:2] for case in WRONG.values()))
        data = path.read_bytes()
        for count in (0, 1):
            model = packing.unpacked(data)
            for tensor in model.subgraphs[0].tensors:
                tensor.shape = list(tensor.shape)[:count]
            with self.assertRaisesRegex(ValueError, "a .tflite file"):
                esp_kernels.substituted(packing.packed(model))
        model = packing.unpacked(data)
        for op in model.subgraphs[0].operators:
            op.inputs = op.inputs[:1]
        with self.assertRaisesRegex(ValueError, "a .tflite file"):
            esp_kernels.substituted(packing.packed(model))

    def test_ops_without_outputs(self):
        sketch = hand_made.Sketch()
        handle = sketch.tensor("handle", (1,), "int32")
        value = sketch.tensor("value", (1, 4), "int8", ([0.1], [0]))
        sketch.op("ASSIGN_VARIABLE", [handle, value], [])
        data = sketch.data([handle, value], [value])
        self.assertEqual(esp_kernels.substituted(data), (data, []))

    def test_the_kernels_of_an_export(self):
        path, _ = self.export(POOL, kernels="esp-nn")
        (graph,) = flat_ops.read(path.read_bytes())
        kinds = [op.kind for op in graph.ops]
        self.assertEqual(kinds[1:], ["QUANTIZE", "AVERAGE_POOL_2D", "QUANTIZE"])

    def test_the_signature_of_an_export(self):
        path, _ = self.export(POOL, ((5, 6), LAYERS.Dense(3)), kernels="esp-nn")
        model = packing.unpacked(path.read_bytes())
        (graph,), (signature,) = model.subgraphs, model.signatureDefs
        for ends, named in (
            (graph.inputs, signature.inputs),
            (graph.outputs, signature.outputs),
        ):
            self.assertSequenceEqual(
                list(ends), [entry.tensorIndex for entry in named]
            )

    def test_firmware(self):
        path, _ = self.export(POOL)
        for number, (options, what) in enumerate(FIRMWARE):
            with self.subTest(**options):
                out = path.parent / f"firmware{number}"
                with mock.patch.object(logging, "warning") as warning:
                    firmware_folder.export_micro(path, out, **options)
                texts = [str(call.args) for call in warning.call_args_list]
                said = any("ESP-NN would compute" in text for text in texts)
                self.assertEqual(said, what == "warned")
                settings = (out / "model_settings.h").read_text()
                self.assertEqual("#warning" in settings, what == "warned")
                ops = (out / "model_ops.h").read_text()
                self.assertEqual("AddQuantize" in ops, what == "rewritten")

    def test_firmware_of_a_folder_that_has_the_project(self):
        path, _ = self.export(POOL)
        out = path.parent / "firmware"
        for project in ("esp-idf", None, "zephyr"):
            firmware_folder.export_micro(path, out, project=project)
            self.assertIn("AddQuantize", (out / "model_ops.h").read_text())
