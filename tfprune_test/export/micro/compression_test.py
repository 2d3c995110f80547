import os
import pathlib
import tempfile
from unittest import mock

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.convert import tflite
from tfprune.export.edit import weight_codes
from tfprune.export.file import model_file
from tfprune.export.file import packing
from tfprune.export.micro import compression
from tfprune.export.micro import firmware_folder
from tfprune.export.micro.arena import arena_need
from tfprune.export.micro.arena import arena_plan
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

pytest.importorskip("tflite_micro", reason="Linux on x86-64 only")
layers = keras.layers
SHARE = 0.8


def sparse_net():
    """All kinds of kernels, four of five weights zero."""
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same")(x)
    x = layers.Flatten()(layers.AveragePooling2D(6)(x))
    model = keras.Model(inputs, layers.Dense(64)(x))
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if len(variable.shape) > 1:
            values = variable.numpy()
            values[rng.random(values.shape) < SHARE] = 0
            variable.assign(values)
    return model


class CompressionTestCase(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.paths = {}
        model = sparse_net()
        cls.x = small_models.samples(model, 32)[0]
        for mode in ("int8", "float32"):
            path = pathlib.Path(folder, f"{mode}.tflite")
            data = cls.x if mode == "int8" else None
            small_models.export(model, path, mode, data)
            cls.paths[mode] = path

    def setUp(self):
        super().setUp()
        self.out = pathlib.Path(self.create_tempdir().full_path, "out.tflite")


class CodesTest(CompressionTestCase):
    @parameterized.parameters("int8", "float32")
    def test_every_kernel_has_a_code_of_the_predicted_size(self, mode):
        rows = weight_codes.shorter(self.paths[mode].read_bytes())
        self.assertLen(rows, 5)
        for row in rows:
            size = 1 if mode == "int8" else 4
            count = row.before // size
            kept = round((1 - row.zeros) * count)
            self.assertEqual(row.method, "pruning")
            # A bit for each weight, what is left, and a header of 16 bytes.
            self.assertEqual(row.after, -(-count // 8) + kept * size + 16)
            # Small weights are zero after rounding, too.
            self.assertBetween(row.zeros, 0.7, 0.9)

    @parameterized.parameters("int8", "float32")
    def test_outputs_are_the_same_to_the_last_bit(self, mode):
        data = self.paths[mode].read_bytes()
        rows = weight_codes.shorter(data)
        self.out.write_bytes(weight_codes.rewritten(data, rows))
        wanted, got = (
            interpreter.run(path, self.x, "micro")
            for path in (self.paths[mode], self.out)
        )
        np.testing.assert_array_equal(wanted, got)
        self.assertEqual(
            model_file.read(self.out).ops["TFLM_DECODE"], len(rows)
        )

    def test_the_same_file_every_time(self):
        data = self.paths["int8"].read_bytes()
        rows = weight_codes.shorter(data)
        self.assertEqual(
            weight_codes.rewritten(data, rows),
            weight_codes.rewritten(data, weight_codes.shorter(data)),
        )

    @parameterized.product(bits=(1, 3, 5), kind=("dense", "conv", "depthwise"))
    def test_few_values_are_looked_up(self, bits, kind):
        """Kernels on a coarse grid of their own for each channel."""
        inputs = keras.Input((256,) if kind == "dense" else (10, 10, 16))
        layer = {
            "dense": layers.Dense(32, use_bias=False),
            "conv": layers.Conv2D(8, 3, use_bias=False),
            "depthwise": layers.DepthwiseConv2D(10, use_bias=False),
        }[kind]
        model = keras.Model(inputs, layer(inputs))
        rng = np.random.default_rng(0)
        half = 2**bits // 2
        levels = np.delete(np.arange(-half, half + 1), half)
        shape = layer.kernel.shape
        kernel = rng.choice(levels, shape).astype("float32")
        axis = 2 if kind == "depthwise" else -1
        scales = rng.uniform(0.3, 1, shape[axis])
        kernel = np.moveaxis(kernel, axis, -1) * scales
        layer.kernel.assign(np.moveaxis(kernel, -1, axis))
        path = self.out.with_name("coarse.tflite")
        x = small_models.samples(model, 20)[0]
        small_models.export(model, path, "int8", x)
        data = path.read_bytes()
        (row,) = weight_codes.shorter(data)
        self.assertEqual(row.method, "lut")
        self.out.write_bytes(weight_codes.rewritten(data, [row]))
        np.testing.assert_array_equal(
            interpreter.run(path, x, "micro"),
            interpreter.run(self.out, x, "micro"),
        )

    def test_dense_weights_stay_as_they_are(self):
        path = self.out.with_name("dense.tflite")
        small_models.export(small_models.large(), path)
        self.assertEmpty(weight_codes.shorter(path.read_bytes()))

    def test_a_runtime_without_the_tools(self):
        with mock.patch.object(weight_codes, "_TOOLS", "tflite_micro.missing"):
            with self.assertRaisesRegex(ImportError, "tools for compressed"):
                weight_codes.shorter(self.paths["int8"].read_bytes())


class CompressTest(CompressionTestCase):
    def compress(self, **limits):
        return compression.compress_tflite(
            self.paths["int8"], self.out, **limits
        )

    def test_without_limits_all_that_saves_is_compressed(self):
        done = self.compress()
        self.assertEqual(done.file.file_bytes, self.out.stat().st_size)
        self.assertEqual(done.bytes_before, self.paths["int8"].stat().st_size)
        self.assertLess(done.file.file_bytes, 0.7 * done.bytes_before)
        self.assertEqual(done.arena_bytes, arena_need.of(self.out).bytes)
        self.assertEqual(
            done.arena_before,
            arena_need.of(self.paths["int8"]).bytes,
        )
        largest = max(done.weights, key=lambda row: row.bytes_before)
        self.assertTrue(largest.chosen)
        # A record of an op costs more than it saves on a small kernel.
        smallest = min(done.weights, key=lambda row: row.bytes_before)
        self.assertFalse(smallest.chosen)

    def test_weights_that_follow_the_flatbuffer(self):
        path = self.out.with_name("outside.tflite")
        model = packing.unpacked(self.paths["int8"].read_bytes())
        with mock.patch.object(packing, "MOST_BYTES", packing._GRAPH_BYTES):
            path.write_bytes(packing.packed(model))
        done = compression.compress_tflite(path, self.out)
        self.assertEqual(done.bytes_before, path.stat().st_size)
        self.assertEqual(done.file.file_bytes, self.compress().file.file_bytes)

    def test_metadata_without_a_name(self):
        path = self.out.with_name("nameless.tflite")
        model = packing.unpacked(self.paths["int8"].read_bytes())
        for entry in model.metadata:
            entry.name = None
        path.write_bytes(packing.packed(model))
        compression.compress_tflite(path, self.out, x=self.x[:2])
        np.testing.assert_array_equal(
            interpreter.run(self.out, self.x[:2], "micro"),
            interpreter.run(self.paths["int8"], self.x[:2], "micro"),
        )

    def test_a_limit_on_ram_holds_and_is_used(self):
        free = self.compress()
        limit = free.arena_bytes - 16
        done = self.compress(ram_bytes=limit)
        self.assertLessEqual(arena_need.of(self.out).bytes, limit)
        self.assertGreater(done.file.file_bytes, free.file.file_bytes)
        self.assertLess(done.file.file_bytes, free.bytes_before)
        self.assertLess(done.arena_bytes, free.arena_bytes)

    @pytest.mark.slow  # Tries them all.
    def test_no_other_choice_within_ram_is_smaller(self):
        """All subsets of the weights, each one measured."""
        data = self.paths["int8"].read_bytes()
        rows = weight_codes.shorter(data)
        sizes = []
        paths = []
        for mask in range(2 ** len(rows)):
            chosen = [r for i, r in enumerate(rows) if mask >> i & 1]
            path = self.out.with_name(f"{mask}.tflite")
            path.write_bytes(weight_codes.rewritten(data, chosen))
            paths.append(path)
            sizes.append(path.stat().st_size)
        arenas = [arena_need.of(path).bytes for path in paths]
        for limit in sorted(set(arenas))[::4]:
            best = min(
                s for s, a in zip(sizes, arenas, strict=True) if a <= limit
            )
            done = self.compress(ram_bytes=limit)
            # Alignment of buffers is not foreseen.
            self.assertLessEqual(done.file.file_bytes, best + 64)

    def test_no_more_is_compressed_than_flash_needs(self):
        free = self.compress()
        limit = (free.bytes_before + free.file.file_bytes) // 2
        done = self.compress(flash_bytes=limit)
        self.assertLessEqual(done.file.file_bytes, limit)
        self.assertLess(
            sum(row.chosen for row in done.weights),
            sum(row.chosen for row in free.weights),
        )
        self.assertLessEqual(done.arena_bytes, free.arena_bytes)

    @parameterized.parameters(
        ({"flash_bytes": 1000}, "flash_bytes=1000; compressed as far"),
        ({"ram_bytes": 1000}, "fit into RAM.*ram_bytes=1000, the arena takes"),
    )
    def test_limits_out_of_reach(self, limits, message):
        with self.assertRaisesRegex(ValueError, message):
            self.compress(**limits)
        self.assertFalse(self.out.exists())

    @parameterized.parameters(None, 1000)
    def test_compression_lets_a_model_fit_into_ram(self, flash_bytes):
        """Its op keeps 80 bytes less if it decodes the weight."""

        def plan(rows):
            kept = 300 - 80 * len(rows)
            # Aligning takes more than the parts.
            arena = arena_plan.Plan(kept + 216, 200, kept, (), "activations")
            return bytes(900 - 100 * len(rows)), arena

        tried = mock.Mock(plan=plan, plain=plan([]))
        row = mock.Mock()
        _, arena, chosen, _ = compression._choose(
            tried, [row], flash_bytes, 500, 0
        )
        self.assertEqual([c.row for c in chosen], [row])
        self.assertEqual(arena.bytes, 436)
        with self.assertRaisesRegex(ValueError, "must fit into RAM"):
            compression._choose(tried, [row], flash_bytes, 400, 0)

    def test_a_runtime_that_is_too_old(self):
        old = RuntimeError("Failed to get registration from TFLM_DECODE")
        with mock.patch.object(interpreter, "stored", side_effect=old):
            with self.assertRaisesRegex(RuntimeError, "Received: an older"):
                self.compress()
        with mock.patch.object(
            interpreter, "stored", side_effect=RuntimeError("x")
        ):
            with self.assertRaisesRegex(RuntimeError, "^x$"):
                self.compress()

    def test_other_outputs_are_an_error(self):
        real = weight_codes.rewritten

        def broken(data, chosen):
            result = bytearray(real(data, chosen))
            if chosen:
                kept = chosen[0].code.ancillary_data[16:]
                at = result.index(kept)
                result[at : at + len(kept)] = bytes(
                    (b + 64) % 256 for b in kept
                )
            return bytes(result)

        with mock.patch.object(weight_codes, "rewritten", broken):
            with self.assertRaisesRegex(RuntimeError, "bit-identical"):
                self.compress()
        self.assertEqual(os.listdir(self.out.parent), [])

    @pytest.mark.slow  # Exports twice.
    def test_the_converter_does_it_too(self):
        model = sparse_net()
        with self.assertLogs(level="WARNING") as log:
            file = tflite.export_tflite(
                model, self.out, "int8", self.x, compress="auto"
            )
        # The decoder would take more than is saved.
        self.assertNotIn("TFLM_DECODE", file.ops)
        self.assertIn("No weight is compressed", "".join(log.output))
        with mock.patch.object(compression, "DECODER_BYTES", 0):
            file = tflite.export_tflite(
                model, self.out, "int8", self.x, compress="auto"
            )
        self.assertIn("TFLM_DECODE", file.ops)
        self.assertEqual(file.file_bytes, self.compress().file.file_bytes)
        source = firmware_folder.export_micro(
            self.out, self.out.with_suffix("")
        )
        self.assertIn("AddDecode", source.resolver_methods)
        with self.assertRaisesRegex(ValueError, "Limits are for compress"):
            small_models.export(model, self.out, ram_bytes=10)
        with self.assertRaisesRegex(ValueError, "flash_bytes='1k'"):
            small_models.export(
                model, self.out, compress="auto", flash_bytes="1k"
            )
        with self.assertRaisesRegex(ValueError, "ram_bytes=0.5.*Budget"):
            compression.compress_tflite(self.out, self.out, ram_bytes=0.5)
        with self.assertRaisesRegex(ValueError, "compress='all'"):
            small_models.export(model, self.out, compress="all")
        with self.assertRaisesRegex(ValueError, "does not run sparse ones"):
            small_models.export(model, self.out, compress="auto", sparse="auto")


if __name__ == "__main__":
    absltest.main()
