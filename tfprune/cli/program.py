"""Parses a command line, runs its command, and reports errors."""

import contextlib
import difflib
import itertools
import logging as std_logging
import os
import pkgutil
import re
import sys
import tempfile
import textwrap
import traceback
import warnings

from absl import flags
from absl import logging

import tfprune
from tfprune.cli import commands
from tfprune.cli import options
from tfprune.core import packages

# Lines of absl's and glog's loggers in C++.
_NATIVE = re.compile(
    r"[IWEF]\d{4} |WARNING: All log messages before absl::"
    r"|To enable the following instructions: "
).match

# Of the lines of tables, and of what is told.
_ASCII = str.maketrans({"─": "-", "→": "->", "−": "-", "…": "..."})

# What Keras begins its errors with: which layer, but not what.
_HEADING = re.compile(r"Exception encountered when calling .*\.$").match

_OVERVIEW = """\
usage: tfprune COMMAND FILE... [flags]

Makes Keras models smaller: .keras and .h5 files in, smaller ones out.

{commands}

A first tour:
  tfprune inspect model.keras
  tfprune prune model.keras --macs=0.5 --out=small.keras
  tfprune compare model.keras small.keras --data=test.npz
  tfprune export small.keras --quantize=int8 --calibration=images.npy \\
      --out=small.tflite --micro=firmware

Fine-tune small.keras with model.fit before exporting it: it is a plain Keras
model. `tfprune COMMAND --help` describes each command.
"""


def main(arguments=None):
    """Runs a command line.

    Args:
        arguments: list of `str`, the program's name first; those of the
            process by default.

    Returns:
        The exit status: 0; 1 after an error, which is one line on stderr;
        130 after Ctrl-C.
    """
    if arguments is None:
        arguments = sys.argv
    _open_streams()
    name, rest = (*arguments[1:2], "")[0], arguments[2:]
    known = {command.name: command for command in commands.COMMANDS}
    if name == "help" and rest:
        name, rest = rest[0], ["--help"]
    if name in ("", "-h", "--help", "help"):
        _print(_overview() + "\n")
        return int(not name)
    if name == "--version":
        _print(f"tfprune {tfprune.__version__}\n")
        return 0
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        return _fail(
            "tfprune",
            f"The first word must be one of {', '.join(known)}. Received: "
            f"{name}.{hint} See tfprune --help.",
        )
    return _run(known[name], rest)


def _open_streams():
    """Opens what the process was started without, as by `2>&-`.

    The next file would get the number of stderr, and what C++ logs.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free.
            handle = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(handle, "w" if number else "r"))


def _run(command, arguments):
    values = flags.FlagValues()
    values.set_gnu_getopt()
    for define in (*command.define, options.common):
        define(values)
    program = f"tfprune {command.name}"
    try:
        paths = values([program, *map(_at_home, arguments)])[1:]
        if values.help:
            _print(_help(command, values) + "\n")
            return 0
        _check_count(command, paths)
        logging.set_verbosity(values.verbosity)
        with _one_line_each(program, values):
            text = _outcome(command, paths, values)
        _print(text)
    except KeyboardInterrupt as error:
        _fail(program, f"interrupted; {str(error) or 'nothing was written'}.")
        return 130
    # Whatever goes wrong, a user of the command line gets one line.
    except Exception as error:
        if values.is_parsed() and values.verbosity > 0:
            traceback.print_exc()
        return _fail(program, _told(error, values))
    return 0


def _at_home(argument):
    """An argument with the folder for "~", which a shell leaves after "="."""
    flag, equals, value = argument.partition("=")
    if flag.startswith("-") and value.startswith("~"):
        return flag + equals + os.path.expanduser(value)
    return argument


def _outcome(command, paths, values):
    """The text to print; flags are checked before Keras is imported."""
    given = command.check(paths, values)
    if command.needs_keras(paths):
        _import_everything(values.verbosity)
    return pkgutil.resolve_name(command.run)(paths, values, given)


def _import_everything(verbosity):
    """Imports the library, so that Keras knows every layer class."""
    quiet = verbosity < 1
    if quiet:
        # TensorFlow warns of how the library calls it.
        std_logging.getLogger("tensorflow").setLevel(std_logging.ERROR)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _without_native_logs() if quiet else contextlib.nullcontext():
        packages.require_backend()
        for name in dir(tfprune):
            getattr(tfprune, name)


@contextlib.contextmanager
def _without_native_logs():
    """Drops the log lines that C++ code writes while it is being imported.

    TensorFlow reports what it found on the machine before it reads the level
    of its own logs. Anything else on stderr appears after the import.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            lines = file.read().decode(errors="replace").splitlines(True)
            os.write(2, "".join(itertools.filterfalse(_NATIVE, lines)).encode())


