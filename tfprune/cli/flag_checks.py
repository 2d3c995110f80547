"""Checks of flags and files before a model is loaded.

Each function takes paths and flags, raises errors in terms of flags, and
returns what it has read. Nothing here imports Keras.
"""

import importlib.util
import os
import pathlib
import sys

from tfprune.cli import choices
from tfprune.cli import options
from tfprune.cli import storage
from tfprune.core import packages
from tfprune.core.files import atomic

TFLITE = ".tflite"
_PICTURES = (".png", ".svg", ".pdf")
_DRAWINGS = (".dot", ".gv", ".mmd", ".md", ".svg")
_PAGES = (".html", ".htm")
_NEEDS = {row[0]: row[2] for row in choices.CRITERIA}
# Files that a search reads, and then those that it writes.
_READ = ("data", "criterion_data", "recalibrate", "reconstruct")
_SAVED = ("out", "checkpoint", "trials", "plot")
_SEARCHED = (*_READ, *_SAVED)
_ENGINES = {"evolution": "cma", "bayesian": "optuna"}


def nothing(paths, values):
    """For a command without anything to check."""
    del paths, values
    return {}


def inspect(paths, values):
    picture = _writable(values, "picture", _DRAWINGS)
    page = _writable(values, "html", _PAGES)
    if pathlib.Path(paths[0]).suffix == TFLITE:
        _without(
            values,
            (
                "picture",
                "html",
                "input_shape",
                "allow_lambda",
                "isolated",
                "modules",
            ),
            "is for a Keras model, not for a .tflite file",
        )
        storage.check_file(paths[0])
        packages.require("ai_edge_litert", user="Reading a .tflite file")
        return {}
    models(paths, values)
    return {"picture": picture, "html": page}


def prune(paths, values):
    given = {"out": storage.model_path(values.out, paths)}
    limits = options.given_limits(values)
    if (values.ratio is None) == (not limits):
        flags = ", ".join(f"--{name}" for name in options.LIMITS)
        raise ValueError(
            f"Either a budget ({flags}), which limits what remains, or "
            "--ratio, which says what to remove, is required. Received: "
            f"{'both' if limits else 'neither'}. Try --macs=0.5."
        )
    if values.ratio is not None and values["ranking"].present:
        raise ValueError(
            "--ranking applies to a budget; --ratio removes the same fraction "
            "of every group. Received: both. Give only one of them."
        )
    _multiple(values)
    given["plot"] = _plot(values)
    given["data"] = _criterion(values, "data")
    return given | models(paths, values)


def strip(paths, values):
    out = storage.model_path(values.out, paths)
    return {"out": out} | models(paths, values)


def compare(paths, values):
    page = _writable(values, "html", _PAGES)
    data = storage.load_samples(values.data, "--data")
    return {"data": data, "html": page} | models(paths, values)


def sensitivity(paths, values):
    given = {"plot": _plot(values), "data": _needed_data(values)}
    _criterion(values, "data")
    return given | models(paths, values)


def search(paths, values):
    given = {"out": storage.model_path(values.out, paths)}
    limits = options.given_limits(values)
    free = values.reward != "error" and values.strategy != "greedy"
    if not limits and not free:
        flags = ", ".join(f"--{n}" for n in options.LIMITS if n in values)
        raise ValueError(
            f"A budget is required: {flags}. Received: none. Try --macs=0.5, "
            "or --reward=flops with a strategy other than greedy, which lets "
            "accuracy decide."
        )
    if values.strategy in _ENGINES:
        user = f"--strategy={values.strategy}"
        packages.require(_ENGINES[values.strategy], "search", user)
    _multiple(values)
    given["plot"] = _plot(values)
    for name in ("trials", "checkpoint"):
        given[name] = _writable(values, name)
    _apart(paths, values)
    given["data"] = _needed_data(values)
    given["criterion_data"] = _criterion(values, "criterion_data")
    for name in ("recalibrate", "reconstruct"):
        given[name] = storage.load_arrays(values[name].value)
    return given | models(paths, values)


def export(paths, values):
    out = storage.output_path(values.out, paths)
    if out.suffix != TFLITE:
        raise ValueError(
            "--out must end in .tflite. Received: "
            f"--out={out}. Try --out={out.with_suffix(TFLITE)}."
        )
    _conversion(values)
    _board(values)
    packages.require("ai_edge_litert")
    if values.quantize == "int4":
        user = "--quantize=int4"
        packages.require("ai_edge_quantizer", "quantizer", user)
    if values.micro or values.compress or values.runtime == "micro":
        packages.require("tflite_micro")
    if values.vela:
        packages.require("ethosu", "vela", "--vela")
    given = {
        "out": out,
        "micro": values.micro and atomic.writable_folder(values.micro),
        "calibration": storage.load_arrays(values.calibration),
        "data": storage.load_samples(values.data, "--data"),
    }
    return given | models([*paths, *filter(None, [values.ranges])], values)


def models(paths, values):
    """Checks that the files of models and the --modules exist."""
    for path in paths:
        storage.check_model(path)
    if values.modules or "metric" in values and values.metric:
        # A console script does not have the current folder on its path.
        sys.path.insert(0, os.getcwd())
    for module in values.modules:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            raise ImportError(
                "--modules must name modules that are installed or in this "
                f"folder. Received: {module}, which is neither in "
                f"{os.getcwd()} nor installed."
            )
    return {}


