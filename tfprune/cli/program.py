"""Reads a command line, runs its command, and tells what went wrong."""

import itertools
import sys
import textwrap
import traceback

from absl import flags
from absl import logging

import tfprune
from tfprune.cli import commands
from tfprune.cli import options

_OVERVIEW = """\
usage: tfprune COMMAND FILE... [flags]

Makes Keras models smaller: .keras and .h5 files in, smaller ones out.

{commands}

A first tour:
  tfprune inspect model.keras
  tfprune prune model.keras --macs=0.5 --out=small.keras
  tfprune compare model.keras small.keras --data=test.npz
  tfprune export small.keras --quantize=int8 --calibration=images.npy \\
      --out=small.tflite --micro=firmware/model

Fine-tune small.keras with model.fit before it is exported: it is a plain
Keras model. `tfprune COMMAND --help` tells more of each command.
"""


def main(arguments=None):
    """Runs a command line.

    Args:
        arguments: list of `str`, the program's name first; those of the
            process by default.

    Returns:
        The exit status: 0, or 1 after an error, which is one line on stderr.
    """
    arguments = sys.argv if arguments is None else arguments
    _, name, *rest = *arguments, *[""] * (2 - len(arguments))
    if name in ("", "-h", "--help", "help"):
        print(_overview())
        return int(not name)
    if name == "--version":
        print(f"tfprune {tfprune.__version__}")
        return 0
    known = {command.name: command for command in commands.COMMANDS}
    if name not in known:
        return _fail(
            "tfprune",
            f"The first word must be one of {', '.join(known)}. Received: "
            f"{name}. See tfprune --help.",
        )
    return _run(known[name], rest)


def _run(command, arguments):
    values = flags.FlagValues()
    values.set_gnu_getopt()
    for define in (*command.define, options.common):
        define(values)
    program = f"tfprune {command.name}"
    try:
        paths = values([program, *arguments])[1:]
        if values.help:
            print(_help(command, values))
            return 0
        _check_count(command, paths)
        logging.set_verbosity(values.verbosity)
        print(command.run(paths, values), end="")
    # Whatever goes wrong, a user of the command line gets one line.
    except Exception as error:
        if values.is_parsed() and values.verbosity > 0:
            traceback.print_exc()
        return _fail(program, _told(error))
    return 0


def _check_count(command, paths):
    if len(paths) != len(command.paths):
        raise flags.Error(
            f"{' and '.join(command.paths)} must be given, and no more. "
            f"Received: {' '.join(paths) or 'no file'}. See tfprune "
            f"{command.name} --help."
        )


def _told(error):
    """The message of an error, one line."""
    text = str(error).strip().partition("\n")[0]
    usual = (OSError, ValueError, TypeError, ImportError, ArithmeticError)
    if text and isinstance(error, (*usual, RuntimeError, flags.Error)):
        return text
    return f"{type(error).__name__}: {text} (--verbosity=1 shows where)"


def _fail(program, message):
    print(f"{program}: {message}", file=sys.stderr)
    return 1


def _overview():
    rows = [f"  {c.name:13}{c.summary}" for c in commands.COMMANDS]
    return _OVERVIEW.format(commands="\n".join(rows)).rstrip()


def _help(command, values):
    """What `tfprune COMMAND --help` shows."""
    usage = f"tfprune {command.name} {' '.join(command.paths)} [flags]"
    defined = itertools.chain(*values.flags_by_module_dict().values())
    rows = [_flag_help(flag) for flag in defined]
    return "\n\n".join(
        (
            f"usage: {usage}",
            f"{command.summary}\n\n{command.text.strip()}",
            f"Examples:\n{textwrap.indent(command.examples.strip(), '  ')}",
            "Flags:\n" + "\n".join(rows),
        )
    )


def _flag_help(flag):
    # An enum flag begins with its values in brackets.
    text = flag.help.rpartition(">: ")[2]
    if flag.default and not flag.boolean:
        text += f" Default: {flag.default}."
    head = f"  --{'[no]' if flag.default is True else ''}{flag.name}"
    indent = " " * 22
    body = textwrap.fill(
        text, 79, initial_indent=indent, subsequent_indent=indent
    )
    return f"{head:21} {body.lstrip()}"
