import importlib.util
import json
import os
import pathlib
from unittest import mock

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.core.processes import child
from tfprune.export.convert import tflite
from tfprune.export.file import model_file
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

KINDS = (
    ("functional", small_models.residual),
    ("sequential", small_models.sequential),
    ("subclassed", small_models.subclassed),
    ("custom_layer", small_models.custom_layer),
    ("constants", small_models.normalized),
    ("transposed", small_models.squeeze_and_excite),
    ("integers", small_models.embedded),
    ("several", small_models.two_in_two_out),
    ("unrolled", lambda: small_models.lstm(unroll=True)),
    ("recurrent", lambda: small_models.lstm(unroll=False)),
    ("loop", small_models.loop),
)


class ExportTestCase(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.path = self.folder / "model.tflite"

    def compare(self, model, arrays):
        """The largest difference to Keras, as a share of the outputs' range."""
        found = interpreter.run(self.path, arrays)
        found = found if isinstance(found, tuple) else (found,)
        wanted = small_models.predictions(model, arrays)
        self.assertEqual([a.shape for a in found], [b.shape for b in wanted])
        return max(
            np.abs(a - b).max() / np.ptp(b)
            for a, b in zip(found, wanted, strict=True)
        )


class ModelsTest(ExportTestCase):
    @parameterized.named_parameters(*KINDS)
    def test_float32_predicts_what_keras_predicts(self, build):
        model = build()
        small_models.export(model, self.path)
        arrays = small_models.samples(model)
        self.assertLess(self.compare(model, arrays), 1e-5)

    @parameterized.named_parameters(*KINDS[:-1])
    def test_int8_is_near_in_steps_of_a_byte(self, build):
        model = build()
        arrays = small_models.samples(model, 100)
        by_name = not getattr(model, "inputs", None)
        data = dict(zip("ab", arrays)) if by_name else arrays
        file = small_models.export(model, self.path, "int8", data)
        self.assertLess(self.compare(model, arrays), 0.05)
        dtypes = {t.dtype for t in file.inputs + file.outputs}
        self.assertLessEqual(dtypes, {"int8", "int32"})
        self.assertIn("int8", dtypes)

    def test_many_weights(self):
        # Beyond 16 MB the converter reads another format.
        inputs = [keras.Input((2100,), name=name) for name in ("b", "a")]
        x = keras.layers.Dense(2100, "swish", name="wide")(inputs[0])
        outputs = {
            "second": keras.layers.Dense(2, name="second")(x),
            "first": keras.layers.Dense(3, name="first")(inputs[1]),
        }
        model = keras.Model(inputs, outputs)
        small_models.export(model, self.path)
        rng = np.random.default_rng(0)
        arrays = [rng.normal(size=(4, 2100)).astype("float32") for _ in "ab"]
        self.assertLess(self.compare(model, arrays), 1e-5)
        file = model_file.read(self.path)
        self.assertEqual([x.name for x in file.inputs], ["b", "a"])
        names = [x.name for x in file.outputs]
        self.assertEqual(names, ["first", "second"])

    @parameterized.product(
        layer=[keras.layers.SimpleRNN, keras.layers.LSTM],
        mode=["float32", "int8", "int16x8"],
    )
    def test_names_that_differ_in_capitals_alone(self, layer, mode):
        inputs = [keras.Input((3, 2), name=name) for name in ("A", "a")]
        outputs = [
            layer(2, name=name)(x)
            for name, x in zip(("Out", "out"), inputs, strict=True)
        ]
        model = keras.Model(inputs, outputs)
        data = None if mode == "float32" else small_models.samples(model, 8)
        file = small_models.export(model, self.path, mode, data)
        self.assertEqual(
            [tensor.name for tensor in (*file.inputs, *file.outputs)],
            ["A", "a", "Out", "out"],
        )

    def test_the_record_describes_the_file(self):
        model = small_models.two_in_two_out()
        file = small_models.export(model, str(self.path))
        self.assertEqual(file.path, str(self.path))
        self.assertEqual(file.file_bytes, os.path.getsize(self.path))
        self.assertEqual([t.name for t in file.inputs], ["left", "above"])
        self.assertEqual([t.name for t in file.outputs], ["sum", "part"])
        self.assertEqual([t.shape for t in file.outputs], [(1, 4), (1, 2)])
        self.assertEqual(file.ops["FULLY_CONNECTED"], 3)

    @parameterized.parameters("float32", "int8")
    def test_batch_norm_is_folded_and_shapes_are_fixed(self, quantize):
        model = small_models.residual()
        data = small_models.samples(model) if quantize == "int8" else None
        file = small_models.export(model, self.path, quantize, data)
        kernels = {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MEAN"}
        self.assertEqual(set(file.ops), kernels | {"FULLY_CONNECTED"})

    def test_the_model_is_not_changed(self):
        model = small_models.residual()
        model.trainable = False
        weights = [w.copy() for w in model.get_weights()]
        config = json.dumps(model.get_config(), default=str)
        data = small_models.samples(model)
        small_models.export(model, self.path, "int8", data)
        self.assertEqual(json.dumps(model.get_config(), default=str), config)
        for before, after in zip(weights, model.get_weights(), strict=True):
            np.testing.assert_array_equal(before, after)

    def test_open_dimensions_are_filled_in(self):
        inputs = keras.Input((None, None, 2))
        model = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
        file = small_models.export(model, self.path, input_shapes=(5, 4, 2))
        self.assertEqual(file.inputs[0].shape, (1, 5, 4, 2))
        self.assertEqual(file.outputs[0].shape, (1, 3, 2, 2))


class ModesTest(ExportTestCase):
    def test_none_means_float32(self):
        model = small_models.dense()
        small_models.export(model, self.path)
        data = self.path.read_bytes()
        small_models.export(model, self.path, None)
        self.assertEqual(self.path.read_bytes(), data)

    @parameterized.parameters(
        ("float32", 4, 1e-6), ("float16", 2, 1e-3), ("dynamic", 1, 0.02)
    )
    def test_each_mode_has_its_bytes_a_weight(self, quantize, width, error):
        model = small_models.large()
        file = small_models.export(model, self.path, quantize)
        weights = 64 * 256 * width
        self.assertBetween(file.file_bytes, weights, weights + 4200)
        self.assertLess(self.compare(model, small_models.samples(model)), error)
        self.assertEqual(file.inputs[0].dtype, "float32")

    @parameterized.parameters(("int16x8", 1, 2e-3), ("int4", 0.5, 0.15))
    def test_quantized_modes(self, quantize, width, error):
        model = small_models.large()
        data = small_models.samples(model, 50)
        file = small_models.export(model, self.path, quantize, data)
        weights = int(64 * 256 * width)
        # Biases, a scale and a zero point for each of 256 channels.
        self.assertBetween(file.file_bytes, weights, weights + 10_000)
        self.assertLess(self.compare(model, data), error)
        dtype = {"int16x8": "int16", "int4": "int8"}[quantize]
        self.assertEqual(file.inputs[0].dtype, dtype)
        before = self.path.read_bytes()
        small_models.export(model, self.path, quantize, data)
        self.assertEqual(self.path.read_bytes(), before)

    def test_activations_without_an_int16_kernel_are_named(self):
        inputs = keras.Input((6,))
        x = keras.layers.Dense(8, "hard_swish")(inputs)
        model = keras.Model(inputs, keras.layers.Dense(3)(x))
        with self.assertLogs("absl", "WARNING") as logs:
            file = small_models.export(
                model, self.path, "int16x8", small_models.samples(model, 50)
            )
        self.assertIn("DEQUANTIZE", file.ops)
        self.assertIn("no kernel for int16", logs.output[-1])

    @parameterized.parameters(
        (None, "int8"), ("int8", "int8"), ("float32", "float32")
    )
    def test_int8_has_either_interface(self, interface, dtype):
        model = small_models.large()
        data = small_models.samples(model, 50)
        file = small_models.export(
            model, self.path, "int8", data, interface=interface
        )
        self.assertEqual(file.inputs[0].dtype, dtype)
        self.assertEqual(file.outputs[0].dtype, dtype)
        self.assertLess(file.file_bytes, 64 * 256 + 5000)
        self.assertLess(self.compare(model, data), 0.03)

    def test_every_form_of_calibration_data_gives_the_same_file(self):
        import tensorflow as tf

        model = small_models.dense()
        (data,) = small_models.samples(model, 30)
        pairs = tf.data.Dataset.from_tensor_slices((data, range(30))).batch(8)
        forms = [
            data,
            {"input": data},
            pairs,
            pairs.repeat(),
            (sample for sample in data),
        ]
        files = set()
        for form in forms:
            small_models.export(
                model, self.path, "int8", form, calibration_samples=30
            )
            files.add(self.path.read_bytes())
        self.assertLen(files, 1)

    def test_the_ranges_come_from_the_calibration_data(self):
        model = small_models.dense()
        (data,) = small_models.samples(model, 30)
        scales = [
            small_models.export(model, self.path, "int8", data * k)
            .inputs[0]
            .scale
            for k in (1, 10)
        ]
        self.assertAlmostEqual(scales[1] / scales[0], 10, places=3)


class ErrorsTest(ExportTestCase):
    def refused(self, exception, message, model, *args, **kwargs):
        """Asserts a refusal before a process is started or a file touched."""
        started = AssertionError("a process was started")
        with mock.patch.object(child, "Child", side_effect=started):
            with self.assertRaisesRegex(exception, message):
                tflite.export_tflite(model, *args, **kwargs)
        self.assertEmpty(list(self.folder.iterdir()))

    @parameterized.named_parameters(
        ("no_mode", ("int3",), {}, "one of float32, .*, int4. Received"),
        ("mode_of_another_type", (8,), {}, "quantize=8"),
        (
            "no_interface",
            ("int8",),
            {"interface": "int4"},
            "int8, uint8, float32",
        ),
        ("no_runtime", (), {"runtime": "phone"}, "one of micro, tflite"),
        ("no_steps", (), {"recurrent": "fused"}, 'for quantize="int8"'),
        ("no_layer", (), {"keep_float": "dense"}, 'for quantize="int8"'),
        ("no_range", (), {"ranges": {"a": (0, 1)}}, 'for quantize="int8"'),
        ("interface_of_floats", (), {"interface": "int8"}, "one of float32"),
        ("no_calibration", ("int8",), {}, "Calibration data is required"),
        ("calibration_of_floats", ("dynamic", [0]), {}, "quantize=int8"),
        (
            "calibration_of_wrong_shape",
            ("int8", np.zeros((9, 3, 8, 8))),
            {},
            r"'image' must have shape \(N, 8, 8, 2\). Received.*\(9, 3, 8, 8\)",
        ),
        (
            "calibration_with_nan",
            ("int8", np.full((9, 8, 8, 2), np.nan)),
            {},
            "must be finite",
        ),
        ("input_shapes", (), {"input_shapes": (4, 4, 2)}, "the model has"),
    )
    def test_arguments(self, args, kwargs, message):
        model = small_models.residual()
        self.refused(ValueError, message, model, self.path, *args, **kwargs)

    @parameterized.named_parameters(
        ("no_model", lambda: "a.keras", TypeError, "keras.Model is required"),
        ("unbuilt", small_models.Subclassed, ValueError, "built model"),
    )
    def test_models(self, build, exception, message):
        self.refused(exception, message, build(), self.path)

    def test_weights_that_are_not_finite(self):
        model = small_models.dense()
        model.layers[-1].bias.assign([0.0, np.nan, 0.0])
        self.refused(ValueError, "Finite weights", model, self.path)

    @parameterized.parameters(
        (".", IsADirectoryError), ("missing/a.tflite", FileNotFoundError)
    )
    def test_paths(self, path, exception):
        model = small_models.dense()
        self.refused(exception, "path=", model, self.folder / path)

    def test_another_backend(self):
        with mock.patch.object(keras.config, "backend", return_value="jax"):
            self.refused(
                RuntimeError, "KERAS_BACKEND=tensorflow", None, self.path
            )

    def test_a_missing_package(self):
        with mock.patch.object(importlib.util, "find_spec", return_value=None):
            self.refused(
                ImportError,
                r'pip install "tfprune\[export\]"',
                small_models.dense(),
                self.path,
            )

    def test_a_model_that_raises(self):
        model = small_models.dense()
        with mock.patch.object(
            type(model), "call", side_effect=ValueError("my own trouble")
        ):
            with self.assertRaisesRegex(RuntimeError, "my own trouble"):
                small_models.export(model, self.path)

    def test_ops_without_a_kernel_are_named_with_their_layer(self):
        self.path.write_bytes(b"an older file")
        with self.assertRaisesRegex(
            ValueError, "with Erfinv .at .*odd.*Erfinv"
        ):
            small_models.export(small_models.without_kernel(), self.path)
        self.assertEqual(os.listdir(self.folder), [self.path.name])
        self.assertEqual(self.path.read_bytes(), b"an older file")

    def test_a_lookup_table_is_named(self):
        inputs = keras.Input((2,), dtype="int64")
        lookup = keras.layers.IntegerLookup(vocabulary=[1, 2])
        with self.assertRaisesRegex(ValueError, "lookup table"):
            small_models.export(keras.Model(inputs, lookup(inputs)), self.path)


class ProcessTest(ExportTestCase):
    """The converter in its own process, some five seconds each."""

    @pytest.mark.slow  # A second process.
    def test_the_file_is_that_of_any_other_process(self):
        model = small_models.residual()
        data = small_models.samples(model)
        tflite.export_tflite(model, self.path, "int8", data)
        found = self.path.read_bytes()
        model.save(self.folder / "model.keras")
        loaded = keras.models.load_model(self.folder / "model.keras")
        small_models.export(loaded, self.path, "int8", data)
        self.assertEqual(self.path.read_bytes(), found)

    def test_sums_that_keras_takes_for_biases(self):
        inputs = keras.Input((5, 3))
        added = np.arange(5, dtype="float32").reshape(1, 5, 1)
        model = keras.Model(inputs, inputs + added)
        small_models.export(model, self.path)
        arrays = small_models.samples(model)
        self.assertLess(self.compare(model, arrays), 1e-6)
        inputs = keras.Input((5, 3), dtype="int32")
        model = keras.Model(inputs, inputs + np.arange(3, dtype="int32"))
        small_models.export(model, self.path)
        arrays = small_models.samples(model)
        self.assertEqual(self.compare(model, arrays), 0)

    def test_a_crash_of_the_converter_is_an_error(self):
        model = small_models.loop()
        data = small_models.samples(model)
        with self.assertRaisesRegex(RuntimeError, "(?s)SIGSEGV.*holds a loop"):
            tflite.export_tflite(model, self.path, "int8", data)
        self.assertEmpty(os.listdir(self.folder))
