"""The rules of `tools/house_rules.py` hold, and each of them can fail."""

import collections
import dataclasses
import inspect
import operator
import os
import pathlib
import pkgutil
import re
import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune.selection import candidates
from tfprune.selection import goal
from tools import draw_rooms
from tools import house_rules
from tools import source_tree

# The rule, then where and how a twin breaks it in its last line.
TWINS = (
    (house_rules.stands_in_a_room, "tfprune/attic.py", ""),
    (
        house_rules.keeps_the_face_above,
        "tfprune/surgery/stripping.py",
        "import tfprune",
    ),
    (
        house_rules.keeps_the_face_above,
        "tfprune/costs/counting.py",
        "def f():\n    from tfprune import Budget",
    ),
    (house_rules.uses_public_names_only, "tools/a.py", "import keras.src.ops"),
    (house_rules.uses_public_names_only, "tools/a.py", "from keras import src"),
    (
        house_rules.uses_public_names_only,
        "tools/a.py",
        "from keras.src import ops",
    ),
    (
        house_rules.uses_public_names_only,
        "tools/a.py",
        "keras.layers.Dense._build(1)",
    ),
    (house_rules.uses_public_names_only, "tools/a.py", "tf.compat._x"),
    (
        house_rules.uses_public_names_only,
        "tools/a.py",
        "import tensorflow.python.x",
    ),
    (
        house_rules.uses_public_names_only,
        "tools/a.py",
        "from tensorflow import python",
    ),
    (
        house_rules.keeps_tensorflow_in_its_rooms,
        "tfprune/sparsity/ops.py",
        "def f():\n    import tensorflow as tf",
    ),
    (
        house_rules.keeps_tensorflow_in_its_rooms,
        "tfprune/sparsity/ops.py",
        "importlib.import_module('tensorflow.lite')",
    ),
    (
        house_rules.imports_lazily,
        "tfprune/export/micro/firmware_folder.py",
        "import tflite_micro",
    ),
    (
        house_rules.imports_lazily,
        "tfprune/plots/channel_plots.py",
        "from matplotlib import pyplot",
    ),
    (house_rules.stays_silent, "tfprune/reports/comparison.py", "print(1)"),
    (
        house_rules.raises_instead_of_asserting,
        "tfprune/sparsity/ops.py",
        "assert 1",
    ),
    (
        house_rules.has_no_global_state,
        "tfprune/sparsity/ops.py",
        "def f():\n    global x",
    ),
    (
        house_rules.swallows_nothing,
        "tools/a.py",
        "try:\n    f()\nexcept E: pass",
    ),
    (
        house_rules.swallows_nothing,
        "tools/a.py",
        "try:\n    f()\nexcept: raise",
    ),
    (house_rules.speaks_of_itself_alone, "README.md", "see /home/someone"),
    (house_rules.speaks_of_itself_alone, "README.md", "a\nTODO: more"),
    (house_rules.speaks_of_itself_alone, "README.md", "mends issue 12"),
    (house_rules.speaks_of_itself_alone, "README.md", "A powerful tool"),
)
NAMED = {rule.__name__: rule for rule in house_rules.RULES}

SOUND = '''
import keras
import numpy as np
from tfprune.core import registry
from tfprune.graph import read

VERSION = keras.__version__


class Report(keras.layers.Layer):
    """The issues a taskmaster finds; see https://example.org/home/page."""

    def call(self, inputs):
        """`print(x)` and `assert x` in a text are no calls."""
        try:
            return self._call(keras.ops.relu(inputs))
        except ValueError as error:
            raise TypeError("x") from error
'''


