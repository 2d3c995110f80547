"""What is shipped: metadata, the wheel, the BUILD files, the make targets."""

import ast
import configparser
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
from packaging import requirements

from tools import build_files
from tools import newcomer
from tools import platforms
from tools import release_check
from tools import source_tree

ROOT = source_tree.ROOT
COMMAND = "tfprune_command"  # Outside of the package, which it starts.


def setup_cfg():
    parser = configparser.ConfigParser(
        delimiters=("=",), comment_prefixes=("#",)
    )
    parser.read(ROOT / "setup.cfg")
    return parser


def parsed(text):
    return [requirements.Requirement(line) for line in text.split("\n") if line]


def programs():
    """The examples and benchmarks that are run by themselves."""
    found = [*ROOT.glob("benchmarks/*.py"), *ROOT.glob("examples/*.py")]
    return sorted(p for p in found if "app.run(main)" in p.read_text())


def lines_of_imports(path):
    """`dict` from the first part of each name that a file imports to a line."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        names = []
        if isinstance(node, ast.ImportFrom):
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            found.setdefault(name.split(".")[0], node.lineno)
            sibling = path.with_name(f"{name}.py")
            own = sibling.read_text() if sibling.exists() else ""
            if own and "sys.path.ins" not in own:
                for other in lines_of_imports(sibling):
                    found.setdefault(other, node.lineno)
    return found


class ProgramsTest(parameterized.TestCase):
    @parameterized.parameters(*([path] for path in programs()))
    def test_what_is_not_installed_is_imported_from_the_checkout(self, path):
        """`python benchmarks/x.py` sees its folder, and what is installed."""
        lines = path.read_text().split("\n")
        found = [n for n, line in enumerate(lines, 1) if "sys.path.ins" in line]
        first = found[0] if found else len(lines)
        imports = lines_of_imports(path)
        for name in ("benchmarks", "examples", "tfprune_test", "tools"):
            if name in imports:
                self.assertLess(first, imports[name], name)


class MetadataTest(parameterized.TestCase):
    def test_no_backend_is_required(self):
        required = parsed(setup_cfg()["options"]["install_requires"])
        names = {requirement.name for requirement in required}
        self.assertContainsSubset({"keras", "numpy"}, names)
        self.assertNoCommonElements(
            names, {"tensorflow", "tensorflow-cpu", "jax", "torch"}
        )

    @parameterized.parameters(
        ("linux", "x86_64", "tensorflow-cpu"),
        ("linux", "aarch64", "tensorflow"),
        ("darwin", "arm64", "tensorflow"),
        ("win32", "AMD64", "tensorflow"),
    )
    def test_the_cpu_extra_takes_one_tensorflow(self, system, machine, name):
        platform = {"sys_platform": system, "platform_machine": machine}
        extra = parsed(setup_cfg()["options.extras_require"]["cpu"])
        taken = [r.name for r in extra if r.marker.evaluate(platform)]
        self.assertEqual(taken, [name])

    def test_every_extra_can_be_read(self):
        extras = setup_cfg()["options.extras_require"]
        for name, text in extras.items():
            self.assertNotEmpty(parsed(text), name)

    def test_constraints_hold_every_package_of_make(self):
        lines = (ROOT / "constraints.txt").read_text().splitlines()
        pinned = {re.split(r"==", line)[0] for line in lines}
        extras = setup_cfg()["options.extras_require"]
        default = re.search(
            r"^EXTRAS \?= (.*)$", (ROOT / "Makefile").read_text(), re.M
        )
        for extra in default.group(1).split(","):
            for requirement in parsed(extras[extra]):
                self.assertIn(requirement.name.replace("_", "-"), pinned)

    def test_clean_leaves_the_state_of_half_trained_records(self):
        if not shutil.which("make"):
            self.skipTest("there is no make")
        folder = pathlib.Path(self.create_tempdir().full_path)
        for name in ("records/r56", "demo", "bench"):
            (folder / "build" / name).mkdir(parents=True)
        command = ["make", "-s", "-f", str(ROOT / "Makefile"), "clean"]
        subprocess.run(command, cwd=folder, check=True)
        left = [path.name for path in sorted(folder.glob("build/**/*"))]
        self.assertEqual(left, ["records", "r56"])

    def test_format_does_what_lint_asks_for(self):
        if not shutil.which("make"):
            self.skipTest("there is no make")
        command = ["make", "-n", "-o", ".venv/ready", "format"]
        asked = subprocess.run(
            command, cwd=ROOT, check=True, capture_output=True, text=True
        )
        self.assertIn("ruff format", asked.stdout)

    def test_the_version_stands_in_one_place(self):
        version = setup_cfg()["metadata"]["version"]
        self.assertEqual(version, "attr: tfprune.__version__")
        self.assertRegex(release_check.version(), r"^\d+\.\d+\.\d+")

    def test_what_a_release_needs_is_there(self):
        release_check.citation()
        release_check.changelog(release_check.version(), release=False)
        with self.assertRaisesRegex(ValueError, "with a date|Nothing may"):
            release_check.changelog("99.0.0", release=True)

    def test_the_changelog_has_a_place_for_what_is_new(self):
        self.assertIn("## [Unreleased]", (ROOT / "CHANGELOG.md").read_text())


class WheelTest(absltest.TestCase):
    """Builds the wheel once and looks into it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.folder = pathlib.Path(folder)
        checkout = cls.folder / "checkout"
        shutil.copytree(
            ROOT / "tfprune",
            checkout / "tfprune",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        names = ("setup.cfg", "pyproject.toml", "LICENSE", f"{COMMAND}.py")
        for name in names:
            shutil.copy(ROOT / name, checkout)
        # The text of the project's page, which a checkout may lack.
        (checkout / "README.md").write_text("tfprune\n")
        cls.run_python(
            "from setuptools import build_meta as b; b.build_wheel('..')",
            cwd=checkout,
        )
        (cls.wheel,) = cls.folder.glob("*.whl")

    @classmethod
    def run_python(cls, script, **options):
        result = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            timeout=300,
            **options,
        )
        if result.returncode:
            raise RuntimeError(result.stderr)
        return result.stdout

    def test_it_holds_every_module_and_nothing_else(self):
        with zipfile.ZipFile(self.wheel) as archive:
            names = archive.namelist()
        (info,) = {n.partition("/")[0] for n in names if ".dist-info/" in n}
        self.assertEqual(info, f"tfprune-{release_check.version()}.dist-info")
        modules = {name for name in names if ".dist-info/" not in name}
        expected = source_tree.python_files(folders=["tfprune"])
        expected = {path.as_posix() for path in expected}
        expected |= {
            f"tfprune/reports/html/page.{end}" for end in ("css", "js")
        }
        expected |= {
            f"tfprune/costs/{name}.json"
            for name in ("code_parts", "core_coefficients")
        }
        expected |= {f"{COMMAND}.py", "tfprune/py.typed"}
        self.assertEqual(modules, expected)
        self.assertTrue(any(name.endswith("/LICENSE") for name in names))

    def test_its_command_is_the_cli(self):
        with zipfile.ZipFile(self.wheel) as archive:
            (name,) = (
                n for n in archive.namelist() if n.endswith("entry_points.txt")
            )
            text = archive.read(name).decode()
        self.assertIn(f"tfprune = {COMMAND}:main", text)

    def test_it_is_imported_from_another_folder(self):
        installed = self.folder / "installed"
        with zipfile.ZipFile(self.wheel) as archive:
            archive.extractall(installed)
        place = self.run_python(
            "import tfprune; print(tfprune.__file__)",
            cwd=self.folder,
            env=dict(os.environ, PYTHONPATH=str(installed)),
        )
        self.assertEqual(
            pathlib.Path(place.strip()), installed / "tfprune" / "__init__.py"
        )


