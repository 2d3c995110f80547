import dataclasses
import pathlib

import numpy as np
from absl.testing import parameterized

from tfprune.export.file import contents
from tfprune.export.file import model_file
from tfprune.export.file import weight_ops
from tfprune_test import conftest
from tfprune_test.export import small_models

STEPS = model_file.Tensor("x", (1, 4), "int8", 0.5, -10)


class TensorTest(parameterized.TestCase):
    def test_real_values_are_rounded_away_from_zero_and_clipped(self):
        real = np.array([0.0, 0.25, -0.25, 0.24, 1e6, -1e6])
        self.assertEqual(
            STEPS.encode(real).tolist(), [-10, -9, -11, -10, 127, -128]
        )

    def test_decoding_undoes_encoding(self):
        real = np.arange(-59.0, 68.5, 0.5)
        encoded = STEPS.encode(real)
        self.assertEqual(encoded.dtype, np.int8)
        np.testing.assert_array_equal(STEPS.decode(encoded), real)

    def test_a_tensor_without_steps_takes_values_as_they_are(self):
        plain = model_file.Tensor("x", (1, 4), "float32")
        encoded = plain.encode(np.array([0.1, 2]))
        self.assertEqual(encoded.dtype, np.float32)
        np.testing.assert_array_equal(plain.decode(encoded), encoded)

    @parameterized.parameters(0.5, 2**40)
    def test_an_index_is_not_rounded(self, value):
        index = model_file.Tensor("x", (1,), "int32")
        self.assertEqual(index.encode(np.array([3.0])).dtype, np.int32)
        with self.assertRaisesRegex(ValueError, "int32 are required"):
            index.encode(np.array([value]))

    def test_values_that_are_not_finite_are_refused(self):
        with self.assertRaisesRegex(ValueError, "Finite"):
            STEPS.encode(np.array([np.nan]))

    def test_what_is_no_number_is_refused(self):
        for values in (np.array(["a"]), np.array([object()])):
            with self.assertRaisesRegex(ValueError, "Numbers.*of dtype"):
                STEPS.encode(values)


class EncodeTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        tensors = [model_file.Tensor(n, (1, 1), "float32") for n in "ab"]
        tensors[1] = dataclasses.replace(tensors[1], name="b_c")
        self._file = model_file.ModelFile("f", 0, {}, tuple(tensors), ())

    @parameterized.parameters("b_c", "b c", "b-ç")
    def test_names_may_be_those_of_the_model(self, name):
        found = self._file.encode({name: [[2]], "a": [[1]], "other": [[3]]})
        self.assertEqual([array.item() for array in found], [1, 2])

    def test_a_name_that_is_missing_is_told(self):
        with self.assertRaisesRegex(ValueError, "a dict of .'a', 'd'.*a list"):
            self._file.encode({"a": [[1]], "d": [[2]]})


class ReadTest(parameterized.TestCase):
    def test_a_file_made_elsewhere(self):
        path = conftest.shared_path("data", "tinyml", "kws_ref_model.tflite")
        file = model_file.read(path)
        self.assertEqual(file.file_bytes, 53936)
        self.assertEqual(file.ops["DEPTHWISE_CONV_2D"], 4)
        self.assertEqual(sum(file.ops.values()), 13)
        (tensor,) = file.inputs
        self.assertEqual(tensor.shape, (1, 49, 10, 1))
        self.assertEqual((tensor.dtype, tensor.zero_point), ("int8", 83))
        self.assertAlmostEqual(tensor.scale, 0.58470291, places=7)
        self.assertEqual(file.outputs[0].shape, (1, 12))

    def test_ops_inside_of_loops_count(self):
        path = pathlib.Path(self.create_tempdir().full_path, "a.tflite")
        file = small_models.export(small_models.lstm(unroll=False), path)
        self.assertEqual(file.ops["WHILE"], 1)
        self.assertEqual(file.ops["LOGISTIC"], 3)

    def test_every_reader_names_damage_in_one_line(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        whole, path = folder / "whole.tflite", folder / "a.tflite"
        small_models.export(small_models.dense(), whole)
        data = whole.read_bytes()
        readers = (
            model_file.read,
            model_file.output_names,
            contents.ops,
            lambda path: weight_ops.channelwise_dense(path.read_bytes()),
            lambda path: weight_ops.computed_tensors(path.read_bytes()),
        )
        refused = dict.fromkeys(range(len(readers)), 0)
        rng = np.random.default_rng(0)
        for _ in range(300):
            damaged = bytearray(data)
            at = 4 * int(rng.integers(2, len(data) // 8))
            damaged[at : at + 4] = rng.bytes(4)
            path.write_bytes(damaged)
            for number, reader in enumerate(readers):
                try:
                    reader(path)
                except ValueError as error:
                    self.assertRegex(str(error), r"\A.*is damaged.*\Z")
                    refused[number] += 1
        self.assertGreater(min(refused.values()), 10, refused)

    @parameterized.named_parameters(
        ("empty", lambda data: b""),
        ("text", lambda data: b"not a model at all"),
        ("cut_off", lambda data: data[: len(data) // 2]),
        ("only_the_mark", lambda data: data[:8]),
        ("keras", lambda data: b"PK\x03\x04" + data),
    )
    def test_what_is_no_model_is_refused(self, damage):
        path = pathlib.Path(self.create_tempdir().full_path, "a.tflite")
        small_models.export(small_models.dense(), path)
        path.write_bytes(damage(path.read_bytes()))
        refusal = "TFLite model is required|The file is damaged"
        with self.assertRaisesRegex(ValueError, refusal):
            model_file.read(path)
