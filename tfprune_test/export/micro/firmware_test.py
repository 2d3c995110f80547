import pathlib
import shutil
import subprocess
import unittest

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.export.file import model_file
from tfprune.export.micro import firmware
from tfprune_test.export import small_models


def file(*outputs):
    tensors = [
        model_file.Tensor(f"y{i}", (1, 3), *facts)
        for i, facts in enumerate(outputs)
    ]
    x = model_file.Tensor("x", (1, 2), "int8", 0.5, 0)
    return model_file.ModelFile("a.tflite", 100, {}, (x,), tuple(tensors))


class SelfTestTest(parameterized.TestCase):
    @parameterized.parameters(
        (("int8", 0.5, 0), "1.0f, 0.0f"),
        # Of thousands, floats have fewer places behind the point.
        (("float32",), "0.0001f, 0.0001f"),
        # A class or a truth value next to the right one is wrong.
        (("int64",), "0.0f, 0.0f"),
        (("bool",), "0.0f, 0.0f"),
    )
    def test_how_far_an_output_may_be_off(self, output, tolerance):
        text = firmware.main(file(output), "net")
        self.assertIn(f"NET_OUTPUT_0_SIZE, {tolerance})", text)

    def test_a_float_output_of_an_int8_file_may_be_one_step_off(self):
        inputs = keras.Input((3,))
        model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        x = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
        plain = small_models.export(model, path, "int8", x)
        (step,) = (t.scale for t in plain.outputs)
        kept = small_models.export(model, path, "int8", x, interface="float32")
        text = firmware.main(kept, "net")
        self.assertIn(f"SIZE, {1e-4 + 1.01 * step:.6g}f, 0.0001f)", text)

    @unittest.skipUnless(shutil.which("g++"), "needs g++")
    @parameterized.parameters((0.05, True), (0.5, False))
    def test_large_floats_may_be_off_by_a_share(self, error, right):
        text = firmware.main(file(("float32",)), "net")
        start, end = text.index("template"), text.index("NET_OUTPUT_0_TYPE")
        folder = pathlib.Path(self.create_tempdir().full_path)
        (folder / "a.cc").write_text(
            "#define MicroPrintf(...) (void)sizeof(pair)\n"
            f"{text[start:end]}\nint main() {{\n"
            "  const float wanted[] = {1.0f, -3000.0f};\n"
            f"  const float got[] = {{1.0f + {error}f, -3000.0f}};\n"
            '  return same("y", 0, got, wanted, 2, 0.0001f, 0.0001f);\n}\n'
        )
        subprocess.run(["g++", "a.cc", "-o", "a"], cwd=folder, check=True)
        done = subprocess.run([folder / "a"])
        self.assertEqual(done.returncode, right)

    def test_all_inputs_and_outputs_take_part(self):
        text = firmware.main(file(("int8", 0.5, 0), ("float32",)), "net")
        self.assertIn(
            "net_run(net_golden_input_0[pair], output_0, output_1)", text
        )
        for i in (0, 1):
            self.assertIn(
                f"NET_OUTPUT_{i}_TYPE output_{i}[NET_OUTPUT_{i}_SIZE];", text
            )
            self.assertIn(f"net_golden_output_{i}[pair]", text)

    @parameterized.parameters(
        (firmware.main, "\nint main() {"),
        (firmware.app_main, '\nextern "C" void app_main(void) {'),
        (firmware.function, '\nextern "C" int net_self_test(void) {'),
        (firmware.sketch, "\nvoid loop() {"),
    )
    def test_programs_differ_by_where_they_begin(self, write, beginning):
        text = write(file(("int8", 0.5, 0)), "net")
        self.assertIn(beginning, text)
        self.assertIn("bool self_test() {", text)
        self.assertIn("PASS", text)
        self.assertNotIn("$", text)
        self.assertEqual(text.count("{"), text.count("}"))

    def test_headers_of_a_sketch_come_first(self):
        text = firmware.sketch(file(("float32",)), "net", "Arduino.h", "B.h")
        lines = [t for t in text.splitlines() if t.startswith("#include")]
        self.assertEqual(
            lines[:3],
            ["#include <Arduino.h>", "#include <B.h>", "#include <stdint.h>"],
        )


if __name__ == "__main__":
    absltest.main()
