import pathlib
from unittest import mock

import flatbuffers
import keras
import numpy as np
from absl.testing import parameterized

from tfprune.core import packages
from tfprune.export.file import packing
from tfprune.export.run import interpreter
from tfprune.export.run import litert
from tfprune.export.run import micro_runner
from tfprune.export.run import output_check
from tfprune_test import conftest
from tfprune_test.export import small_models

RUNTIMES = ("tflite", "reference", "micro")


class Halved(keras.layers.Layer):
    """Halves its input for minutes."""

    def call(self, x):
        def goes_on(count, _):
            return count < 2_000_000_000

        def step(count, x):
            return count + 1, x * 0.5

        return keras.ops.while_loop(goes_on, step, (0, x))[1]


def file_with_a_memory():
    """A .tflite file that adds its last input, kept in a state, to this one.

    The converter writes no such op for Keras 3: y(t) = x(t) + x(t - 1) as an
    SVDF with one filter over two points of time.
    """
    schema = packages.load("ai_edge_litert.schema_py_generated")
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers = 3, [graph], []
    graph.tensors = []

    def tensor(shape, values=(), **fields):
        buffer, new = schema.BufferT(), schema.TensorT()
        data = np.array(values, "float32").tobytes()
        buffer.data = np.frombuffer(data, "uint8") if data else None
        new.name, new.shape, new.buffer = b"t", shape, len(model.buffers)
        for name, value in fields.items():
            setattr(new, name, value)
        model.buffers.append(buffer)
        graph.tensors.append(new)
        return len(graph.tensors) - 1

    tensor([0])
    inputs = [
        tensor([1, 1]),
        tensor([1, 1], [1.0]),
        tensor([1, 2], [1.0, 1.0]),
        tensor([1], [0.0]),
        tensor([1, 2], isVariable=True),
    ]
    outputs = [tensor([1, 1])]
    graph.inputs, graph.outputs = inputs[:1], outputs
    code, operator = schema.OperatorCodeT(), schema.OperatorT()
    code.version = 1
    code.builtinCode = schema.BuiltinOperator.SVDF
    code.deprecatedBuiltinCode = schema.BuiltinOperator.SVDF
    operator.inputs, operator.outputs = inputs, outputs
    operator.builtinOptionsType = schema.BuiltinOptions.SVDFOptions
    operator.builtinOptions = schema.SVDFOptionsT()
    operator.builtinOptions.rank = 1
    graph.operators, model.operatorCodes = [operator], [code]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def with_scale(path, before, after):
    """Changes a scale in a file."""
    path = pathlib.Path(path)
    model = packing.unpacked(path.read_bytes())
    for tensor in model.subgraphs[0].tensors:
        steps = tensor.quantization
        if steps is not None and steps.scale is not None:
            if steps.scale[0] == before:
                steps.scale = [after]
    path.write_bytes(packing.packed(model))


class Positives(keras.layers.Layer):
    """An output whose size depends on the sample."""

    def call(self, inputs):
        import tensorflow as tf

        return tf.boolean_mask(inputs, inputs > 0)

    def compute_output_shape(self, input_shape):
        return (None,)


