"""Writes what the code of a page prints into the page.

    python -m tools.page_outputs docs/tutorials/*.md

Runs the Python of each page, in the order in which it stands, in a process and
a folder of its own. A block of `text` right after a block of code is written
anew: it is what that code prints. Other blocks stay as they are.
"""

import contextlib
import io
import multiprocessing
import os
import pathlib
import re
import sys
import tempfile

# The backend that a block needs, the code, and what it prints, if it is shown.
BLOCK = re.compile(
    r"^```python *(\w*)\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.M | re.S
)


def filled(text):
    """A page with the outputs of its code.

    Args:
        text: `str`, the page; its code is run here.

    Raises:
        Exception: What the code raises.
    """
    import keras

    keras.utils.set_random_seed(0)
    names = {}

    def run(match):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(match[2], "page", "exec"), names)
        if match[3] is None:
            return match[0]
        start, end = (place - match.start() for place in match.span(3))
        lines = (line.rstrip() for line in printed.getvalue().splitlines())
        shown = "\n".join(lines).strip("\n")
        return f"{match[0][:start]}{shown}\n{match[0][end:]}"

    return BLOCK.sub(run, text)


def shape(text):
    """The lines of an output without its numbers, which differ by machine.

    Nor do numbers that Keras puts behind a name count (`dense_3`): they depend
    on what was made before.
    """
    lines = (re.sub(r"_\d+\b", "", line) for line in text.splitlines())
    lines = (re.sub(r"[\d.,%+-]+", "0", line) for line in lines)
    return [" ".join(line.strip(" ─").split()) for line in lines if line]


def _write(path):
    path = path.resolve()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        text = filled(path.read_text())
    path.write_text(text)


def main(arguments):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    context = multiprocessing.get_context("spawn")
    failed = 0
    for name in arguments:
        process = context.Process(target=_write, args=[pathlib.Path(name)])
        process.start()
        process.join()
        print(f"{name}: {process.exitcode}", flush=True)
        failed |= process.exitcode
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
