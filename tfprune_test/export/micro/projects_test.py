import configparser
import dataclasses
import functools
import pathlib
import re
import shutil
import subprocess
import tempfile
from xml.etree import ElementTree

import yaml
from absl.testing import parameterized

from tfprune.export.file import model_file
from tfprune.export.micro import firmware_folder
from tfprune.export.micro import projects
from tfprune_test.export import small_models

# What the makers' schemas allow: scripts/zephyr_module.py of Zephyr, the
# manifest of ESP-IDF's component manager, the specification of libraries for
# Arduino.
MODULE = {"cmake", "kconfig", "depends"}
MANIFEST = {"version", "description", "dependencies"}
PROPERTIES = {"name", "version", "author", "maintainer", "sentence"}
PROPERTIES |= {"paragraph", "category", "url", "architectures"}


@functools.cache
def tensor_scales():
    """The bytes of a file that every project computes rightly."""
    model = small_models.residual()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "net.tflite")
        small_models.export(
            model,
            path,
            "int8",
            small_models.samples(model),
            dense_scales="tensor",
        )
        return path.read_bytes()


class ProjectsTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        path = self.folder / "net.tflite"
        path.write_bytes(tensor_scales())
        self.out = self.folder / "out"
        self.file = model_file.read(path)
        texts = {"model.cc": "", "model.h": "", "model_api.cc": ""}
        self.sources = projects.Sources(self.file, "net", texts)

    def written(self, key):
        """The files of a project, by path, as texts."""
        layout = projects.PROJECTS[key]
        return layout.files(self.sources) | layout.starts(self.sources)

    @parameterized.parameters(*projects.PROJECTS)
    def test_a_project_has_its_mark_and_a_program(self, key):
        files = self.written(key)
        self.assertIn(projects.PROJECTS[key].mark("net"), files)
        programs = [text for text in files.values() if "self_test()" in text]
        self.assertNotEmpty(programs)
        self.assertNotIn("$", "".join(programs))

    def test_platformio(self):
        found = configparser.ConfigParser()
        found.read_string(self.written("platformio")["platformio.ini"])
        environments = [s for s in found.sections() if s.startswith("env:")]
        default = found["platformio"]["default_envs"]
        self.assertIn(f"env:{default}", environments)
        for section in environments:
            self.assertEqual({*found[section]}, {"platform", "board"})
        self.assertEqual(
            found["env"]["build_src_filter"],
            "+<*> +<../model.cc> +<../model_api.cc>",
        )

    def test_zephyr(self):
        files = self.written("zephyr")
        module = yaml.safe_load(files["zephyr/module.yml"])
        self.assertEqual({*module}, {"name", "build", "samples"})
        self.assertEqual({*module["build"]}, MODULE)
        folder = module["build"]["cmake"]
        self.assertIn(f"{folder}/CMakeLists.txt", files)
        self.assertIn(module["build"]["kconfig"], files)
        option = re.search(r"\nconfig (\w+)", files["zephyr/Kconfig"])[1]
        for path in ("zephyr/CMakeLists.txt", "samples/self_test/prj.conf"):
            self.assertIn(f"CONFIG_{option}", files[path])
        yaml.safe_load(files["samples/self_test/sample.yaml"])
        # Where it is no string, Zephyr refuses the module.
        self.sources = dataclasses.replace(self.sources, name="yes")
        module = yaml.safe_load(self.written("zephyr")["zephyr/module.yml"])
        self.assertEqual(module["name"], "yes")

    def test_esp_idf(self):
        files = self.written("esp-idf")
        component = "esp-idf/components/net_model"
        manifest = yaml.safe_load(files[f"{component}/idf_component.yml"])
        self.assertEqual({*manifest}, MANIFEST)
        self.assertIn("espressif/esp-tflite-micro", manifest["dependencies"])
        self.assertIn(
            "REQUIRES net_model)", files["esp-idf/main/CMakeLists.txt"]
        )
        listed = re.findall(
            r'"(\S+\.cc)"', files[f"{component}/CMakeLists.txt"]
        )
        paths = [(self.out / component / p).resolve() for p in listed]
        self.assertEqual(
            paths, [self.out / "model.cc", self.out / "model_api.cc"]
        )
        self.assertIn("void app_main(void)", files["esp-idf/main/main.cc"])
        # A component of its own name would take the place of ESP-IDF's.
        for name in ("main", "log", "json", "console"):
            self.sources = dataclasses.replace(self.sources, name=name)
            files = self.written("esp-idf")
            taken = f"esp-idf/components/{name}/"
            self.assertFalse([path for path in files if taken in path])

    def test_arduino(self):
        files = self.written("arduino")
        library = "arduino/libraries/net"
        text = files[f"{library}/library.properties"]
        properties = dict(line.split("=", 1) for line in text.splitlines())
        self.assertContainsSubset(PROPERTIES, properties)
        self.assertIn(f"{library}/src/model_api.cpp", files)
        self.assertIn("arduino/net/model.cpp", files)

    def test_stm32cube(self):
        files = self.written("stm32cube")
        root = ElementTree.fromstring(files["stm32cube/settings.xml"])
        self.assertEqual(root.tag, "cdtprojectproperties")
        names = [section.get("name").split(".")[-1] for section in root]
        self.assertEqual(names, ["IncludePaths", "Macros"])
        macros = [node.text for node in root[1].iter("name")]
        self.assertIn("TF_LITE_STATIC_MEMORY", macros)
        self.assertIn("int net_self_test", files["stm32cube/self_test.cc"])

    @parameterized.parameters("settings.xml", "README.md")
    def test_files_of_ones_own_for_stm32cube(self, name):
        export = functools.partial(
            firmware_folder.export_micro, self.file.path, self.out
        )
        export(project="stm32cube")
        path = self.out / "stm32cube" / name
        text = path.read_text()
        signed = [line for line in text.splitlines() if "tfprune" in line]
        # As earlier versions wrote it.
        path.write_text(text.replace(f"{signed[0]}\n", ""))
        export(project="stm32cube")
        self.assertEqual(path.read_text(), text)
        path.write_text("mine")
        with self.assertRaisesRegex(ValueError, f"{name} was written by some"):
            export(project="stm32cube")
        self.assertEqual(path.read_text(), "mine")

    def test_projects_that_are_there_are_kept_up_to_date(self):
        firmware_folder.export_micro(
            self.file.path, self.out, project="esp-idf"
        )
        self.assertFalse((self.out / "CMakeLists.txt").exists())
        main = self.out / "esp-idf/main/main.cc"
        manifest = self.out / "esp-idf/components/net_model/idf_component.yml"
        main.write_text("// mine")
        manifest.write_text("# Written by tfprune.\n")
        firmware_folder.export_micro(self.file.path, self.out, project="zephyr")
        self.assertEqual(main.read_text(), "// mine")
        self.assertIn("dependencies", manifest.read_text())
        self.assertTrue((self.out / "zephyr/module.yml").exists())

    def test_the_arena_of_esp_idf_is_that_of_its_kernels(self):
        export = functools.partial(
            *(firmware_folder.export_micro, self.file.path, self.out),
            project="esp-idf",
        )
        found = export()
        need = firmware_folder.arena_bytes(self.file.path, "esp-nn")
        self.assertNotEqual(need, firmware_folder.arena_bytes(self.file.path))
        self.assertEqual(found.arena_need.bytes, need)
        self.assertEqual(export(ram_bytes=need).arena_bytes, need)
        with self.assertRaisesRegex(ValueError, "16 too many"):
            export(ram_bytes=need - 16)
        plain = export(kernels="reference")
        self.assertEqual(plain.arena_need.kernels, "reference")

    def test_no_arena_of_a_microcontroller_exceeds_its_ram(self):
        most = firmware_folder.arena_bytes(self.file.path)
        firmware_folder.export_micro(
            self.file.path, self.out, arena_margin=2.0, ram_bytes=most
        )
        text = (self.out / "model_settings.h").read_text()
        counts = re.findall(r"_ARENA_BYTES (\d+)", text)
        # Cortex-M, ESP-IDF, and a computer.
        self.assertEqual([int(n) <= most for n in counts], [True, True, False])

    def tool(self, name):
        found = shutil.which(name)
        if found is None:
            self.skipTest(f"{name} is not installed")
        return found

    def test_platformio_reads_its_project(self):
        pio = self.tool("pio")
        for path, text in self.written("platformio").items():
            (self.out / path).parent.mkdir(parents=True, exist_ok=True)
            (self.out / path).write_text(text)
        done = subprocess.run(
            [pio, "project", "config", "--lint", "-d", self.out],
            check=True,
            capture_output=True,
            text=True,
        )
        self.assertIn("free from linting errors", done.stdout)

    @parameterized.parameters(
        ("adc", "software kits or C libraries have adc_init"),
        ("I2C", "C libraries have I2C_init"),
    )
    def test_names_of_software_kits_are_refused(self, name, message):
        with self.assertRaisesRegex(ValueError, message):
            firmware_folder.export_micro(self.file.path, self.out, name=name)
        self.assertFalse(self.out.exists())

    @parameterized.parameters("model.h", "model.cc")
    def test_files_of_something_else_are_not_overwritten(self, name):
        self.out.mkdir()
        (self.out / name).write_text("mine")
        with self.assertRaisesRegex(ValueError, "must be empty or hold this"):
            firmware_folder.export_micro(self.file.path, self.out)
        self.assertEqual((self.out / name).read_text(), "mine")

    def test_a_module_of_ones_own_is_not_overwritten(self):
        firmware_folder.export_micro(self.file.path, self.out)
        module = self.out / "zephyr" / "module.yml"
        module.parent.mkdir()
        module.write_text("name: mine")
        firmware_folder.export_micro(self.file.path, self.out)
        self.assertEqual(module.read_text(), "name: mine")
        with self.assertRaisesRegex(ValueError, "zephyr/module.yml was"):
            firmware_folder.export_micro(
                self.file.path, self.out, project="zephyr"
            )
        self.assertEqual(module.read_text(), "name: mine")