class InterpreterTest(parameterized.TestCase):
    def export(self, model, *args, **kwargs):
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        return small_models.export(model, path, *args, **kwargs)

    @parameterized.parameters(*RUNTIMES)
    def test_each_runtime_gives_the_outputs_of_keras(self, runtime):
        model = small_models.residual()
        (images,) = small_models.samples(model, 5)
        file = self.export(model)
        np.testing.assert_allclose(
            interpreter.run(file.path, images, runtime),
            model(images),
            atol=1e-5,
        )

    @parameterized.parameters(*RUNTIMES)
    def test_outputs_without_a_batch_axis(self, runtime):
        inputs = keras.Input((4, 3), batch_size=1)
        rows = keras.ops.squeeze(keras.layers.Dense(2)(inputs), 0)
        model = keras.Model(inputs, [rows, keras.ops.sum(rows)])
        x = np.random.default_rng(0).normal(size=(5, 4, 3)).astype("float32")
        file = self.export(model)
        found = interpreter.run(file.path, x, runtime)
        wanted = zip(*(model(x[i : i + 1]) for i in range(5)), strict=True)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, np.stack(b), atol=1e-5)

    @parameterized.parameters("float32", "int8")
    def test_outputs_of_any_size_follow_each_other(self, mode):
        inputs = keras.Input((6,), batch_size=1)
        model = keras.Model(inputs, Positives()(2.0 * inputs))
        x = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        given = None if mode == "float32" else x
        small_models.export(model, path, mode, given, runtime="tflite")
        found = interpreter.run(path, x)
        np.testing.assert_allclose(found, 2 * x[x > 0], atol=0.05)

    def test_int8_is_the_same_on_tflite_and_on_tflite_micro(self):
        model = small_models.residual()
        (images,) = small_models.samples(model, 200)
        file = self.export(model, "int8", images)
        outputs = {r: interpreter.run(file.path, images, r) for r in RUNTIMES}
        step = file.outputs[0].scale
        for runtime in ("tflite", "reference"):
            steps = (outputs[runtime] - outputs["micro"]) / step
            self.assertLessEqual(np.abs(steps).max(), 1.01)
        np.testing.assert_array_equal(
            outputs["reference"].argmax(1), outputs["micro"].argmax(1)
        )
        agreeing = outputs["tflite"].argmax(1) == outputs["micro"].argmax(1)
        self.assertGreaterEqual(agreeing.mean(), 0.99)
        right = outputs["micro"].argmax(1) == np.argmax(model(images), 1)
        self.assertGreaterEqual(right.mean(), 0.9)

    def test_real_speech_is_understood_alike(self):
        path = conftest.shared_path("data", "tinyml", "kws_ref_model.tflite")
        data = np.load(path.with_name("kws01_mfcc_int8_1000.npz"))
        scale, zero_point = data["scale"], data["zero_point"]
        x = (data["x"][:100, ..., None] - np.float32(zero_point)) * scale
        found = [
            interpreter.run(path, x, r).argmax(1)
            for r in ("reference", "micro")
        ]
        np.testing.assert_array_equal(found[0], found[1])
        self.assertGreater(np.mean(found[1] == data["y"][:100]), 0.85)

    @parameterized.parameters("tflite", "micro")
    def test_several_inputs_come_by_order_or_by_name(self, runtime):
        model = small_models.two_in_two_out()
        left, above = small_models.samples(model, 3)
        file = self.export(model)
        wanted = small_models.predictions(model, [left, above])
        for x in ((left, above), {"above": above, "left": left}):
            found = interpreter.run(file.path, x, runtime)
            self.assertIsInstance(found, tuple)
            for a, b in zip(found, wanted, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-6)

    @parameterized.parameters(*RUNTIMES)
    def test_a_sample_is_not_remembered_in_the_next(self, runtime):
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        path.write_bytes(file_with_a_memory())
        x = np.array([[1.0], [2.0], [3.0]], "float32")
        # With its memory of the sample before it would be 1, 3, 5.
        np.testing.assert_array_equal(interpreter.run(path, x, runtime), x)

    def test_samples_are_shared_among_processes_in_order(self):
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        path.write_bytes(file_with_a_memory())
        x = np.arange(1.0, 72.0, dtype="float32")[:, None]
        cores = mock.patch.object(interpreter, "_cores", lambda: 3)
        asked = mock.patch.object(
            interpreter, "ask_micro", side_effect=interpreter.ask_micro
        )
        with cores, asked as requests:
            found = interpreter.run(path, x, "micro")
        np.testing.assert_array_equal(found, x)
        rows = sorted(call.kwargs["rows"] for call in requests.mock_calls)
        self.assertEqual(rows, [[0, 23], [23, 47], [47, 71]])

    @parameterized.parameters("reference", "builtin")
    def test_inner_tensors_do_not_remember_a_sample_either(self, kernels):
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        path.write_bytes(file_with_a_memory())
        x = np.array([[1.0], [2.0], [3.0]], "float32")
        # All tensors have one name in it.
        model = packing.unpacked(path.read_bytes())
        for number, tensor in enumerate(model.subgraphs[0].tensors):
            tensor.name = f"t{number}".encode()
        path.write_bytes(packing.packed(model))
        rows = litert.intermediate(path, x, kernels)
        found = [tensors["t6"][0].item() for tensors in rows]
        self.assertEqual(found, [1.0, 2.0, 3.0])

    def test_a_file_that_xnnpack_refuses_runs_on_built_in_kernels(self):
        model = small_models.dead_branch()
        (images,) = small_models.samples(model, 20)
        file = self.export(model, "int8", images)
        self.assertEqual(litert.kernels(file.path), "xnnpack")
        with_scale(file.path, 2.0**-7, 8e-9)
        self.assertEqual(litert.kernels(file.path), "builtin")
        with self.assertLogs("absl", "WARNING") as logs:
            found = interpreter.run(file.path, images)
        self.assertIn("XNNPACK cannot run", logs.output[0])
        wanted = interpreter.run(file.path, images, "micro")
        np.testing.assert_allclose(
            found, wanted, atol=1.01 * file.outputs[0].scale
        )

    def test_other_files_run_on_xnnpack(self):
        file = self.export(small_models.dense())
        self.assertEqual(litert.kernels(file.path), "xnnpack")

    def test_the_reason_of_tflite_micro_is_told(self):
        model = small_models.large()
        file = self.export(model, "dynamic")
        with self.assertRaisesRegex(
            RuntimeError, "(?s)log.*FLOAT32 with filter type: INT8"
        ):
            interpreter.run(file.path, small_models.samples(model), "micro")

    def test_loops_without_end_are_told(self):
        inputs = keras.Input((3,))
        model = keras.Model(inputs, Halved()(inputs))
        with mock.patch.object(output_check, "check"):
            file = self.export(model)
        x = small_models.samples(model)[0][:1]
        with (
            mock.patch.object(micro_runner, "_LOOP_SECONDS", 1),
            self.assertLogs(level="WARNING") as logs,
            self.assertRaisesRegex(RuntimeError, "end each.*runtime='micro'"),
        ):
            interpreter.run(file.path, x, "micro")
        self.assertIn("loops", str(logs.output))

    @parameterized.parameters(
        (np.zeros((2, 5)), r"\('N', 6\).*\(2, 5\)"),
        (np.zeros((0, 6)), "at least 1"),
        (np.zeros(6), r"\(6,\)"),
        ((np.zeros((2, 6)),) * 2, r"\(2, 6\), \(2, 6\)"),
        ({"other": np.zeros((2, 6))}, r"'input'"),
        (np.full((2, 6), np.nan), "Finite"),
    )
    def test_data_that_does_not_fit_is_refused(self, x, message):
        file = self.export(small_models.dense())
        with self.assertRaisesRegex(ValueError, message):
            interpreter.run(file.path, x)

    def test_runtimes_are_listed(self):
        names = "tflite, litert, reference, micro"
        for runtime in ("onnx", ["micro"]):
            with self.assertRaisesRegex(ValueError, names):
                interpreter.run("model.tflite", np.zeros((1, 6)), runtime)