class FloorsTest(parameterized.TestCase):
    @parameterized.named_parameters(NAMED.items())
    def test_every_file(self, rule):
        complaints = [
            f"{source.path}:{line}: {complaint}"
            for source in house_rules.sources()
            for line, complaint in rule(source)
        ]
        self.assertEmpty(complaints, "\n" + "\n".join(complaints))

    @parameterized.parameters(*TWINS)
    def test_a_twin_that_breaks_the_rule_is_caught(self, rule, path, text):
        complaints = list(rule(house_rules.Source(path, text)))
        self.assertLen(complaints, 1)
        expected = text.count("\n") + 1
        self.assertLessEqual(abs(complaints[0][0] - expected), 1)

    def test_every_rule_has_a_twin(self):
        self.assertEqual({t[0] for t in TWINS}, set(house_rules.RULES))

    @parameterized.named_parameters(NAMED.items())
    def test_a_sound_file_passes(self, rule):
        for path in ("tfprune/costs/counting.py", "tfprune/criteria/taylor.py"):
            self.assertEmpty(list(rule(house_rules.Source(path, SOUND))))

    def test_documents_speak_of_the_project_alone(self):
        root = source_tree.ROOT
        paths = [
            path
            for path in (*root.glob("*"), *root.glob("docs/**/*"))
            if path.suffix in house_rules.TEXT
            or path.name in ("Makefile", "BUILD")
        ]
        complaints = [
            f"{path.relative_to(root)}:{line}: {complaint}"
            for path in paths
            for line, complaint in house_rules.speaks_of_itself_alone(
                house_rules.Source(path.relative_to(root), path.read_text())
            )
        ]
        self.assertNotEmpty(paths)
        self.assertEmpty(complaints, "\n" + "\n".join(complaints))


class CyclesTest(absltest.TestCase):
    def test_no_module_imports_itself_by_a_detour(self):
        edges = {
            source.module: {e.module for e in source.imports}
            & set(house_rules.modules())
            for source in house_rules.sources()
        }
        self.assertEmpty(house_rules.tangled(edges), "these import each other")

    def test_a_detour_is_found(self):
        edges = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
        self.assertEqual(house_rules.tangled(edges), ["b", "c"])


class RoomsTest(absltest.TestCase):
    def test_the_picture_shows_the_imports_of_today(self):
        self.assertEqual(draw_rooms.main(["--check"]), 0, "make build-files")

    def test_an_arrow_that_a_detour_shows_is_left_out(self):
        graph = {"a": {"b", "c"}, "b": {"c"}, "c": set()}
        lines = draw_rooms.picture(graph).splitlines()
        self.assertEqual(lines[2:-1], ["    a --> b", "    b --> c"])

    def test_a_page_without_marks_is_refused(self):
        with self.assertRaisesRegex(ValueError, "rooms: begin"):
            draw_rooms.written("no marks", "")

    def test_every_room_says_what_it_is_for(self):
        for path in (source_tree.ROOT / "tfprune").rglob("*/__init__.py"):
            if path.parent.name not in ("cli", "rules", "zoo"):
                self.assertIn("May import:", path.read_text(), path)

    def test_a_room_is_small_enough_to_know(self):
        found = (source_tree.ROOT / "tfprune").rglob("__init__.py")
        crowded = [
            f"{path.parent}: {count} files; make a room of some of them"
            for path in found
            if (count := len(list(path.parent.glob("*.py")))) > 15
            # A layer type is a function in there: it grows with Keras.
            and path.parent.name != "rules"
        ]
        self.assertEmpty(crowded)

    def test_no_two_files_have_one_name(self):
        found = collections.Counter(
            path.stem
            for path in (source_tree.ROOT / "tfprune").rglob("*.py")
            if path.stem not in ("__init__", "__main__")
        )
        self.assertEqual([name for name, n in found.items() if n > 1], [])


# Dotted names, not the paths of files.
NAME = re.compile(r"(?<![\w./\"])tfprune(?:\.[A-Za-z_]\w*)+")


def resolves(name):
    """Whether a dotted name is an attribute or a module of tfprune."""
    try:
        pkgutil.resolve_name(name)
    except (AttributeError, ImportError):
        return False
    return True