class BuildFilesTest(absltest.TestCase):
    """On a checkout of a few files, so that every line can be seen."""

    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.create_tempdir().full_path)
        for folder in (
            "tfprune/core",
            "tfprune/graph",
            "tfprune_test",
            "tools",
        ):
            (self.root / folder).mkdir(parents=True)
        for name, text in {
            "tfprune/core/registry.py": "import re\n",
            "tfprune/graph/read.py": (
                "import keras.layers\n"
                "from tfprune.core import registry\n"
                "from tfprune.graph import labels\n"
            ),
            "tfprune/graph/labels.py": "",
            "tfprune_test/conftest.py": "",
        }.items():
            (self.root / name).write_text(text)

    def test_deps_are_the_imports(self):
        text = build_files.build_files(self.root)[pathlib.Path("tfprune/graph")]
        self.assertEndsWith(
            text,
            "# Imports keras.\n"
            "py_library(\n"
            '    name = "graph",\n'
            '    srcs = glob(["*.py"]),\n'
            '    deps = ["//tfprune/core"],\n'
            ")\n",
        )

    def test_folders_that_import_each_other_are_one_target(self):
        rules = self.root / "tfprune/graph/rules"
        rules.mkdir()
        (rules / "dense.py").write_text("from tfprune.graph import labels\n")
        read = self.root / "tfprune/graph/read.py"
        read.write_text("from tfprune.graph.rules import dense\n")
        found = build_files.build_files(self.root)
        self.assertNotIn(pathlib.Path("tfprune/graph/rules"), found)
        text = found[pathlib.Path("tfprune/graph")]
        self.assertIn('"rules/*.py"', text)
        self.assertNotIn("deps", text)

    def test_a_circle_of_rooms_is_refused(self):
        (self.root / "tfprune/core/registry.py").write_text(
            "from tfprune.graph import labels\n"
        )
        with self.assertRaisesRegex(ValueError, "core, tfprune/graph"):
            build_files.build_files(self.root)

    def test_tests_of_a_room_are_one_target(self):
        (self.root / "tfprune_test/labels_test.py").write_text(
            "from tfprune.graph import labels\n"
        )
        text = build_files.build_files(self.root)[pathlib.Path("tfprune_test")]
        self.assertIn('name = "tfprune_test_all_test"', text)
        self.assertIn('args = ["tfprune_test"]', text)
        self.assertIn('"//tfprune/graph"', text)
        self.assertIn('"//tools:run_pytest.py"', text)

    def test_what_is_missing_changed_or_left_over_is_stale(self):
        for folder, text in build_files.build_files(self.root).items():
            (self.root / folder / "BUILD").write_text(text)
        self.assertEmpty(build_files.stale(self.root))
        (self.root / "tfprune/core/registry.py").write_text("import keras\n")
        (self.root / "tfprune_test/BUILD").unlink()
        (self.root / "tools/BUILD").write_text("")
        self.assertEqual(
            [str(p.parent.name) for p in build_files.stale(self.root)],
            ["core", "tfprune_test", "tools"],
        )


