"""Checks the arguments of `export_micro` before it writes a folder."""

import pathlib
import re
from collections import abc

from tfprune.core import kinds
from tfprune.export.micro import c_source
from tfprune.export.micro.projects import PROJECTS

# The contents of the headers while the folder may hold files of two models.
HALF_WRITTEN = (
    b'#error "An export to this folder is running or was interrupted: it may '
    b'hold files of two models. If no export is running, export again."\n'
)
# What generated files say of themselves, where they can hold a comment.
_WRITTEN = "Written by tfprune"
# Prefixes of names of software kits and of C libraries, R_OK and sem_init, with
# which a model's would collide.
_TAKEN = (
    *("adc", "clocks", "dma", "gpio", "i2c", "nvs_flash", "pwm", "rtc"),
    *("spi", "stdio", "system", "time", "timer", "uart", "usb", "watchdog"),
    *("err", "esp", "hal", "nn", "pico", "tflite", "wifi"),
    *("aio", "argp", "atomic", "cnd", "dn_count", "e", "ex", "f", "fanotify"),
    *("gai", "icmp", "ifr", "inotify", "map", "mm", "mtx", "num", "obstack"),
    *("posix_spawnattr", "pthread_attr", "pthread_barrier", "pthread_cond"),
    *("pthread_mutex", "pthread_rwlock", "pthread_spin", "r", "res", "sem"),
    *("si", "svc", "th", "w", "x"),
)


def project(name):
    """Raises `ValueError` unless the project is known."""
    if name not in (None, *PROJECTS):
        raise ValueError(
            f"project must be one of {', '.join(PROJECTS)}. Received: "
            f"project={name!r}."
        )


def c_name(name, path):
    """The prefix of a model's names in C.

    Args:
        name: `str`, from which to make it; `None` makes it of the file's name.
        path: `str` or path-like, the file.

    Raises:
        ValueError: If the name that is asked for is no text, or software kits
            or C libraries have names of that prefix.
    """
    given = name is not None
    if given and not isinstance(name, str):
        raise ValueError(
            "The name of a model is required as text. Received: "
            f"{kinds.told('name', name)}. Leave it out for the file's own."
        )
    name = c_source.identifier(name if given else pathlib.Path(path).stem)
    if name.lower() not in _TAKEN:
        return name
    if given:
        raise ValueError(
            "The model's name must be unique, as all names in C begin with it. "
            f"Received: name={name!r}, but software kits or C libraries have "
            f"{name}_init, {name.upper()}_OK or the like. Pass another name, "
            f"{name}_net for example."
        )
    return f"{name}_net"


def same_model(out, name):
    """Checks, before any work, that a folder holds no other model.

    Args:
        out: `pathlib.Path` of the folder.
        name: `str`, the prefix of the model's C names.

    Returns:
        `bool`, whether the folder holds a model, this one.

    Raises:
        ValueError: If the folder holds another model.
    """
    header = out / "model.h"
    if not header.exists():
        return False
    text = header.read_bytes()
    found = re.search(rb"char (\w+)_data\[\]", text)
    if found and found[1] == name.encode() or text == HALF_WRITTEN:
        return True
    holds, or_name = "another kind of model.h", ""
    if found:
        holds = repr(found[1].decode())
        or_name = f", or name={holds}"
    raise ValueError(
        "The folder must be empty or hold this model. Received: "
        f"out={str(out)!r}, which holds {holds}, with name={name!r}. "
        f"Pass another folder{or_name}."
    )


def target(out, name, files):
    """Checks that files can be written into a folder.

    Args:
        out, name: as for `same_model`.
        files: `dict` from paths to texts, what each export writes.

    Raises:
        ValueError: If the folder holds another model, or a file of one of
            these names that does not belong to a model.
    """
    if same_model(out, name):
        own = [path for path, new in files.items() if _is_own(out / path, new)]
        if own:
            raise ValueError(
                "The files that an export replaces must be tfprune's. "
                f"Received: out={str(out)!r}, whose {own[0]} was written by "
                "somebody else. Rename it, or pass another folder."
            )
        return
    foreign = [path for path in files if (out / path).exists()]
    if foreign:
        raise ValueError(
            "The folder must be empty or hold this model. Received: "
            f"out={str(out)!r}, which has {foreign[0]} but no model.h. "
            "Pass another folder."
        )


def _is_own(path, new):
    """Whether a user wrote a file that a text of tfprune's would replace."""
    if _WRITTEN not in new or not path.exists():
        return False
    old = path.read_bytes()
    if _WRITTEN.encode() in old or old == HALF_WRITTEN:
        return False
    # Earlier versions left the line out of some files.
    return _lines(old) != _lines(new.encode())


def _lines(text):
    lines = (line.strip() for line in text.splitlines())
    return [x for x in lines if x and _WRITTEN.encode() not in x]


def labels(names, file):
    """The names of classes as a tuple.

    Raises:
        ValueError: Unless there is one `str` for each value of the first
            output, or of each position if it is a map.
    """
    given, wanted = names, c_source.classes(file.outputs[0])
    # A set has no order, and the letters of a word are no names.
    ordered = isinstance(given, abc.Iterable)
    ordered &= not isinstance(given, (str, abc.Set, abc.Mapping))
    names = tuple(given) if ordered else (given,)
    if names and file.outputs[0].dtype == "bool":
        raise ValueError(
            "Labels are for an output of numbers, of which one is the largest. "
            f"Received: labels={given!r} for {file.outputs[0].name!r} of bool. "
            "Omit labels."
        )
    if names and (
        not ordered
        or len(names) != wanted
        or not all(isinstance(t, str) for t in names)
    ):
        raise ValueError(
            f"A sequence of {wanted} names of classes is required, in the "
            f"order of the output. Received: labels={given!r}. Pass a list, or "
            "leave it out."
        )
    return names
