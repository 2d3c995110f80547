"""Texts of C; `firmware_folder_test` compiles and runs them."""

import pathlib
import subprocess

from absl.testing import absltest

from tfprune.export.file import model_file
from tfprune.export.micro import c_api
from tfprune.export.micro import c_source

LABELED = """
#include <stdio.h>
#include "model_api.h"
int main(void) {
  static int8_t map[NET_OUTPUT_0_SIZE];
  int i;
  for (i = 0; i < NET_OUTPUT_0_SIZE / NET_LABEL_COUNT; ++i) {
    map[NET_LABEL_COUNT * i + i % NET_LABEL_COUNT] = 1;
    printf("%d %s\\n", net_largest_output_0(map, i), net_label(map, i));
  }
  return 0;
}
"""


def file(inputs=None, outputs=None, ops=()):
    tensors = [
        [
            model_file.Tensor(f"{end}{i}", (1, 3), *f)
            for i, f in enumerate(group)
        ]
        for end, group in (
            ("x", inputs or [("int8", 0.5, 0)]),
            ("y", outputs or [("int8", 0.5, 0)]),
        )
    ]
    return model_file.ModelFile(
        "a", 9, dict.fromkeys(ops, 1), *map(tuple, tensors)
    )


class HeaderTest(absltest.TestCase):
    def test_the_function_that_runs_has_all_ends(self):
        text = c_api.header(
            file([("int8", 0.5, 0), ("float32",)], [("uint8", 0.5, 3)]), "net"
        )
        self.assertIn(
            "net_run(const int8_t* input_0, const float* input_1, "
            "uint8_t* output_0);",
            text,
        )
        self.assertIn("NET_INPUT_0_SIZE, NET_INPUT_1_SIZE, NET_OUTPUT_0", text)

    def test_quantization_helpers_stand_for_quantized_ends_only(self):
        text = c_api.header(
            file([("int8", 0.5, 0), ("float32",)], [("uint8", 0.5, 3)]), "net"
        )
        self.assertIn("int8_t net_quantize_input_0(float value)", text)
        self.assertIn("> -128.0f)) return -128;", text)
        self.assertIn("> 127.0f) return 127;", text)
        self.assertNotIn("net_quantize_input_1", text)
        self.assertIn("net_dequantize_output_0(uint8_t value)", text)

    def test_labels_and_the_largest_output(self):
        plain = c_api.header(file(), "net")
        self.assertNotIn("net_label(", plain)
        self.assertIn("net_largest_output_0(const int8_t* values)", plain)
        named = c_api.header(file(), "net", ("cat", "dog", "cow"))
        self.assertIn("net_label(const int8_t* values)", named)
        truth = c_api.header(file(outputs=[("bool",)]), "net")
        self.assertNotIn("net_largest_output_0", truth)

    def test_labels_of_a_map_are_those_of_a_position(self):
        labels = "sky", "road", "car"
        y = model_file.Tensor("y", (1, 2, 2, 3), "int8", 0.5, 0)
        net = model_file.ModelFile("a", 9, {}, (y,), (y,))
        folder = pathlib.Path(self.create_tempdir().full_path)
        for name, text in {
            "model.h": c_source.header(net, "net"),
            "model.cc": c_source.source(b"", "net", labels),
            "model_settings.h": c_source.settings(net, "net", "", labels),
            "model_api.h": c_api.header(net, "net", labels),
            "main.c": LABELED,
        }.items():
            (folder / name).write_text(text)
        strict = "-Wall", "-Wextra", "-Werror", "-pedantic"
        for compiler in (["gcc", "-std=c99"], ["g++", "-std=c++11"]):
            subprocess.run(
                [*compiler, *strict, "-c", "main.c", "-o", "main.o"],
                cwd=folder,
                check=True,
            )
            subprocess.run(
                ["g++", "main.o", "model.cc", "-o", "program"],
                cwd=folder,
                check=True,
            )
            found = subprocess.check_output([folder / "program"], text=True)
            self.assertEqual(found, "0 sky\n1 road\n2 car\n0 sky\n")

    def test_a_map_of_one_channel_is_a_vector(self):
        y = model_file.Tensor("y", (1, 20, 1), "int8", 0.5, 0)
        net = model_file.ModelFile("a", 9, {}, (y,), (y,))
        text = c_api.header(net, "net")
        self.assertIn("net_largest_output_0(const int8_t* values)", text)
        self.assertIn("k < 20", text)

    def test_nothing_is_left_to_fill_in(self):
        for text in (c_api.header(file(), "net"), c_api.source(file(), "net")):
            self.assertNotIn("$", text)
            self.assertEqual(text.count("{"), text.count("}"))


class SourceTest(absltest.TestCase):
    def test_inputs_and_outputs_are_copied(self):
        text = c_api.source(file(), "net")
        self.assertIn("memcpy(interpreter->input(0)->data.raw, input_0,", text)
        self.assertIn("memcpy(output_0, interpreter->output(0)->data.raw", text)

    def test_variables_are_made_for_models_that_have_some(self):
        self.assertNotIn("MicroResourceVariables*", c_api.source(file(), "net"))
        text = c_api.source(file(ops=["VAR_HANDLE"]), "net")
        self.assertIn("MicroResourceVariables::Create(allocator, 1);", text)

    def test_an_lstm_begins_anew_at_each_run(self):
        lstm = "UNIDIRECTIONAL_SEQUENCE_LSTM"
        before = c_api.source(file(), "net").count("interpreter->Reset()")
        text = c_api.source(file(ops=[lstm]), "net")
        self.assertEqual(text.count("interpreter->Reset()"), before + 1)


if __name__ == "__main__":
    absltest.main()
