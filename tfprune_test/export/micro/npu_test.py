import pathlib

import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.file import model_file
from tfprune.export.file import packing
from tfprune.export.micro import npu
from tfprune_test import conftest
from tfprune_test.export import small_models

pytest.importorskip("ethosu", reason="Vela is not installed")


class CompileTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def test_the_reference_resnet_8(self):
        path = conftest.shared_path(
            "data", "tinyml", "pretrainedResnet_quant.tflite"
        )
        out = self.folder / "compiled.tflite"
        report = npu.compile_for_npu(path, out=out)
        self.assertEqual(report.accelerator, "ethos-u55-128")
        self.assertEqual(report.npu_share, 1.0)
        self.assertEqual(report.cpu_ops, {})
        self.assertAlmostEqual(report.macs / 12_501_632, 1, places=2)
        self.assertBetween(report.cycles, 100_000, 400_000)
        self.assertBetween(report.flash_bytes, 60_000, 100_000)
        self.assertBetween(report.sram_bytes, 30_000, 80_000)
        # The clock is assumed to be 500 MHz.
        self.assertAlmostEqual(report.milliseconds, report.cycles / 500e3)
        self.assertEqual(model_file.read(out).ops, {"ethos-u": 1})

    def test_what_the_npu_cannot_do_is_counted(self):
        path = self.folder / "float.tflite"
        small_models.export(small_models.residual(), path)
        report = npu.compile_for_npu(path)
        self.assertEqual(report.npu_share, 0.0)
        self.assertEqual(report.cpu_ops, model_file.read(path).ops)

    def test_more_multipliers_need_fewer_cycles(self):
        model = small_models.residual()
        path = self.folder / "int8.tflite"
        small_models.export(model, path, "int8", small_models.samples(model))
        few, many = (
            npu.compile_for_npu(path, f"ethos-u55-{n}").cycles
            for n in (32, 256)
        )
        self.assertLess(many, few)

    def test_feature_maps_in_dram_are_no_flash(self):
        model = small_models.residual()
        path = self.folder / "int8.tflite"
        small_models.export(model, path, "int8", small_models.samples(model))
        out = self.folder / "compiled.tflite"
        for accelerator in ("ethos-u55-256", "ethos-u65-256"):
            report = npu.compile_for_npu(path, accelerator, out)
            model = packing.unpacked(out.read_bytes())
            named = {
                tensor.name.decode(): model.buffers[tensor.buffer].data
                for tensor in model.subgraphs[0].tensors
            }
            kept = [
                len(named[name])
                for name in ("ethos_u_command_stream", "read_only")
            ]
            self.assertGreater(min(kept), 0)
            self.assertEqual(report.flash_bytes, sum(kept))

    def test_bad_input(self):
        path = self.folder / "no.tflite"
        path.write_bytes(b"no")
        with self.assertRaisesRegex(ValueError, "accelerator='u55'"):
            npu.compile_for_npu(path, "u55")
        with self.assertRaisesRegex(ValueError, "A TFLite model is required"):
            npu.compile_for_npu(path)
        small_models.export(small_models.dense(), path)
        with self.assertRaisesRegex(RuntimeError, "unrecognized arguments"):
            npu.compile_for_npu(path, flags=["--nonsense"])

    @pytest.mark.slow  # Compiles twice.
    def test_zeros_are_compressed(self):
        model = small_models.large()
        x = small_models.samples(model)
        sizes = []
        for share in (0.0, 0.9):
            kernel = model.layers[-1].kernel
            values = kernel.numpy()
            values[np.random.default_rng(0).random(values.shape) < share] = 0
            kernel.assign(values)
            path = self.folder / "large.tflite"
            small_models.export(model, path, "int8", x)
            sizes.append(npu.compile_for_npu(path).flash_bytes)
        self.assertLess(sizes[1], 0.6 * sizes[0])


if __name__ == "__main__":
    absltest.main()