class CommittedBuildFilesTest(absltest.TestCase):
    def test_they_are_current(self):
        self.assertEmpty(build_files.stale(), 'run "make build-files"')


class NewcomerTest(absltest.TestCase):
    def test_a_page_is_read_as_a_reader_reads_it(self):
        text = (
            "Text\n\n    tfprune a \\\n        --b\n    make demo    # soon\n\n"
            "```python\nx = 1\n\nif x:\n    y = 2\n```\n"
            "```py\nnot_run\n```\n```python jax\nneither\n```\n"
        )
        self.assertEqual(
            list(newcomer.pieces(text)),
            [
                ("command", "tfprune a --b"),
                ("command", "make demo"),
                ("code", "x = 1\n\nif x:\n    y = 2\n"),
            ],
        )

    def test_a_checkout_beside_it_is_not_deleted(self):
        place = pathlib.Path(self.create_tempdir().full_path)
        for name in ("tfprune", "work"):
            own = place / name / "own.txt"
            own.parent.mkdir()
            own.write_text("mine")
            log = newcomer.Log(place / "log.md", kept=place / "steps.json")
            with mock.patch.object(log, "run", return_value=False):
                with self.assertRaisesRegex(SystemExit, "must be new"):
                    newcomer.tried(log, place, None)
            self.assertEqual(own.read_text(), "mine")
            shutil.rmtree(own.parent)

    def test_a_failure_is_in_the_log_with_its_last_words(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        log = newcomer.Log(folder / "log.md")
        good = [sys.executable, "-c", "print(1)"]
        bad = [sys.executable, "-c", "raise ValueError('of a page')"]
        self.assertTrue(log.run("good", good, folder))
        self.assertFalse(log.run("bad", bad, folder))
        log.add("make test", 0.0, None)
        text = (folder / "log.md").read_text()
        self.assertIn("3 steps, 1 left out", text)
        self.assertIn("failures 1", text)
        self.assertIn("ValueError: of a page", text)

    def test_what_went_well_is_not_repeated_for_the_same_commit(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        good = [sys.executable, "-c", "open('ran', 'a').write('1')"]
        bad = [sys.executable, "-c", "open('failed', 'a').write('1'); 1 / 0"]
        for revision in ("one", "one", "other"):
            log = newcomer.Log(folder / "log", revision, folder / "steps.json")
            self.assertTrue(log.run("good", good, folder))
            self.assertFalse(log.run("bad", bad, folder))
            self.assertLen(log.steps, 2)
        self.assertEqual((folder / "ran").read_text(), "11")
        self.assertEqual((folder / "failed").read_text(), "111")


class PlatformsTest(parameterized.TestCase):
    @parameterized.parameters(
        ([], "-"),
        (["3.12"], "3.12"),
        (["3.11", "3.12", "3.13"], "3.11 - 3.13"),
        (["3.11", "3.13"], "3.11, 3.13"),
    )
    def test_versions_are_told_as_a_span(self, pythons, text):
        self.assertEqual(platforms.span(pythons), text)

    def test_the_interpreter_of_micro_is_asked_for_on_linux_alone(self):
        linux, mac = (
            platforms.needs(platforms.PLATFORMS[name], "3.11")
            for name in ("Linux x86-64", "macOS on Apple silicon")
        )
        self.assertLen(linux["tflite-micro"], 1)
        self.assertEmpty(mac["tflite-micro"])
        self.assertIn("ai-edge-litert>=2.1", mac["export"])
        self.assertTrue(any("-cpu" in r for r in linux["cpu"]))
        self.assertFalse(any("-cpu" in r for r in mac["cpu"]))

    def test_what_resolves_nowhere_is_a_dash(self):
        table = platforms.platforms(lambda *_: False)
        self.assertEqual(set(table.rows[0][1:]), {"-"})
        table = platforms.platforms(lambda *_: True)
        self.assertEqual(table.rows[0][1], "3.11 - 3.14")


class MakeTest(parameterized.TestCase):
    @parameterized.parameters("demo", "test", "test-all", "lint", "bench")
    def test_help_lists(self, target):
        text = subprocess.run(
            ["make", "--no-print-directory", "-C", str(ROOT)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        self.assertRegex(text, rf"(?m)^{target} +\w")

    def test_extras_that_cannot_stand_together_are_refused(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        arguments = ["EXTRAS=data,tfmot,cpu", f"VENV={folder}/venv", "venv"]
        result = subprocess.run(
            ["make", "-C", str(ROOT), f"PYTHON={sys.executable}", *arguments],
            capture_output=True,
            text=True,
        )
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("cpu and tfmot must not", result.stderr)
        self.assertFalse((folder / "venv").exists())

    def test_an_old_python_is_refused_by_name(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        old = folder / "python"
        old.write_text(
            f'#!/bin/sh\nexec {sys.executable} -c "import sys; '
            "sys.version_info = (3, 9); sys.version = '3.9.1 '; "
            'exec(sys.argv.pop(1))" "$2"\n'
        )
        old.chmod(0o755)
        arguments = [f"PYTHON={old}", f"VENV={folder}/venv", "venv"]
        result = subprocess.run(
            ["make", "-C", str(ROOT), *arguments],
            capture_output=True,
            text=True,
        )
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("required. Received: 3.9.1", result.stderr)
        self.assertFalse((folder / "venv").exists())


if __name__ == "__main__":
    absltest.main()