class FaceTest(absltest.TestCase):
    def test_completion_shows_the_face_and_nothing_else(self):
        shown = dir(tfprune)
        self.assertEqual(shown, sorted([*tfprune.__all__, "__version__"]))
        self.assertLess(len(shown), 52)
        for name in shown:
            self.assertIsNotNone(getattr(tfprune, name), name)

    def test_every_function_of_the_face_is_annotated(self):
        bare = [
            f"{name}({parameter})"
            for name in tfprune.__all__
            if inspect.isfunction(found := getattr(tfprune, name))
            for parameter in (*inspect.signature(found).parameters, "return")
            if parameter not in found.__annotations__
        ]
        self.assertEmpty(bare)

    def test_the_keywords_of_prune_are_those_of_a_budget_and_more(self):
        fields = {f.name for f in dataclasses.fields(tfprune.Budget)}
        options = set(goal.Options.__annotations__)
        more = set(inspect.signature(candidates.Candidates).parameters)
        more -= {"graph", "scores"}
        self.assertEqual(options, fields | more | {"ratio", "normalize"})

    def test_every_room_keeps_its_promise(self):
        for name in tfprune.__all__:
            room = getattr(tfprune, name)
            for public in getattr(room, "__all__", ()):
                self.assertIsNotNone(getattr(room, public), public)

    def test_every_name_in_a_text_is_there(self):
        root = source_tree.ROOT
        folders = ("tfprune", "examples", "benchmarks")
        paths = [
            *source_tree.python_files(folders=folders),
            *(path.relative_to(root) for path in root.glob("docs/*.md")),
            *map(pathlib.Path, ("README.md", "CONTRIBUTING.md")),
        ]
        self.assertGreater(len(paths), 200)
        missing = [
            f"{path}: {name}"
            for path in paths
            for name in NAME.findall((root / path).read_text())
            if not resolves(name)
        ]
        self.assertEmpty(missing, "\n" + "\n".join(missing))

    def test_a_name_that_is_nowhere_is_noticed(self):
        self.assertTrue(resolves("tfprune.searches.amc.Settings"))
        self.assertFalse(resolves("tfprune.searches.Nothing"))

    def test_names_of_other_libraries_say_what_to_use(self):
        for name, use in (
            ("prune_low_magnitude", "tfprune.wrap"),
            ("PolynomialDecay", "tfprune.schedules.Polynomial"),
            ("strip_pruning", "tfprune.strip"),
            ("DependencyGraph", "Torch-Pruning. Use tfprune.channel_graph"),
            ("MagnitudePruner", "Torch-Pruning. Use tfprune.prune"),
            ("sparsity.keras", "tensorflow-model-optimization"),
            ("UpdatePruningStep", "tfprune.PruneOnSchedule"),
        ):
            with self.assertRaisesRegex(AttributeError, use):
                operator.attrgetter(name)(tfprune)

    def test_a_name_that_moved_into_a_room_is_found(self):
        with self.assertRaisesRegex(AttributeError, "tfprune.criteria.Taylor"):
            getattr(tfprune, "Taylor")  # noqa: B009
        with self.assertRaisesRegex(AttributeError, "no attribute 'prun'"):
            getattr(tfprune, "prun")  # noqa: B009


class ImportTest(absltest.TestCase):
    """In a process of its own, as sys.modules here is full by now."""

    def asked_for(self, statement):
        """The packages that modules of tfprune import in `statement`.

        What `sys.modules` has gained would not tell: keras itself imports
        matplotlib and scikit-learn where they are installed.
        """
        script = (
            "import builtins, sys\n"
            "asked, real = set(), builtins.__import__\n"
            "def spy(name, scope=None, *rest, **more):\n"
            "    if (scope or {}).get('__name__', '').startswith('tfprune'):\n"
            "        asked.add(name.split('.')[0])\n"
            "    return real(name, scope, *rest, **more)\n"
            "builtins.__import__ = spy\n"
            f"{statement}\n"
            "print(*asked)"
        )
        result = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            cwd=source_tree.ROOT,
            env=dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3"),
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        return set(result.stdout.split())

    def test_importing_tfprune_imports_no_lazy_package(self):
        asked = self.asked_for("import tfprune.core.registry, tfprune")
        self.assertIn("difflib", asked)
        self.assertEmpty(asked & house_rules.LAZY)

    def test_a_lazy_package_would_be_seen(self):
        asked = self.asked_for(
            "import json, json.decoder\n"
            "exec('import json.decoder', {'__name__': 'tfprune.twin'})"
        )
        self.assertEqual(asked, {"json"})


if __name__ == "__main__":
    absltest.main()
