"""Processor cores of microcontrollers, and the kernels that run on them."""

import difflib

# The instructions that CMSIS-NN uses: none in particular, the DSP extension, or
# the vector extension (MVE). Scratch buffers differ between them.
_CORTEX_M = {
    "cortex-m0": "plain",
    "cortex-m0plus": "plain",
    "cortex-m3": "plain",
    "cortex-m23": "plain",
    "cortex-m4": "dsp",
    "cortex-m7": "dsp",
    "cortex-m33": "dsp",
    "cortex-m52": "mve",
    "cortex-m55": "mve",
    "cortex-m85": "mve",
}
# ESP-NN has assembly for one of them, and plain C for the others.
_ESP = {
    "esp32": "plain",
    "esp32-s2": "plain",
    "esp32-s3": "vector",
    "esp32-c3": "plain",
    "esp32-c6": "plain",
}
CORES = (*_CORTEX_M, *_ESP)
# Names that vendors use.
_OTHER_NAMES = {
    "cortex-m0+": "cortex-m0plus",
    "cortex-m4f": "cortex-m4",
    "cortex-m7f": "cortex-m7",
    "cortex-m33f": "cortex-m33",
    "xtensa-lx6": "esp32",
    "xtensa-lx7": "esp32-s3",
    "risc-v-rv32imc": "esp32-c3",
}


def get(core):
    """The canonical name of a core.

    Args:
        core: `str`, in any case ("Cortex-M55", "esp32-s3").

    Returns:
        `str`, one of `CORES`.

    Raises:
        ValueError: If the core is unknown; the message lists the known ones.
    """
    name = _plain(core)
    if name not in CORES:
        near = difflib.get_close_matches(name, CORES, n=1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"core must be one of {', '.join(CORES)}. Received: "
            f"core={core!r}.{meant}"
        )
    return name


def find(core):
    """As `get`, but `None` for a core that is not known."""
    name = _plain(core)
    return name if name in CORES else None


def _plain(core):
    # Of "Cortex-M55 and Ethos-U55", the core runs the kernels.
    name = str(core).lower().split(" and ")[0].strip().replace(" ", "-")
    return _OTHER_NAMES.get(name, name)


def esp_extension(kernels, core=None):
    """The instructions that ESP-NN uses, if it may run.

    Args:
        kernels, core: as for `variants`.

    Returns:
        "vector" if it may be the assembly for the ESP32-S3, "plain" if only C
        may run, `None` if nothing of it may.
    """
    found = [own for name, own in variants(kernels, core) if name == "esp-nn"]
    return "vector" if "vector" in found else "plain" if found else None


def of_file(kernels, core=None):
    """The kernels to export a file for: ESP-NN's where its assembly may run.

    Args:
        kernels, core: as for `variants`.

    Returns:
        `str`, as `export_tflite` takes it.
    """
    return "esp-nn" if esp_extension(kernels, core) == "vector" else kernels


def variants(kernels, core=None):
    """The kernels that may run, and the instructions that they use.

    Args:
        kernels: one of `modes.KERNELS`; "auto" means the reference kernels and
            the optimized ones of the core, or of any Cortex-M if there is no
            core.
        core: one of `CORES`, or `None` for any.

    Returns:
        List of `(kernels, extension)`, such as `("cmsis-nn", "mve")`.

    Raises:
        ValueError: If the kernels do not run on the core.
    """
    cortex = core in _CORTEX_M if core else None
    if (kernels == "cmsis-nn" and cortex is False) or (
        kernels == "esp-nn" and cortex
    ):
        raise ValueError(
            f"The kernels must run on the core. Received: kernels={kernels!r} "
            f'with core={core!r}. Pass kernels="auto".'
        )
    if core is None:
        optimized = {
            "esp-nn": sorted(set(_ESP.values())),
            "reference": [],
        }.get(kernels, sorted(set(_CORTEX_M.values())))
        library = "esp-nn" if kernels == "esp-nn" else "cmsis-nn"
        found = [(library, extension) for extension in optimized]
    else:
        library = "cmsis-nn" if cortex else "esp-nn"
        extension = {**_CORTEX_M, **_ESP}[core]
        found = [(library, extension)] if kernels != "reference" else []
    if kernels in ("auto", "reference"):
        found.insert(0, ("reference", "plain"))
    return found