def _check_count(command, paths):
    if len(paths) != len(command.paths):
        wanted = " and ".join(command.paths)
        rule = "This command takes no file"
        if wanted:
            rule = f"{wanted} must be given, and nothing else"
        raise flags.Error(
            f"{rule}. Received: {' '.join(paths) or 'no file'}. See tfprune "
            f"{command.name} --help."
        )


def _told(error, values):
    """The message of an error, one line, in the words of the flags."""
    text = _first_line(str(error))
    usual = (OSError, ValueError, TypeError, ImportError, ArithmeticError)
    if text and isinstance(error, (*usual, RuntimeError, flags.Error)):
        return _in_flags(text, values)
    return f"{type(error).__name__}: {text} (--verbosity=1 shows where)"


def _first_line(text):
    """The first line, without colors, that tells what is wrong."""
    lines = re.sub(r"\x1b\[[\d;]*m", "", text).strip().split("\n")
    told = (line for line in lines if line and not _HEADING(line))
    return next(told, lines[0])


def _in_flags(text, values):
    """Rewrites a library message about arguments in terms of flags."""
    text = re.sub(r"(?:tfprune\.)?Budget\(([^()]*)\)", _given, text)
    # Amounts by the name of what is limited: {'macs': 5}.
    text = re.sub(r"\{('\w+': [\d.]+(?:, '\w+': [\d.]+)*)\}", r"\1", text)
    text = re.sub(r"'(\w+)': ([\d.]+)", r"\1=\2", text)
    for name in values:
        text = text.replace(f"`{name}`", f"--{name}")
        text = re.sub(rf"(?<![\w.-]){name}=", f"--{name}=", text)
    return text


def _given(match):
    """The limits of a budget's `repr` that are set."""
    parts = match.group(1).split(", ")
    return ", ".join(part for part in parts if not part.endswith("=None"))


@contextlib.contextmanager
def _one_line_each(program, values):
    """Writes warnings, and what is logged, as one line each on stderr."""

    def told(message, level=std_logging.WARNING):
        text = _in_flags(" ".join(str(message).split()), values)
        known = "warning: " * (level >= std_logging.WARNING)
        _fail(program, f"{known}{text}")

    def show(message, category, filename, lineno, file=None, line=None):
        del category, filename, lineno, file, line
        told(message)

    handler, logger = std_logging.Handler(), logging.get_absl_logger()
    handler.emit = lambda record: told(record.getMessage(), record.levelno)
    propagate = logger.propagate
    with warnings.catch_warnings():
        warnings.showwarning = show
        logger.addHandler(handler)
        logger.propagate = False
        try:
            yield
        finally:
            logger.propagate = propagate
            logger.removeHandler(handler)


def _fail(program, message):
    with _enough(sys.stderr):
        print(f"{program}: {message}", file=sys.stderr, flush=True)
    return 1


def _print(text):
    """Writes to stdout, and in ASCII what its encoding lacks."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding, getattr(sys.stdout, "errors", None) or "strict")
    except UnicodeEncodeError:
        text = text.translate(_ASCII).encode(encoding, "replace")
        text = text.decode(encoding)
    with _enough(sys.stdout):
        print(text, end="", flush=True)


@contextlib.contextmanager
def _enough(stream):
    """Lets who reads go when it has seen enough, as in `| head`."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _overview():
    rows = [f"  {c.name:13}{c.summary}" for c in commands.COMMANDS]
    return _OVERVIEW.format(commands="\n".join(rows)).rstrip()


def _help(command, values):
    """What `tfprune COMMAND --help` shows."""
    words = ("tfprune", command.name, *command.paths, "[flags]")
    # In the order of definition; a flag with a short name is there twice.
    defined = {values[name].name: values[name] for name in values}
    rows = [_flag_help(flag) for flag in defined.values()]
    return "\n\n".join(
        (
            f"usage: {' '.join(words)}",
            f"{command.summary}\n\n{command.text.strip()}",
            f"Examples:\n{textwrap.indent(command.examples.strip(), '  ')}",
            "Flags:\n" + "\n".join(rows),
        )
    )


def _flag_help(flag):
    # An enum flag begins with its values in brackets.
    listed, _, text = flag.help.rpartition(">: ")
    choices = listed.removeprefix("<").split("|") if listed else []
    # Words of the text, as in "the int8 file", are no list of values.
    if not all(re.search(rf"\b{re.escape(c)}\b", text) for c in choices):
        text += f" One of {', '.join(choices)}."
    if flag.default not in (None, [], "") and not flag.boolean:
        text += f" Default: {_shown(flag.default)}."
    head = f"  --{'[no]' if flag.default is True else ''}{flag.name}"
    indent = " " * 22
    body = textwrap.fill(
        text, 79, initial_indent=indent, subsequent_indent=indent
    )
    if len(head) > 20:
        return f"{head}\n{body}"
    return f"{head:21} {body.lstrip()}"


def _shown(default):
    return ",".join(map(str, default)) if isinstance(default, list) else default
