import dataclasses
import functools
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from unittest import mock

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune import zoo
from tfprune.core import boards
from tfprune.export.edit import lean
from tfprune.export.edit.replaced import many_axes
from tfprune.export.file import model_file
from tfprune.export.micro import firmware_folder
from tfprune.export.micro.arena import measured_arena
from tfprune.export.run import interpreter
from tfprune.export.run import litert
from tfprune_test import conftest
from tfprune_test.export import hand_made
from tfprune_test.export import small_models

# A resolver that counts, in the place of TFLite Micro's.
FAKE_RESOLVER = """
#include <stdio.h>
#include "model_ops.h"
#include "model_settings.h"
struct Resolver {{
  int count = 0;
  {methods}
}};
const signed char shape[] = {name}_INPUT_0_SHAPE;
static {name}_INPUT_0_TYPE input[{name}_INPUT_0_SIZE];
int main() {{
  Resolver resolver;
  bool ok = {lower}_register_ops(resolver);
  printf("%d %d %d %d %.9g %d", ok, resolver.count, {name}_OP_COUNT,
         (int)(sizeof(shape) * 1000 + sizeof(input)), {name}_INPUT_0_SCALE,
         {name}_INPUT_0_ZERO_POINT);
}}
"""
READ_BACK = """
#include <stdio.h>
#include "model.h"
int main(void) {{
  if ((uintptr_t){lower}_data % 16) return 1;
  if ({lower}_data_bytes != {name}_DATA_BYTES) return 2;
  return fwrite({lower}_data, 1, {lower}_data_bytes, stdout) == 0;
}}
"""
# The part of TFLite Micro that the firmware calls; its model gives the golden
# output, shifted.
FAKE_TFLM = """
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "model_golden.h"
#define MicroPrintf(...) (printf(__VA_ARGS__), printf("\\n"))
enum TfLiteStatus { kTfLiteOk, kTfLiteError };
struct TfLiteTensor {
  union { char* raw; void* data; } data;
};
namespace tflite {
enum BuiltinOperator { BuiltinOperator_CUSTOM = 32 };
inline const char* EnumNameBuiltinOperator(BuiltinOperator) { return "ODD"; }
struct Text { const char* c_str() const { return "odd"; } };
struct Code {
  Text text;
  int deprecated_builtin_code() const { return 3; }
  int builtin_code() const { return 0; }
  const Text* custom_code() const { return &text; }
};
struct Codes {
  Code one;
  const Code* list[1] = {&one};
  const Code* const* begin() const { return list; }
  const Code* const* end() const { return list + 1; }
};
struct Model {
  Codes codes;
  int version() const { return VERSION; }
  const Codes* operator_codes() const { return &codes; }
};
inline const Model* GetModel(const void*) {
  static const Model model;
  return &model;
}
inline void InitializeTarget() {}
inline uint32_t ticks_per_second() { return 1000; }
inline uint32_t GetCurrentTimeTicks() { return 0; }
struct MicroAllocator {
  static MicroAllocator* Create(uint8_t*, size_t) {
    static MicroAllocator allocator;
    return &allocator;
  }
};
struct MicroResourceVariables {};
template <int N> struct MicroMutableOpResolver {
  int count = 0;
  int AddConv2D() { return count++; }  // Once.
  int AddDepthwiseConv2D() { return 0; }
  int AddAdd() { return 0; }
  int AddMean() { return 0; }
  int AddFullyConnected() { return 0; }
  const void* FindOp(BuiltinOperator) const { return KNOWN ? this : nullptr; }
  const void* FindOp(const char*) const { return this; }
};
struct MicroInterpreter {
  int8_t in[NET_INPUT_0_SIZE], out[NET_OUTPUT_0_SIZE];
  TfLiteTensor tensors[2];
  int calls = 0;
  template <typename R>
  MicroInterpreter(const Model*, R&, MicroAllocator*, MicroResourceVariables*) {
    tensors[0].data.data = in;
    tensors[1].data.data = out;
  }
  TfLiteStatus AllocateTensors() { return STARTS ? kTfLiteOk : kTfLiteError; }
  TfLiteStatus Reset() { return kTfLiteOk; }
  unsigned arena_used_bytes() { return 1; }
  TfLiteTensor* input(int) { return &tensors[0]; }
  TfLiteTensor* output(int) { return &tensors[1]; }
  TfLiteStatus Invoke() {
    const int pair = calls++;
    for (int i = 0; i < NET_INPUT_0_SIZE; ++i) {
      if (in[i] != net_golden_input_0[pair][i]) return kTfLiteError;
    }
    const int off = pair == NET_GOLDEN_COUNT - 1 ? OFF : 0;
    for (int i = 0; i < NET_OUTPUT_0_SIZE; ++i) {
      const int value = net_golden_output_0[pair][i];
      out[i] = static_cast<int8_t>(value + (value < 0 ? off : -off));
    }
    return kTfLiteOk;
  }
};
}  // namespace tflite
"""
FAKE_HEADERS = (
    "micro/micro_allocator.h",
    "micro/micro_interpreter.h",
    "micro/micro_log.h",
    "micro/micro_mutable_op_resolver.h",
    "micro/micro_resource_variable.h",
    "micro/micro_time.h",
    "micro/system_setup.h",
    "schema/schema_generated.h",
)
HELPERS = """
#include <stdio.h>
#include "model_api.h"
int main(void) {{
  int8_t output[{name}_OUTPUT_0_SIZE] = {{-128, 3, 100, 99}};
  for (int i = -4000; i < 4000; ++i) {{
    printf("%d ", {lower}_quantize_input_0((float)i / 500));
  }}
  printf("%d ", {lower}_largest_output_0(output));
  printf("%d", (int)(1000 * {lower}_dequantize_output_0(output[2])));
  return 0;
}}
"""
SOURCES = ("model.cc", "model_golden.cc")
API = ("model_api.cc", "model_api.h")
HEADERS = ("model.h", "model_golden.h", "model_ops.h", "model_settings.h")
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")


