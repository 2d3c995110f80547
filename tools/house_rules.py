"""The rules of the house, each read off the text of a file.

A rule is a generator of `(line, complaint)` pairs; `floors_test` runs each of
them on every file.
"""

import ast
import functools
import itertools
import pathlib
import re

from tools import source_tree

# An import goes to an earlier row, or to the left in its own row, or to a
# file of the same package. The rows are the floors, from the ground up.
FLOORS = (
    (
        "registry",
        "records",
        "allocation",
        "samples",
        "ops",
        "quantizers",
        "stages",
    ),
    ("legacy",),
    ("graph",),
    (
        "memory",
        "int8_file",
        "costs",
        "timing",
        "schedule",
        "switch_on",
        "probe",
        "patches",
        "least_squares",
    ),
    (
        "feature_maps",
        "score",
        "normalizers",
        "patterns",
        "rankings",
        "peak_cut",
        "rounding",
        "select",
    ),
    (
        "weights",
        "shared",
        "method",
        "chain",
        "wrapper",
        "wrapping",
        "gates",
        "reading",
        "rewind",
    ),
    ("methods",),
    (
        "bit_lengths",
        "callback",
        "alternating",
        "weight_decay",
        "sparsity_images",
        "constants",
        "folding",
        "depth",
        "stripping",
        "reconstruction",
        "recalibration",
    ),
    ("pruning", "distillation", "attention"),
    ("export",),
    (
        "tables",
        "micronet_score",
        "profiles",
        "bit_report",
        "evaluation",
        "report",
        "plots",
        "drawings",
    ),
    (
        "progress_bar",
        "file_evaluation",
        "layer_errors",
        "latency",
        "targeting",
        "catalogue",
        "masked_evaluation",
        "curves",
        "curve_plots",
        "searches",
    ),
    ("batches", "data", "zoo", "training"),
    ("__init__",),
    ("cli",),
)
ROOMS = list(itertools.chain.from_iterable(FLOORS))
MAX_LINES = 350
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

    def nodes(self, kind):
        return (n for n in ast.walk(self.tree) if isinstance(n, kind))


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


def has_a_floor(source):
    """A file of the library stands in a room that `FLOORS` knows."""
    if source.in_library and room(source.module) not in ROOMS:
        yield (
            1,
            f"{room(source.module)!r} has no floor: add it to FLOORS in "
            "tools/house_rules.py",
        )


def goes_down(source):
    """Imports inside the library go to a room below, or to the same room."""
    here = room(source.module)
    if not source.in_library or here not in ROOMS:
        return
    for entry in source.imports:
        there = room(entry.module)
        if entry.module.split(".")[0] != "tfprune" or there == here:
            continue
        if there not in ROOMS or ROOMS.index(there) > ROOMS.index(here):
            yield entry.line, f"{here} imports {there}, which is not below it"


def keeps_methods_apart(source):
    """No method imports another: one paper, one file."""
    package, _, own = source.module.rpartition(".")
    if package != "tfprune.methods":
        return
    for entry in source.imports:
        if entry.module.startswith("tfprune.methods"):
            yield entry.line, f"method {own} imports {entry.module}"


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
    rooms = ("export", "legacy", "data", "training")
    if not source.in_library or room(source.module) in rooms:
        return
    for entry in source.imports:
        if entry.module.split(".")[0] == "tensorflow":
            yield entry.line, f"TensorFlow belongs to {', '.join(rooms)}"


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


def is_short(source):
    """A file of the library has at most `MAX_LINES` lines."""
    lines = source.text.count("\n")
    if source.in_library and lines > MAX_LINES:
        yield MAX_LINES, f"{lines} lines, at most {MAX_LINES}: two rooms in one"


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
    has_a_floor,
    goes_down,
    keeps_methods_apart,
    uses_public_names_only,
    keeps_tensorflow_in_its_rooms,
    imports_lazily,
    stays_silent,
    raises_instead_of_asserting,
    has_no_global_state,
    swallows_nothing,
    is_short,
    speaks_of_itself_alone,
)
