import functools
import importlib.util
import os
import pathlib
import subprocess
import tempfile
from unittest import mock

from absl.testing import parameterized

from tfprune.export import micro
from tfprune.export import micro_runner
from tfprune.export import model_file
from tfprune_test import conftest
from tfprune_test.export import small_models

# A resolver that counts, in the place of TFLite Micro's.
FAKE_RESOLVER = """
#include <stdio.h>
#include "{header}"
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
#include "{header}"
int main(void) {{
  if ((uintptr_t){lower}_data % 16) return 1;
  if ({lower}_data_bytes != {name}_DATA_BYTES) return 2;
  return fwrite({lower}_data, 1, {lower}_data_bytes, stdout) == 0;
}}
"""
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")


@functools.cache
def int8_file():
    """The bytes of a .tflite file, converted once for all tests."""
    model = small_models.residual()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "net.tflite")
        small_models.export(model, path, "int8", small_models.samples(model))
        return path.read_bytes()


class ExportMicroTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        path = self.folder / "net.tflite"
        path.write_bytes(int8_file())
        self.file = model_file.read(path)
        self.out = self.folder / "out"
        self.out.mkdir()

    def compiled(self, program, suffix, source):
        """What a program that is linked with the generated source prints."""
        path = self.folder / f"main{suffix}"
        header = pathlib.Path(source.header).name
        path.write_text(
            program.format(
                header=header,
                lower=source.name,
                name=source.name.upper(),
                methods="\n  ".join(
                    f"int {m}() {{ ++count; return 0; }}"
                    for m in source.resolver_methods
                ),
            )
        )
        compilers = {".c": ("gcc", "-std=c99"), ".cc": ("g++", "-std=c++11")}
        objects = []
        for name in (str(path), source.source):
            compiler = compilers[pathlib.Path(name).suffix]
            objects.append(f"{name}.o")
            subprocess.run(
                [*compiler, *STRICT, f"-I{self.out}", "-c", name]
                + ["-o", objects[-1]],
                check=True,
            )
        binary = self.folder / "main"
        subprocess.run(["g++", *objects, "-o", binary], check=True)
        return subprocess.run([binary], check=True, capture_output=True).stdout

    def test_the_array_is_the_file(self):
        source = micro.export_micro(self.file.path, self.out / "net")
        read_back = self.compiled(READ_BACK, ".c", source)
        self.assertEqual(read_back, pathlib.Path(self.file.path).read_bytes())

    def test_firmware_finds_what_it_needs_in_the_header(self):
        source = micro.export_micro(self.file.path, self.out / "net")
        printed = self.compiled(FAKE_RESOLVER, ".cc", source).split()
        tensor = self.file.inputs[0]
        count = len(self.file.ops)
        self.assertEqual([int(n) for n in printed[:4]], [1, count, count, 4128])
        self.assertEqual(float(printed[4]), float(f"{tensor.scale:.9g}"))
        self.assertEqual(int(printed[5]), tensor.zero_point)

    def test_the_record_describes_the_files(self):
        source = micro.export_micro(self.file.path, self.out / "net")
        self.assertEqual(source.name, "net")
        self.assertEqual(source.flash_bytes, self.file.file_bytes)
        self.assertIn("AddDepthwiseConv2D", source.resolver_methods)
        self.assertEqual(source.source, str(self.out / "net.cc"))
        arena = source.arena.required_bytes
        text = pathlib.Path(source.header).read_text()
        self.assertIn(f"#define NET_ARENA_BYTES {arena}\n", text)
        self.assertNotIn(str(self.folder), text)

    @parameterized.parameters(
        ("", {}, "net", "net"),
        ("Größe 7.cc", {}, "Größe 7", "Gro_e_7"),
        ("a.b", {"name": "7 nets"}, "a.b", "model_7_nets"),
    )
    def test_names(self, out, kwargs, stem, name):
        target = self.out / out if out else self.out
        source = micro.export_micro(self.file.path, target, **kwargs)
        files = {f"{stem}.cc", f"{stem}.h"}
        self.assertEqual(set(os.listdir(self.out)), files)
        self.assertEqual(source.name, name)
        self.assertNotEmpty(self.compiled(READ_BACK, ".c", source))

    def test_the_same_file_gives_the_same_sources(self):
        texts = []
        for _ in range(2):
            source = micro.export_micro(self.file.path, self.out)
            texts.append(pathlib.Path(source.header).read_bytes())
        self.assertEqual(*texts)

    def test_a_budget_that_is_just_met_is_met(self):
        arena = micro.arena_bytes(self.file.path)
        micro.export_micro(
            self.file.path,
            self.out,
            flash_bytes=self.file.file_bytes,
            ram_bytes=arena,
        )
        self.assertLen(os.listdir(self.out), 2)

    def test_a_budget_that_is_exceeded_tells_by_how_much(self):
        budgets = {
            "flash_bytes": self.file.file_bytes - 1234,
            "ram_bytes": micro.arena_bytes(self.file.path) - 16,
        }
        with self.assertRaisesRegex(
            ValueError,
            "array takes.*1,234 too many; .*arena takes.*16 too many",
        ):
            micro.export_micro(self.file.path, self.out, **budgets)
        self.assertEmpty(os.listdir(self.out))

    def test_an_op_without_a_kernel_is_named(self):
        model = small_models.gelu()
        path = self.folder / "gelu.tflite"
        small_models.export(model, path)
        with self.assertRaisesRegex(ValueError, "Micro.*with GELU"):
            micro.export_micro(path, self.out)
        self.assertEmpty(os.listdir(self.out))

    def test_a_file_that_the_interpreter_refuses(self):
        path = self.folder / "dynamic.tflite"
        small_models.export(small_models.large(), path, "dynamic")
        with self.assertRaisesRegex(RuntimeError, "filter type: INT8"):
            micro.export_micro(path, self.out)
        self.assertEmpty(os.listdir(self.out))

    @parameterized.parameters(
        ("missing/net", FileNotFoundError), ("blocked", IsADirectoryError)
    )
    def test_paths(self, out, exception):
        (self.out / "blocked.h").mkdir()
        with self.assertRaises(exception):
            micro.export_micro(self.file.path, self.out / out)
        self.assertEqual(os.listdir(self.out), ["blocked.h"])

    def test_a_missing_package(self):
        found = importlib.util.find_spec
        with mock.patch.object(
            importlib.util,
            "find_spec",
            lambda name: None if name == "tflite_micro" else found(name),
        ):
            with self.assertRaisesRegex(ImportError, r"tfprune\[export\]"):
                micro.export_micro(self.file.path, self.out)


class ArenaTest(parameterized.TestCase):
    def test_the_arena_of_resnet_8(self):
        path = conftest.shared_path(
            "data", "tinyml", "pretrainedResnet_quant.tflite"
        )
        arena = micro.arena(path)
        self.assertEqual(arena.required_bytes, 55_984)
        self.assertEqual(arena.used_bytes, 55_984)
        self.assertEqual(arena.shared_bytes + arena.persistent_bytes, 55_984)
        self.assertEqual(micro.arena_bytes(path), 55_984)

    @parameterized.parameters(
        small_models.dense, small_models.dead_branch, small_models.residual
    )
    def test_no_smaller_arena_would_do(self, build):
        path = pathlib.Path(self.create_tempdir().full_path, "net.tflite")
        small_models.export(build(), path)
        data = path.read_bytes()
        required = micro.arena_bytes(path)
        self.assertTrue(micro_runner._starts(data, required))
        self.assertFalse(micro_runner._starts(data, required - 16))