@functools.cache
def int8_file(dense_scales="channel"):
    """The bytes of a .tflite file, converted once for all tests."""
    return converted("int8", dense_scales=dense_scales)


@functools.cache
def converted(quantize, **options):
    model = small_models.residual()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "net.tflite")
        samples = small_models.samples(model)
        small_models.export(model, path, quantize, samples, **options)
        return path.read_bytes()


class ExportMicroTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        path = self.folder / "net.tflite"
        path.write_bytes(int8_file())
        self.file = model_file.read(path)
        self.embedded = lean.without_notes(path.read_bytes())
        self.out = self.folder / "out"
        self.out.mkdir()

    def test_a_float_output_of_an_integer_file(self):
        inputs = keras.Input((3,))
        x = keras.layers.Dense(2)(inputs)
        outputs = [keras.layers.ELU()(x), x]
        model = keras.Model(inputs, outputs)
        data = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
        path = self.folder / "elu.tflite"
        for mode, interface in (("int16x8", None), ("int8", "float32")):
            with self.subTest(mode):
                small_models.export(
                    model, path, mode, data, interface=interface
                )
                firmware_folder.export_micro(path, self.folder / mode)
                text = (self.folder / mode / "model_settings.h").read_text()
                self.assertIn("ELU_OUTPUT_0_TYPE float", text)

    def compiled(self, program, suffix, source):
        """What a program that is linked with the generated sources prints."""
        path = self.folder / f"program{suffix}"
        path.write_text(
            program.format(
                lower=source.name,
                name=source.name.upper(),
                methods="\n  ".join(
                    f"int {m}() {{ ++count; return 0; }}"
                    for m in source.resolver_methods
                ),
            )
        )
        return self.linked([path], source.folder)

    def linked(self, programs, folder, *flags):
        """Compiles programs with the sources in a folder; what it prints."""
        compilers = {".c": ("gcc", "-std=c99"), ".cc": ("g++", "-std=c++11")}
        sources = [pathlib.Path(folder, name) for name in SOURCES]
        objects = []
        for path in (*programs, *sources):
            objects.append(f"{self.folder / path.name}.o")
            subprocess.run(
                [*compilers[path.suffix], *STRICT, f"-I{folder}", *flags]
                + ["-c", path, "-o", objects[-1]],
                check=True,
            )
        binary = self.folder / "program"
        subprocess.run(["g++", *objects, "-o", binary], check=True)
        return subprocess.run([binary], check=True, capture_output=True).stdout

    def test_the_array_is_the_file_without_its_notes(self):
        source = firmware_folder.export_micro(self.file.path, self.out / "net")
        read_back = self.compiled(READ_BACK, ".c", source)
        self.assertEqual(read_back, self.embedded)

    def test_firmware_finds_what_it_needs_in_the_headers(self):
        source = firmware_folder.export_micro(self.file.path, self.out / "net")
        printed = self.compiled(FAKE_RESOLVER, ".cc", source).split()
        tensor = self.file.inputs[0]
        count = len(self.file.ops)
        self.assertEqual([int(n) for n in printed[:4]], [1, count, count, 4128])
        self.assertEqual(float(printed[4]), float(f"{tensor.scale:.9g}"))
        self.assertEqual(int(printed[5]), tensor.zero_point)

    @parameterized.parameters(
        ({"OFF": 0}, b"PASS"),
        ({"OFF": 1}, b"PASS"),
        ({"OFF": 2}, b"pair 3: 4 of 4 values differ, by up to 2000"),
        ({"KNOWN": 0}, b"No kernel for the op ODD"),
        ({"VERSION": 2}, b"another schema version"),
        ({"STARTS": 0}, b"refused"),
        ({"STARTS": 0, "NET_ARENA_BYTES": 32}, b"arena is too small"),
    )
    def test_the_main_program_says_what_failed(self, changes, said):
        printed = self.faked(("main.cc", "model_api.cc"), changes)
        self.assertIn(said, printed)
        self.assertEqual(b"PASS" in printed, said == b"PASS")

    def test_another_try_to_start_fails_for_the_same_reason(self):
        (self.folder / "twice.cc").write_text(
            '#include <stdio.h>\n#include "model_api.h"\n'
            "int main() {\n  net_init();\n"
            "  puts(net_error(net_init()));\n}\n"
        )
        programs = (self.folder / "twice.cc", "model_api.cc")
        self.assertIn(b"refused", self.faked(programs, {"STARTS": 0}))

    def faked(self, names, changes):
        """What programs print with the TFLite Micro that is faked."""
        source = firmware_folder.export_micro(
            self.file.path, self.out, name="net"
        )
        fake = self.folder / "fake"
        for name in FAKE_HEADERS:
            path = fake / f"tensorflow/lite/{name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text('#include "fake_tflm.h"')
        (fake / "fake_tflm.h").write_text(FAKE_TFLM)
        values = {"OFF": 0, "KNOWN": 1, "VERSION": 3, "STARTS": 1} | changes
        programs = []
        for name in names:
            text = (self.out / name).read_text()
            programs.append(self.folder / pathlib.Path(name).name)
            programs[-1].write_text(text)
        flags = [f"-D{name}={value}" for name, value in values.items()]
        try:
            return self.linked(programs, source.folder, f"-I{fake}", *flags)
        except subprocess.CalledProcessError as error:
            return error.stdout

    def test_values_of_sensors_are_quantized_as_the_file_wants(self):
        source = firmware_folder.export_micro(self.file.path, self.out / "net")
        printed = self.compiled(HELPERS, ".c", source)
        steps = np.array([int(n) for n in printed.split()])
        values = np.arange(-4000, 4000) / 500
        np.testing.assert_array_equal(
            steps[:-2], self.file.inputs[0].encode(values)
        )
        output = self.file.outputs[0]
        self.assertEqual(steps[-2], 2)
        self.assertEqual(
            steps[-1], int(1000 * float(output.decode(np.int8([100]))[0]))
        )

    def test_a_file_of_an_earlier_version_gets_what_it_lacks(self):
        """As it is, its dense layer of one unit stops CMSIS-NN."""
        inputs = keras.Input((6, 8))
        model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        with mock.patch.object(many_axes, "dense"):
            small_models.export(
                model, path, "int8", small_models.samples(model, 30)
            )
        self.assertNotIn("RESHAPE", model_file.read(path).ops)
        sources = firmware_folder.export_micro(path, path.parent / "firmware")
        self.assertIn("AddReshape", sources.resolver_methods)

    def test_a_file_of_another_tool_gets_ops_that_there_are(self):
        sketch = hand_made.Sketch()
        x, y = sketch.tensor("x", (1, 4)), sketch.tensor("y", (2, 4))
        sketch.op("TILE", [x, sketch.constant("n", np.int32([2, 1]))], [y])
        path = self.folder / "tile.tflite"
        path.write_bytes(sketch.data([x], [y]))
        sources = firmware_folder.export_micro(path, self.out)
        self.assertNotIn("AddTile", sources.resolver_methods)

    def test_the_golden_output_is_what_the_interpreter_gives(self):
        rng = np.random.default_rng(3)
        x = rng.normal(size=(1, *self.file.inputs[0].shape[1:]))
        source = firmware_folder.export_micro(
            self.file.path, self.out, sample=x
        )
        text = pathlib.Path(source.folder, "model_golden.cc").read_text()
        stored = (
            self.file.inputs[0].encode(x),
            self.file.outputs[0].encode(
                interpreter.run(self.file.path, x, "micro")
            ),
        )
        # Pairs of inputs, then of outputs; the sample is the first.
        written = re.findall(r"\{([^{}]*)\}", text, re.S)
        for values, numbers in zip(stored, written[::4], strict=True):
            found = [int(n) for n in numbers.split(",") if n.strip()]
            self.assertEqual(found, values.reshape(-1).tolist())
        self.assertLen(written, 8)

    def test_cortex_m_keeps_all_of_it_in_flash(self):
        compiler = shutil.which("arm-none-eabi-g++")
        if compiler is None:
            self.skipTest("arm-none-eabi-g++ is not installed")
        labels = ["a", 'b"?', "ö", "d"]
        firmware_folder.export_micro(self.file.path, self.out, labels=labels)
        sizes = []
        for name in SOURCES:
            binary = self.folder / "object.o"
            subprocess.run(
                [compiler, "-mcpu=cortex-m4", "-mthumb", *STRICT, "-Os"]
                + ["-c", self.out / name, "-o", binary],
                check=True,
            )
            told = subprocess.run(
                ["arm-none-eabi-size", binary],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            sizes.append([int(n) for n in told.splitlines()[1].split()[:3]])
        (text, *ram), (golden, *others) = sizes
        self.assertEqual(ram + others, [0, 0, 0, 0])
        # The array, its length, four pointers and their strings.
        self.assertBetween(text - len(self.embedded), 4, 64)
        self.assertEqual(golden, 4 * (8 * 8 * 2 + 4))

    def test_cmake_builds_the_library(self):
        if shutil.which("cmake") is None:
            self.skipTest("cmake is not installed")
        firmware_folder.export_micro(self.file.path, self.out)
        build = self.folder / "build"
        for arguments in (["-B", build, self.out], ["--build", build]):
            subprocess.run(
                ["cmake", *arguments], check=True, capture_output=True
            )
        self.assertTrue((build / "libnet_model.a").exists())

    def test_the_record_describes_the_files(self):
        source = firmware_folder.export_micro(
            self.file.path, self.out / "net", arena_margin=0.25
        )
        self.assertEqual(source.name, "net")
        self.assertEqual(source.flash_bytes, len(self.embedded))
        self.assertIn("AddDepthwiseConv2D", source.resolver_methods)
        self.assertEqual(source.folder, str(self.out / "net"))
        arena = source.arena.required_bytes
        need = firmware_folder.arena_bytes(self.file.path)
        self.assertEqual(source.arena_need.bytes, need)
        need = firmware_folder.arena_bytes(self.file.path, "esp-nn")
        self.assertEqual(source.esp_need.bytes, need)
        share = source.arena_bytes / source.arena_need.bytes
        self.assertBetween(share, 1.25, 1.26)
        found = {
            str(path)
            for path in (self.out / "net").rglob("*")
            if path.is_file()
        }
        self.assertEqual(found, set(source.files))
        text = (self.out / "net" / "model_settings.h").read_text()
        self.assertIn(f"#define NET_ARENA_MEASURED {arena}\n", text)
        self.assertIn(f"#define NET_ARENA_BYTES {source.arena_bytes}\n", text)
        for path in found:
            self.assertNotIn(str(self.folder), pathlib.Path(path).read_text())

    def test_the_sketch_has_all_beside_it(self):
        path = self.folder / "plain.tflite"
        path.write_bytes(int8_file("tensor"))
        firmware_folder.export_micro(path, self.out, name="7 nets")
        sketch = self.out / "arduino" / "model_7_nets"
        sources = (*SOURCES, *API, *HEADERS)
        wanted = {f.replace(".cc", ".cpp") for f in sources}
        self.assertEqual(set(os.listdir(sketch)), wanted | {"model_7_nets.ino"})
        self.assertIn("void setup()", (sketch / "model_7_nets.ino").read_text())

    @parameterized.parameters(
        ("", {}, "net"),
        ("Größe 7", {}, "net"),
        ("a.b", {"name": "7 nets"}, "model_7_nets"),
    )
    def test_names(self, out, kwargs, name):
        source = firmware_folder.export_micro(
            self.file.path, self.out / out, **kwargs
        )
        self.assertEqual(source.name, name)
        self.assertNotEmpty(self.compiled(READ_BACK, ".c", source))

    def test_the_same_file_gives_the_same_sources(self):
        texts = []
        for _ in range(2):
            firmware_folder.export_micro(self.file.path, self.out)
            texts.append([(self.out / n).read_bytes() for n in SOURCES])
        self.assertEqual(*texts)

    def test_what_was_started_from_stays(self):
        firmware_folder.export_micro(self.file.path, self.out)
        own = self.out / "main.cc"
        own.write_text("// mine")
        model = self.out / "model.cc"
        model.write_text("old")
        source = firmware_folder.export_micro(self.file.path, self.out)
        self.assertEqual(own.read_text(), "// mine")
        self.assertNotEqual(model.read_text(), "old")
        self.assertNotIn(str(own), source.files)

    def test_files_of_two_models_never_compile_together(self):
        firmware_folder.export_micro(self.file.path, self.out, name="net")
        old = self.contents()
        states, replace = [], os.replace

        def watched(source, target):
            replace(source, target)
            states.append(self.contents())

        other = self.folder / "other.tflite"
        other.write_bytes(int8_file("tensor"))
        with mock.patch.object(os, "replace", watched):
            firmware_folder.export_micro(other, self.out, name="net")
        new = states[-1]
        for state in states:
            refusing = {k for k, v in state.items() if v.startswith(b"#error")}
            rest = {k: v for k, v in state.items() if k not in refusing}
            if not (rest.items() <= old.items() or rest.items() <= new.items()):
                self.assertEqual(refusing, set(HEADERS))

    def contents(self):
        """What the files of the folder hold that are written each time."""
        names = (*SOURCES, *HEADERS)
        return {name: (self.out / name).read_bytes() for name in names}

    @parameterized.parameters(
        ({"labels": ["a", "b"]}, "4 names of classes.*labels=\\['a', 'b'\\]"),
        ({"labels": [1, 2, 3, 4]}, "4 names of classes"),
        ({"arena_margin": -0.1}, "arena_margin=-0.1"),
        ({"flash_bytes": float("nan")}, "flash_bytes=nan"),
        ({"ram_bytes": "64k"}, "ram_bytes='64k'"),
        ({"image_bytes": 0.5}, "image_bytes=0.5.*Budget"),
        ({"name": 3}, "name=3"),
        ({"sample": np.full((1, 8, 8, 2), "a")}, "Numbers.*dtype <U1"),
        ({"sample": np.zeros((1, 2))}, "x of shape"),
        ({"sample": np.zeros((5, 8, 8, 2))}, "sample of 5. Take"),
        ({"kernels": "fast"}, "kernels='fast'"),
        ({"core": "cortex-m5"}, "core='cortex-m5'. Did you mean"),
        ({"core": "esp32", "kernels": "cmsis-nn"}, "must run on the core"),
        ({"board": "nano33"}, "board='nano33'. Similar: nano-33-ble"),
        ({"board": "esp32", "kernels": "cmsis-nn"}, "must run on the core"),
        ({"project": "make"}, "project='make'"),
        ({"project": "arduino"}, "one per channel in classes"),
    )
    def test_arguments(self, kwargs, message):
        with self.assertRaisesRegex(ValueError, message):
            firmware_folder.export_micro(
                self.file.path, self.out / "new", **kwargs
            )
        self.assertEmpty(os.listdir(self.out))

    def test_a_board_gives_the_core_and_what_a_model_may_use(self):
        tiny = dataclasses.replace(
            boards.get("grove-vision-ai-2"), ram_kib=1, flash_kib=64
        )
        export = functools.partial(
            firmware_folder.export_micro, self.file.path, self.out
        )
        message = "ram_bytes=512, .* CMSIS-NN with the vector extension"
        with self.assertRaisesRegex(ValueError, message):
            export(board=tiny)
        found = export(board=tiny, ram_bytes=50_000)
        core = export(core="cortex-m55")
        self.assertEqual(found.arena_need, core.arena_need)

    def test_a_budget_that_is_just_met_is_met(self):
        arena = firmware_folder.arena_bytes(self.file.path)
        source = firmware_folder.export_micro(
            self.file.path,
            self.out,
            flash_bytes=len(self.embedded),
            ram_bytes=arena,
        )
        self.assertEqual(source.arena_bytes, arena)

    def test_a_budget_that_is_exceeded_tells_by_how_much(self):
        budgets = {
            "flash_bytes": len(self.embedded) - 1234,
            "ram_bytes": firmware_folder.arena_bytes(self.file.path) - 16,
        }
        with self.assertRaisesRegex(
            ValueError,
            "array takes.*1,234 too many; .*arena takes.*16 too many",
        ):
            firmware_folder.export_micro(self.file.path, self.out, **budgets)
        self.assertEmpty(os.listdir(self.out))

    def test_a_folder_of_another_model_stays_as_it_is(self):
        firmware_folder.export_micro(self.file.path, self.out, name="first")
        before = (self.out / "model.cc").read_bytes()
        with self.assertRaisesRegex(ValueError, "holds 'first'"):
            firmware_folder.export_micro(self.file.path, self.out, name="next")
        self.assertEqual((self.out / "model.cc").read_bytes(), before)

    def test_scales_that_the_kernels_do_not_read(self):
        path = self.folder / "wide.tflite"
        path.write_bytes(converted("int16x8", kernels="reference"))
        with self.assertRaisesRegex(ValueError, "one per channel in classes"):
            firmware_folder.export_micro(path, self.out, kernels="cmsis-nn")
        self.assertEmpty(os.listdir(self.out))
        with self.assertLogs(level="WARNING") as log:
            source = firmware_folder.export_micro(path, self.out)
        self.assertIn("only on the reference kernels", log.output[0])
        self.assertEqual([*source.arena_need.plans], [("reference", "plain")])
        path.write_bytes(converted("int16x8"))
        firmware_folder.export_micro(
            path, self.out / "net", kernels="cmsis-nn", core="Cortex-M55"
        )

    def test_a_sketch_that_would_be_wrong_is_left_out(self):
        with self.assertLogs(level="WARNING") as log:
            firmware_folder.export_micro(self.file.path, self.out)
        self.assertIn('Export with dense_scales="tensor"', log.output[0])
        self.assertFalse((self.out / "arduino").exists())
        plain = self.folder / "plain.tflite"
        plain.write_bytes(int8_file("tensor"))
        firmware_folder.export_micro(plain, self.out, name="net")
        with self.assertRaisesRegex(ValueError, "outputs would be wrong"):
            firmware_folder.export_micro(self.file.path, self.out)

    def test_an_op_without_a_kernel_is_named(self):
        inputs = keras.Input((4, 3))
        model = keras.Model(inputs, keras.ops.prod(inputs, -1))
        path = self.folder / "product.tflite"
        small_models.export(model, path)
        with self.assertRaisesRegex(ValueError, "Micro.*with REDUCE_PROD"):
            firmware_folder.export_micro(path, self.out)
        self.assertEmpty(os.listdir(self.out))

    def test_a_file_that_the_interpreter_refuses(self):
        path = self.folder / "dynamic.tflite"
        small_models.export(small_models.large(), path, "dynamic")
        with self.assertRaisesRegex(
            RuntimeError,
            "(?s)dynamic.tflite.*no kernel for the FULLY_CONNECTED that "
            "computes 'd",
        ):
            firmware_folder.export_micro(path, self.out)
        self.assertEmpty(os.listdir(self.out))

    def test_a_file_that_is_compiled_for_an_npu(self):
        sketch = hand_made.Sketch()
        x, y = sketch.tensor("x", (1, 2)), sketch.tensor("y", (1, 2))
        sketch.op("ethos-u", [x], [y])
        path = self.folder / "compiled.tflite"
        path.write_bytes(sketch.data([x], [y]))
        with self.assertRaisesRegex(
            RuntimeError, "compiled.tflite.*for an NPU.*Pass the file that"
        ):
            firmware_folder.export_micro(path, self.out)
        self.assertEmpty(os.listdir(self.out))

    @parameterized.parameters(
        ("missing/net", FileNotFoundError), ("blocked", FileExistsError)
    )
    def test_paths(self, out, exception):
        (self.out / "blocked").touch()
        with self.assertRaises(exception):
            firmware_folder.export_micro(self.file.path, self.out / out)
        self.assertEqual(os.listdir(self.out), ["blocked"])

    def test_a_missing_package(self):
        found = importlib.util.find_spec
        with mock.patch.object(
            importlib.util,
            "find_spec",
            lambda name: None if name == "tflite_micro" else found(name),
        ):
            with self.assertRaisesRegex(ImportError, r"tfprune\[export\]"):
                firmware_folder.export_micro(self.file.path, self.out)


class ArenaTest(parameterized.TestCase):
    def test_the_arena_of_resnet_8(self):
        path = conftest.shared_path(
            "data", "tinyml", "pretrainedResnet_quant.tflite"
        )
        arena = measured_arena.arena(path)
        self.assertEqual(arena.required_bytes, 55_984)
        self.assertEqual(arena.used_bytes, 55_984)
        self.assertEqual(arena.shared_bytes + arena.persistent_bytes, 55_984)
        self.assertBetween(firmware_folder.arena_bytes(path), 55_000, 55_100)

    @parameterized.parameters(
        small_models.dense, small_models.dead_branch, small_models.residual
    )
    def test_no_smaller_arena_would_do(self, build):
        path = pathlib.Path(self.create_tempdir().full_path, "net.tflite")
        small_models.export(build(), path)
        required = measured_arena.arena(path).required_bytes
        self.assertTrue(self.starts(path, required))
        self.assertFalse(self.starts(path, required - 16))

    def test_more_work_takes_longer(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        paths = []
        for channels in (2, 64):
            inputs = keras.Input((16, 16, 8))
            x = keras.layers.Conv2D(channels, 3, padding="same")(inputs)
            paths.append(folder / f"{channels}.tflite")
            small_models.export(keras.Model(inputs, x), paths[-1])
        on_tflite = litert.times(paths)
        self.assertEqual(on_tflite.shape, (50, 2))
        for seconds in (measured_arena.seconds(paths, 5), on_tflite.min(0)):
            self.assertLess(0, seconds[0])
            self.assertLess(2 * seconds[0], seconds[1])

    def starts(self, path, arena):
        code = (
            "import sys; from tflite_micro.python.tflite_micro import runtime;"
            "runtime.Interpreter.from_file(sys.argv[1], arena_size=int("
            "sys.argv[2]))"
        )
        command = [sys.executable, "-c", code, str(path), str(arena)]
        return not subprocess.run(command, capture_output=True).returncode

    @pytest.mark.slow
    def test_an_interpreter_that_crashes_in_small_arenas(self):
        """The autoencoder of MLPerf Tiny, whose arena ends while planning."""
        keras.utils.set_random_seed(0)
        model = zoo.build("autoencoder")
        path = pathlib.Path(self.create_tempdir().full_path, "net.tflite")
        x = small_models.samples(model, 20)
        small_models.export(model, path, "int8", x)
        arena = measured_arena.arena(path)
        self.assertTrue(self.starts(path, arena.required_bytes))
        self.assertFalse(self.starts(path, arena.required_bytes - 16))
        self.assertGreater(arena.required_bytes, arena.used_bytes)
