"""What is checked before a folder of sources is written."""

import re

from tfprune.export.micro.projects import PROJECTS

# Functions of software kits that a model of this name would have again.
_TAKEN = (
    *("adc", "clocks", "dma", "gpio", "i2c", "nvs_flash", "pwm", "rtc"),
    *("spi", "stdio", "system", "time", "timer", "uart", "usb", "watchdog"),
    *("esp", "hal", "nn", "tflite", "wifi"),
)


def project(name):
    """An unknown project is an error."""
    if name not in (None, *PROJECTS):
        raise ValueError(
            f"project must be one of {', '.join(PROJECTS)}. Received: "
            f"project={name!r}."
        )


def c_name(name):
    """A name whose functions a software kit has is an error."""
    if name.lower() in _TAKEN:
        raise ValueError(
            "The model's name must be its own: all functions begin with it. "
            f"Received: name={name!r}, and software kits have functions such "
            f"as {name}_init. Give another name, {name}_net for example."
        )


def target(out, name, files, half_written):
    """A folder of something else would be mixed up or overwritten.

    Args:
        out: `pathlib.Path`.
        name: `str`, C identifier.
        files: paths of the files to be written at each export.
        half_written: `bytes` of a header while an export goes on.

    Raises:
        ValueError: If the folder holds another model, or a file of one of
            these names that is not of a model.
    """
    header = out / "model.h"
    if not header.exists():
        foreign = [path for path in files if (out / path).exists()]
        if foreign:
            raise ValueError(
                "The folder must be empty or hold this model. Received: "
                f"out={str(out)!r}, which has {foreign[0]} and no model.h. "
                "Give another folder."
            )
        return
    text = header.read_bytes()
    found = re.search(rb"char (\w+)_data\[\]", text)
    if found and found[1] == name.encode() or text == half_written:
        return
    holds, or_name = "a model.h of something else", ""
    if found:
        holds = repr(found[1].decode())
        or_name = f", or name={holds}"
    raise ValueError(
        "The folder must be empty or hold this model. Received: "
        f"out={str(out)!r}, which holds {holds}, with name={name!r}. "
        f"Give another folder{or_name}."
    )


def labels(names, file):
    """Names of classes as a tuple; a wrong number of them is an error."""
    names = tuple(names)
    wanted = file.outputs[0].shape[-1] if file.outputs[0].shape else 1
    if names and (
        len(names) != wanted or not all(isinstance(t, str) for t in names)
    ):
        raise ValueError(
            f"{wanted} names of classes are required. Received: "
            f"labels={names!r}."
        )
    return names


def margin(share):
    """A margin below 0 is an error."""
    if not share >= 0:
        raise ValueError(
            "The margin must be 0 or more. Received: "
            f"arena_margin={share!r}. 0.1 is a tenth."
        )