def _conversion(values):
    """Checks flags of `options.conversion` that depend on each other."""
    if values.quantize in choices.CALIBRATED and not values.calibration:
        raise ValueError(
            f"--quantize={values.quantize} needs --calibration: a .npy file "
            "of a few hundred typical inputs, preprocessed for the model."
        )
    if values.calibration and values.quantize not in choices.CALIBRATED:
        raise ValueError(
            "--calibration is for --quantize="
            f"{', '.join(choices.CALIBRATED)}. Received: "
            f"--quantize={values.quantize}. Give only one of them."
        )
    if values.ranges and values.quantize != "int8":
        raise ValueError(
            "--ranges is for --quantize=int8. Received: "
            f"--quantize={values.quantize}. Drop --ranges."
        )
    interfaces = choices.INTERFACES[values.quantize]
    if values.interface not in (None, *interfaces):
        raise ValueError(
            f"With --quantize={values.quantize} --interface must be "
            f"{' or '.join(interfaces)}. Received: "
            f"--interface={values.interface}."
        )
    if values.sparse and values.compress:
        raise ValueError(
            "Only TFLite Micro reads compressed weights, and it does not run "
            "sparse ones. Received: --sparse and --compress. Use one of them."
        )
    if values.compress and values["runtime"].present:
        if values.runtime != "micro":
            raise ValueError(
                "Only TFLite Micro reads compressed weights. Received: "
                f"--compress and --runtime={values.runtime}. Use "
                "--runtime=micro."
            )


def _board(values):
    """Checks flags of `options.firmware` that depend on each other."""
    limits = values.flash_bytes is not None or values.ram_bytes is not None
    if limits and not (values.micro or values.compress):
        raise ValueError(
            "--flash_bytes and --ram_bytes need --micro or --compress."
        )
    if values.labels and not values.micro:
        raise ValueError("--labels needs --micro, the sources that hold them.")
    for name in ("core", "board", "project", "image_bytes", "plan_memory"):
        if getattr(values, name) and not values.micro:
            raise ValueError(
                f"--{name} needs --micro, the folder of sources. Received: "
                f"--{name}={getattr(values, name)} alone."
            )
    reads = choices.PROJECTS.get(values.project, "channel")
    if values.dense_scales == "channel" != reads:
        raise ValueError(
            "Arduino's library needs per-tensor scales in dense layers. "
            f"Received: --project={values.project} and "
            "--dense_scales=channel. Drop --dense_scales."
        )
    if values["arena_margin"].present and not values.micro:
        raise ValueError("--arena_margin needs --micro, which reserves it.")
    if values.vela and values.compress:
        raise ValueError(
            "Vela cannot read compressed weights; it compresses zeros itself. "
            "Received: --vela and --compress. Export twice."
        )
    if values.vela and values.quantize not in ("int8", "int16x8"):
        raise ValueError(
            "An Ethos-U computes with integers. Received: --vela and "
            f"--quantize={values.quantize}. Use --quantize=int8."
        )


def _criterion(values, flag):
    """Reads the samples for the criterion, if there are any."""
    path, name = values[flag].value, values.criterion
    # A module of the user may register one of its own.
    if name not in _NEEDS and not values.modules:
        raise ValueError(
            "Unknown criterion. Received: "
            f"--criterion={name}. Known: {', '.join(_NEEDS)}. `tfprune "
            "criteria` describes them."
        )
    if path is None and _NEEDS.get(name, "nothing") != "nothing":
        raise ValueError(
            f"--criterion={name} needs {_NEEDS[name]}: --{flag} must name "
            "a .npz file with arrays x and y."
        )
    if _NEEDS.get(name) == "inputs and labels":
        return storage.load_samples(path, f"--{flag}")
    return storage.load_arrays(path)


def _needed_data(values):
    if not values.data:
        raise ValueError(
            "--data must name a .npz file with arrays x and y, to measure "
            "accuracy on. Received: none."
        )
    return storage.load_samples(values.data, "--data")


def _apart(paths, values):
    """Checks that no file of a search is written over another one."""
    used = {path: "the model" for path in paths}
    for name in _SEARCHED:
        path = values[name].value
        if not path:
            continue
        for other, what in used.items() if name in _SAVED else ():
            if storage.is_same(path, other):
                raise ValueError(
                    "Each file of a search must have a name of its own. "
                    f"Received: --{name}={path}, which is {what} as well. Give "
                    "another name."
                )
        used[path] = f"--{name}"


def _multiple(values):
    if values.target and values["channel_multiple"].present:
        raise ValueError(
            "--target sets the channel multiple. Received: "
            f"--target={values.target} and --channel_multiple="
            f"{values.channel_multiple}. Give only one of them."
        )


def _plot(values):
    if values.plot:
        packages.require("matplotlib", "plots", "--plot")
    return _writable(values, "plot", _PICTURES)


def _writable(values, flag, endings=()):
    """The path of a flag, if a file can be written there, or `None`."""
    path = values[flag].value
    if not path:
        return None
    if endings and pathlib.Path(path).suffix.lower() not in endings:
        raise ValueError(
            f"--{flag} must end in one of {', '.join(endings)}. Received: "
            f"--{flag}={path}."
        )
    return atomic.writable(path)


def _without(values, names, reason):
    for name in names:
        if values[name].present:
            raise ValueError(f"--{name} {reason}. Drop it.")
