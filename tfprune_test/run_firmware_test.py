import pathlib

from absl.testing import parameterized

from tools import emulated_boards
from tools import firmware_library
from tools import run_firmware


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
