"""The rules of the house, each read off the text of a file.

A rule is a generator of `(line, complaint)` pairs; `floors_test` runs each of
them on every file.
"""

import ast
import functools
import pathlib
import re

from tools import source_tree

# These would slow down `import tfprune`, or are not there on every machine.
LAZY = {
    "ai_edge_litert",
    "ai_edge_quantizer",
    "cma",
    "ethosu",
    "gymnasium",
    "jax",
    "matplotlib",
    "optuna",
    "ray",
    "sklearn",
    "tensorflow",
    "tensorflow_datasets",
    "tensorflow_model_optimization",
    "tf_keras",
    "tflite_micro",
    "torch",
}
# `keras.src`, `keras.layers.Dense._build`, but not `keras.__version__`.
PRIVATE = re.compile(r"(keras|tf|tensorflow)(\.\w+)*\.(src|_(?!_\w+__$)\w+)")
TEXT = (".py", ".md", ".cfg", ".toml", ".bazel")
WORDS = {
    "a path of one machine": r"(?<![\w.])/(work|home|root|Users)/\w",
    "an unfinished place": r"\b(TODO|FIXME|XXX|HACK)\b",
    "a note on how the work went": r"(?i)\b(issue|task|ticket) #?\d",
    "praise": r"(?i)\b(powerful|seamless(ly)?|effortless(ly)?|blazing(ly)?|"
    r"cutting[- ]edge|state[- ]of[- ]the[- ]art|world[- ]class)\b",
}


class Source:
    """A file and what is read from it on demand.

    Args:
        path: `str` or `pathlib.Path`, relative to the checkout.
        text: `str`, what the file contains.
    """

    def __init__(self, path, text):
        self.path = pathlib.Path(path)
        self.text = text
        self.module = source_tree.module_name(self.path)

    @functools.cached_property
    def tree(self):
        return ast.parse(self.text)

    @functools.cached_property
    def imports(self):
        return source_tree.imports(self.tree, self.path, modules())

    @property
    def in_library(self):
        return self.path.parts[0] == "tfprune"

    @functools.cached_property
    def _nodes(self):
        return list(ast.walk(self.tree))

    def nodes(self, kind):
        return (n for n in self._nodes if isinstance(n, kind))


@functools.cache
def modules():
    """The modules of the checkout: a `dict` from dotted name to path."""
    return {
        source_tree.module_name(path): path
        for path in source_tree.python_files()
    }


@functools.cache
def sources():
    """A `Source` for every Python file of the checkout."""
    root = source_tree.ROOT
    return [Source(p, (root / p).read_text()) for p in modules().values()]


def room(module):
    """The row entry of a module: `graph` for `tfprune.graph.read`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def stands_in_a_room(source):
    """A file of the library lies in a folder; its face and door do not."""
    if source.in_library and len(source.path.parts) == 2:
        if source.path.name not in ("__init__.py", "__main__.py"):
            yield 1, "a module stands in a room, one of the folders of tfprune"


def keeps_the_face_above(source):
    """Rooms import rooms: the face imports them all, so it is above them.

    What import-linter holds, by the contracts in setup.cfg, are the floors of
    the rooms; the face is in none of its rows.
    """
    if not source.in_library or room(source.module) in ("__init__", "cli"):
        return
    for entry in source.imports:
        if entry.module == "tfprune":
            yield entry.line, "import from a room, not from the face"


def uses_public_names_only(source):
    """No private name of Keras or TensorFlow."""
    for entry in source.imports:
        if re.match(r"(keras\.src|tensorflow\.python)\b", entry.module):
            yield entry.line, f"{entry.module} is private"
    for node in source.nodes(ast.ImportFrom):
        for name in (alias.name for alias in node.names):
            root = (node.module or "").split(".")[0]
            hidden = name.startswith("_") or name in ("src", "python")
            if root in ("keras", "tensorflow") and hidden:
                yield node.lineno, f"{node.module}.{name} is private"
    for node in source.nodes(ast.Attribute):
        chain = ast.unparse(node)
        if PRIVATE.fullmatch(chain):
            yield node.lineno, f"{chain} is private"


def keeps_tensorflow_in_its_rooms(source):
    """TensorFlow is imported in the rooms that need it alone."""
    rooms = ("export", "legacy", "datasets", "training")
    if not source.in_library or room(source.module) in rooms:
        return
    for entry in source.imports:
        if entry.module.split(".")[0] == "tensorflow":
            yield (
                entry.line,
                f"TensorFlow belongs to {', '.join(rooms)}",
            )


def imports_lazily(source):
    """Heavy and optional packages are imported inside functions."""
    if not source.in_library:
        return
    for entry in source.imports:
        if entry.at_import and entry.module.split(".")[0] in LAZY:
            yield entry.line, f"import {entry.module} inside the function"


def stays_silent(source):
    """The library does not print, its command line does."""
    if not source.in_library or room(source.module) == "cli":
        return
    for node in source.nodes(ast.Call):
        if getattr(node.func, "id", None) in ("print", "breakpoint"):
            yield node.lineno, "library code does not print"


def raises_instead_of_asserting(source):
    """Errors are raised: an `assert` vanishes under `python -O`."""
    if source.in_library:
        for node in source.nodes(ast.Assert):
            yield node.lineno, "raise an error that says what to do"


def has_no_global_state(source):
    """No `global` statement."""
    if source.in_library:
        for node in source.nodes(ast.Global):
            yield node.lineno, "no global statement"


def swallows_nothing(source):
    """No bare `except`, and no handler that does nothing."""
    for node in source.nodes(ast.ExceptHandler):
        body = node.body[0]
        empty = isinstance(body, ast.Pass) or (
            isinstance(body, ast.Expr) and isinstance(body.value, ast.Constant)
        )
        if node.type is None or (len(node.body) == 1 and empty):
            yield node.lineno, "an exception is swallowed"


def speaks_of_itself_alone(source):
    """No text holds one of the `WORDS`."""
    if source.path.name in ("house_rules.py", "floors_test.py"):
        return
    for number, line in enumerate(source.text.splitlines(), 1):
        for meaning, pattern in WORDS.items():
            if found := re.search(pattern, line):
                yield number, f"{found.group()!r}: {meaning}"


def tangled(edges):
    """The nodes that lie on a cycle.

    Args:
        edges: A `dict` from node to the set of nodes it points to.

    Returns:
        A sorted list.
    """

    def reached(start):
        seen, todo = set(), list(edges[start])
        while todo:
            node = todo.pop()
            if node not in seen:
                seen.add(node)
                todo.extend(edges[node])
        return seen

    return sorted(node for node in edges if node in reached(node))


RULES = (
    stands_in_a_room,
    keeps_the_face_above,
    uses_public_names_only,
    keeps_tensorflow_in_its_rooms,
    imports_lazily,
    stays_silent,
    raises_instead_of_asserting,
    has_no_global_state,
    swallows_nothing,
    speaks_of_itself_alone,
)
