"""Loads and analyses every BUILD file with Bazel, or builds and tests.

    python -m tools.bazel_check
    python -m tools.bazel_check build //tfprune/...

Where the registry of Bazel's modules cannot be reached, or Bazel is older than
modules (Debian's `bazel-bootstrap`), `rules_python` is replaced by the rules
that Bazel has itself: a copy of the tree with a WORKSPACE in it is what is
read. `query deps(//...)` fails if a target, a source or a dependency of any
BUILD file does not exist.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

from tools import source_tree

_WORKSPACE = """workspace(name = "tfprune")
local_repository(name = "rules_python", path = "third_party/rules_python")
"""
_RULES = """
py_binary = native.py_binary
py_library = native.py_library
py_test = native.py_test
"""
# Not `deps(//...)`, which wants Bazel's own tools, for coverage for example.
_LABELS = " + ".join(
    f"labels({name}, //...)" for name in ("srcs", "deps", "data", "main")
)
_IGNORED = shutil.ignore_patterns(".git", ".venv*", "build", "*.egg-info")


def check(bazel, command, targets):
    """Runs Bazel on a copy of this tree.

    Returns:
        Its exit status and its output.
    """
    with tempfile.TemporaryDirectory() as place:
        tree = pathlib.Path(place, "tree")
        shutil.copytree(source_tree.ROOT, tree, ignore=_IGNORED)
        rules = tree / "third_party" / "rules_python" / "python"
        rules.mkdir(parents=True)
        (rules / "BUILD").touch()
        (rules / "defs.bzl").write_text(_RULES)
        (rules.parent / "WORKSPACE").touch()
        (tree / "WORKSPACE").write_text(_WORKSPACE)
        (tree / ".bazelignore").write_text("third_party\n")
        said = subprocess.run(
            [
                bazel,
                f"--output_user_root={place}/output",
                "--batch",
                command,
                *targets,
            ],
            cwd=tree,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for path in pathlib.Path(place, "output").rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)  # Bazel's are read-only.
    return said.returncode, said.stdout


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", nargs="?", default="query")
    parser.add_argument("targets", nargs="*", default=["//... + " + _LABELS])
    options = parser.parse_args(argv)
    bazel = shutil.which("bazel") or shutil.which("bazel-bootstrap")
    if bazel is None:
        sys.stderr.write(
            "Bazel is required. Received: no `bazel` on the path. On Debian: "
            "apt-get install bazel-bootstrap\n"
        )
        return 1
    code, said = check(bazel, options.command, options.targets)
    lines = said.splitlines()
    own = [line for line in lines if line.startswith("//")]
    sys.stdout.write("\n".join(x for x in lines if x not in own) + "\n")
    sys.stdout.write(f"{len(own)} labels of this tree, exit status {code}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
