import os
import pathlib
import shutil

import pytest
from absl.testing import parameterized

from tfprune.export.micro import firmware_folder
from tfprune_test.export import small_models
from tools import emulated_boards
from tools import firmware_library
from tools import layer_costs
from tools import run_firmware

# make test-all TFLITE_MICRO=../tflite-micro TFLITE_MICRO_BUILD=build/firmware
SOURCES = os.environ.get("TFLITE_MICRO")
BUILD = os.environ.get("TFLITE_MICRO_BUILD", "build/firmware")
TOOLS = ("qemu-system-arm", f"{emulated_boards.PREFIX}g++")


class RunFirmwareTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def tree(self, *files):
        """The part of TFLite Micro that a library is made of."""
        for name in ("tensorflow/lite/micro/micro_interpreter.h", *files):
            path = self.folder / "tflm" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return self.folder / "tflm"

    def library(self, *files, kernels="reference", core="cortex-m4"):
        return firmware_library.Library(
            self.tree(*files), core, kernels, self.folder / "build"
        )

    def test_an_unknown_core(self):
        with self.assertRaisesRegex(ValueError, "core='cortex-m1'"):
            self.library(core="cortex-m1")

    def test_a_folder_without_tflite_micro(self):
        with self.assertRaisesRegex(ValueError, "no tensorflow/lite/micro"):
            firmware_library.Library(
                self.folder, "cortex-m4", "reference", self.folder
            )

    def test_sources_that_are_missing_are_named(self):
        with self.assertRaisesRegex(ValueError, "sources of flatbuffers"):
            self.library()

    def test_optimized_kernels_take_the_place_of_others(self):
        micro = "tensorflow/lite/micro"
        library = self.library(
            "third_party/flatbuffers/include/flatbuffers/flatbuffers.h",
            "third_party/gemmlowp/fixedpoint/fixedpoint.h",
            "third_party/ruy/ruy/profiler/instrumentation.h",
            "third_party/cmsis_nn/Include/arm_nnfunctions.h",
            "third_party/cmsis_nn/Source/Conv/arm_convolve_s8.c",
            "third_party/cmsis_nn/Source/Conv/arm_convolve_f32.c",
            f"{micro}/kernels/conv.cc",
            f"{micro}/kernels/conv_test.cc",
            f"{micro}/kernels/add.cc",
            f"{micro}/kernels/cmsis_nn/conv.cc",
            kernels="cmsis-nn",
        )
        found = [
            path.relative_to(self.folder / "tflm").as_posix()
            for path in library.sources()
        ]
        self.assertEqual(
            found,
            [
                f"{micro}/kernels/add.cc",
                f"{micro}/kernels/cmsis_nn/conv.cc",
                "third_party/cmsis_nn/Source/Conv/arm_convolve_s8.c",
            ],
        )

    def test_a_folder_of_something_else(self):
        with self.assertRaisesRegex(ValueError, "no model_settings.h"):
            run_firmware.Firmware(self.folder, None, self.folder)

    def test_ticks_are_instructions_where_one_takes_a_nanosecond(self):
        board = emulated_boards.get("cortex-m4")
        self.assertEqual(emulated_boards.instructions(board, 25), 1000)

    @parameterized.parameters(7, 8, 20, 90)
    def test_the_least_arena_is_found_from_any_guess(self, near):
        tried = []

        def run(units):
            tried.append(units)
            return "fits" if units >= 20 else None

        self.assertEqual(layer_costs.least_units(run, near, 1000), (20, "fits"))
        self.assertLess(len(tried), 16)
        with self.assertRaisesRegex(RuntimeError, "arena of any size"):
            layer_costs.least_units(lambda units: None, near, 100)


@pytest.mark.slow
@pytest.mark.skipif(
    not SOURCES or not all(map(shutil.which, TOOLS)),
    reason="wants TFLITE_MICRO, the sources, and a compiler and an emulator",
)
class RealBuildTest(parameterized.TestCase):
    @parameterized.parameters("cortex-m4", "cortex-m55")
    def test_a_folder_runs_as_it_is(self, core):
        folder = pathlib.Path(self.create_tempdir().full_path)
        model = small_models.residual()
        path = folder / "net.tflite"
        small_models.export(model, path, "int8", small_models.samples(model))
        firmware_folder.export_micro(path, folder / "net", project="cmake")
        library = firmware_library.Library(SOURCES, core, "cmsis-nn", BUILD)
        predicted = firmware_folder.arena_bytes(path, "cmsis-nn", core)
        found = run_firmware.Firmware(
            folder / "net", library, folder / "made"
        ).measure(near=predicted)
        self.assertTrue(found.passed, found.self_test)
        self.assertEqual(found.different, 0)
        self.assertBetween(predicted / found.least_arena, 1.0, 1.05)
        self.assertGreater(found.instructions, 0)
