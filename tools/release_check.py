"""Whether this checkout can be released: `make release-check`.

    python -m tools.release_check [--release]

Checks that the version stands in one place and is in the changelog, that the
tree is clean, that the wheel has all modules, `py.typed` and the licence, that
its long description renders, that CITATION.cff can be read, and lists the
licences of what it depends on in build/licences.md. `--release` also wants the
version in the changelog, with a date, and nothing under "Unreleased".
"""

import argparse
import email
import importlib.metadata
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

import yaml
from packaging import requirements
from packaging import version as version_lib

from tools import source_tree

ROOT = source_tree.ROOT
LICENCES = ROOT / "build" / "licences.md"
# What may be depended on by what is under Apache-2.0.
FREE = re.compile(
    r"apache|mit|bsd|isc|psf|python software|mozilla|mpl|zlib|unlicense|0bsd",
    re.I,
)


def version():
    """The version, from the one place where it stands.

    Raises:
        ValueError: If it is not one of PEP 440, or stands elsewhere, too.
    """
    text = (ROOT / "tfprune" / "__init__.py").read_text()
    (found,) = re.findall(r'^__version__ = "(.*)"$', text, re.M)
    version_lib.Version(found)
    others = [
        name
        for name in ("setup.cfg", "MODULE.bazel", "CITATION.cff")
        if re.search(rf'\bversion\W+"?{re.escape(found)}\b', _text(name))
    ]
    if others:
        raise ValueError(
            "The version must stand in tfprune/__init__.py alone. Received: "
            f"also in {', '.join(others)}."
        )
    return found


def changelog(number, release):
    """Checks the sections of the changelog.

    Raises:
        ValueError: If one is missing, or holds what it must not.
    """
    text = _text("CHANGELOG.md")
    parts = re.split(r"^## \[(.+?)\](.*)$", text, flags=re.M)
    found = {
        name: (rest, body)
        for name, rest, body in zip(
            parts[1::3], parts[2::3], parts[3::3], strict=True
        )
    }
    if "Unreleased" not in found:
        raise ValueError(
            "CHANGELOG.md must have a section [Unreleased]. Received: "
            f"{', '.join(found)}."
        )
    if not release:
        return
    if not re.search(r"\d{4}-\d\d-\d\d", found.get(number, ("",))[0]):
        raise ValueError(
            f"CHANGELOG.md must have [{number}] with a date. Received: "
            f"{', '.join(found)}."
        )
    if found["Unreleased"][1].strip():
        raise ValueError(
            "Nothing may stand under [Unreleased] in a release. Received: "
            f"{found['Unreleased'][1].strip()[:60]!r}."
        )


def clean():
    """Checks that git has nothing that is not committed.

    Raises:
        ValueError: If it has.
    """
    command = ["git", "status", "--porcelain"]
    said = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    if said:
        raise ValueError(
            f"Everything must be committed. Received: {said.splitlines()[:5]}."
        )


def wheel(folder):
    """Builds the wheel and checks what it holds; returns its metadata.

    Raises:
        ValueError: If a module, `py.typed` or the licence is missing.
        subprocess.CalledProcessError: If it cannot be built.
    """
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", folder, ROOT]
    subprocess.run(command, check=True)
    (path,) = pathlib.Path(folder).glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        (place,) = (n for n in names if n.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(place))
    modules = source_tree.python_files(folders=["tfprune"])
    wanted = {file.as_posix() for file in modules} | {"tfprune/py.typed"}
    missing = wanted - names
    if missing or not any(name.endswith("/LICENSE") for name in names):
        raise ValueError(
            "The wheel must hold every module, py.typed and LICENSE. "
            f"Received: without {sorted(missing) or 'LICENSE'}."
        )
    return metadata


def description(metadata):
    """Checks that the text of the project's page is there and renders.

    Raises:
        ValueError: If it is not Markdown, empty, or cut.
    """
    import markdown_it

    kind, text = metadata["Description-Content-Type"], metadata.get_payload()
    if kind != "text/markdown":
        raise ValueError(
            f"The description must be text/markdown. Received: {kind!r}."
        )
    html = markdown_it.MarkdownIt("commonmark").enable("table").render(text)
    for tag in ("<h1>", "<table>", "<pre>", "<img "):
        if tag not in html:
            raise ValueError(
                "The description must render with a heading, a table, code "
                f"and a picture. Received: no {tag}, of {len(html)} characters."
            )


def citation():
    """Checks CITATION.cff.

    Raises:
        ValueError: If a field is missing.
    """
    found = yaml.safe_load(_text("CITATION.cff"))
    wanted = {"cff-version", "message", "title", "authors", "license"}
    if missing := wanted - set(found):
        raise ValueError(
            f"CITATION.cff must have {sorted(wanted)}. Received: without "
            f"{sorted(missing)}."
        )


def licences(metadata):
    """`dict` from each package that a user installs to its licence.

    What depends on what is followed; packages of this environment are read.
    """
    found = {}
    waiting = [
        requirements.Requirement(text)
        for text in metadata.get_all("Requires-Dist")
        if "dev" not in text and "docs" not in text
    ]
    while waiting:
        name = waiting.pop().name.lower().replace("_", "-")
        if name in found:
            continue
        try:
            package = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed here"
            continue
        found[name] = _licence(package)
        for text in package.get_all("Requires-Dist") or ():
            requirement = requirements.Requirement(text)
            if "extra" not in str(requirement.marker or ""):
                waiting.append(requirement)
    return dict(sorted(found.items()))


def _licence(package):
    classes = [
        text.rpartition(" :: ")[2]
        for text in package.get_all("Classifier") or ()
        if text.startswith("License ::")
    ]
    first = (package["License"] or "").strip().split("\n")[0][:60]
    return package["License-Expression"] or "; ".join(classes) or first or "-"


def _text(name):
    return (ROOT / name).read_text()


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--release", action="store_true")
    release = parser.parse_args(argv).release
    number = version()
    facts = {}
    with tempfile.TemporaryDirectory() as folder:
        checks = {
            "changelog": lambda: changelog(number, release),
            "all is committed": clean,
            "wheel": lambda: facts.update(metadata=wheel(folder)),
            "description renders": lambda: description(facts["metadata"]),
            "citation": citation,
        }
        failed = 0
        sys.stdout.write(f"tfprune {number}\n")
        for name, check in checks.items():
            try:
                check()
                sys.stdout.write(f"  ok      {name}\n")
            except (KeyError, ValueError) as error:
                failed += 1
                sys.stdout.write(f"  FAILED  {name}: {error}\n")
    if "metadata" in facts:
        found = licences(facts["metadata"])
        LICENCES.parent.mkdir(exist_ok=True)
        rows = "\n".join(f"| {k} | {v} |" for k, v in found.items())
        LICENCES.write_text(f"| package | licence |\n| :-- | :-- |\n{rows}\n")
        look = [k for k, v in found.items() if not FREE.search(v)]
        sys.stdout.write(
            f"  {len(found)} licences in {LICENCES.relative_to(ROOT)}; look "
            f"at {', '.join(look) or 'none'}\n"
        )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
