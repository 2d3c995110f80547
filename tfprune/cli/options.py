"""The flags of the commands."""

import math

from absl import flags

from tfprune.cli import choices


class Limit(flags.ArgumentParser):
    """`0.5` or `50%`, a fraction that may remain, or `20000`, a count."""

    def parse(self, argument):
        try:
            if argument.endswith("%"):
                value = float(argument[:-1]) / 100
            elif argument.lstrip("+-").isdigit():
                value = int(argument)
            else:
                value = float(argument)
        except ValueError:
            value = math.nan
        whole = isinstance(value, int)
        if not (value > 0 if whole else 0 < value <= 1):
            raise ValueError(
                "A fraction of at most 1 (0.5 or 50%), which may remain, or a "
                "count (20000) is needed."
            )
        return value

    def flag_type(self):
        return "limit"


class Shapes(flags.ArgumentParser):
    """`32,32,3`, or `32,32,3;10` for two inputs."""

    def parse(self, argument):
        parts = argument.split(";")
        try:
            shapes = [tuple(int(n) for n in part.split(",")) for part in parts]
        except ValueError as error:
            raise ValueError("Sizes like 32,32,3 are needed.") from error
        if min(min(shape) for shape in shapes) < 1:
            raise ValueError("Sizes like 32,32,3, all positive, are needed.")
        return shapes

    def flag_type(self):
        return "shapes"


class Ratios(flags.ArgumentParser):
    """`0.25,0.5`, shares that are removed, or a single one.

    Args:
        several: `bool`, whether there may be more than one.
    """

    def __init__(self, several):
        self._several = several

    def parse(self, argument):
        try:
            ratios = [float(text) for text in str(argument).split(",")]
        except ValueError:
            ratios = [math.nan]
        fit = all(0 <= ratio < 1 for ratio in ratios)
        if not fit or (len(ratios) > 1 and not self._several):
            wanted = "floats in [0, 1), like 0.25,0.5, are needed"
            raise ValueError(
                f"Shares to remove, {wanted}."
                if self._several
                else "A share to remove, a float in [0, 1), is needed. For "
                "what may remain use --macs, --params or --channels."
            )
        return ratios if self._several else ratios[0]

    def flag_type(self):
        return "ratio"


def reading(values):
    """How a model is read."""
    define = _definer(values)
    define(
        Shapes(),
        "input_shape",
        "Sizes of the inputs without the batch, where the model leaves some "
        "open: 32,32,3, or 32,32,3;10 for two inputs.",
    )
    flags.DEFINE_boolean(
        "allow_lambda",
        False,
        "Run the code that Lambda layers in the file hold. Only for files "
        "that you trust.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "isolated",
        False,
        "Open the file in a process of its own, with limits on time and "
        "memory. For files of somebody else.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "modules",
        [],
        "Python modules, installed or in this folder, that define and "
        "register the layers of the model.",
        flag_values=values,
    )


def common(values):
    """What every command understands."""
    flags.DEFINE_enum(
        "format",
        "text",
        ["text", "markdown", "json"],
        "How the report is written: text, markdown or json.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "help", False, "Show this text.", short_name="h", flag_values=values
    )
    flags.DEFINE_integer(
        "verbosity",
        -1,
        "1 tells what happens, and where an error comes from.",
        flag_values=values,
    )


def layers(values):
    """`--layers`."""
    flags.DEFINE_boolean(
        "layers",
        False,
        "Show every layer after the totals. JSON has them in any case.",
        flag_values=values,
    )


def out(values, what):
    """`--out`."""
    _text(values, "out", f"Where {what} is written; needed.")


def budget(values):
    """How much may remain, as limits or as a ratio."""
    limits(values)
    define = _definer(values)
    define(
        Limit(),
        "depth",
        "Residual blocks: 0.75 or 75% is what may remain, 6 how many. Whole "
        "blocks go first, those that change their input least.",
    )
    define(
        Ratios(several=False),
        "ratio",
        "Instead of a budget, which says what remains: the share of the "
        "channels of every group to remove, in [0, 1).",
    )


def limits(values):
    """How much may remain."""
    define = _definer(values)
    unit = "0.5 or 50% is what may remain, 20000 a ceiling."
    define(Limit(), "macs", f"Multiply-adds of one sample: {unit}")
    define(Limit(), "params", f"Weights: {unit}")
    define(Limit(), "channels", f"Channels that can be removed: {unit}")
    define(Limit(), "peak_bytes", f"Bytes of activations at one time: {unit}")
    define(Limit(), "flash_bytes", f"Bytes of the int8 file: {unit}")
    define(Limit(), "ram_bytes", f"Bytes of its arena: {unit}")


# The flags of `limits` and `budget` that set a limit.
LIMITS = (
    *("macs", "params", "channels", "peak_bytes", "flash_bytes"),
    *("ram_bytes", "depth"),
)


def given_limits(values):
    """`dict` from the names of the limits that are set to their values."""
    given = {name: values[name].value for name in LIMITS if name in values}
    return {name: v for name, v in given.items() if v is not None}


def criterion(values):
    """`--criterion`."""
    names = ", ".join(row[0] for row in choices.CRITERIA)
    _text(values, "criterion", f"What scores the channels: {names}.", "l1")


def selection(values):
    """Which channels go."""
    criterion(values)
    flags.DEFINE_enum(
        "ranking",
        "global",
        ["global", "raw", "group"],
        "global compares channels across the model, their scores brought to "
        "one scale; raw compares the scores as they are; group takes the same "
        "share of every group.",
        flag_values=values,
    )
    groups(values)
    data(values, "What the criterion looks at")
    flags.DEFINE_boolean(
        "allow_inexact",
        False,
        "Let channels go that a layer, group or RMS normalization averages "
        "over, and warn of the change.",
        flag_values=values,
    )
    _text(values, "plot", "A picture of the cut to write: channels.png.")


def picture(values):
    """`--picture`."""
    _text(
        values,
        "picture",
        "The groups as a graph to write, by the name for Graphviz, for "
        "Mermaid, or as a picture: groups.dot, groups.mmd, groups.svg.",
    )


def page(values):
    """`--html`."""
    _text(
        values,
        "html",
        "A page with all of it to write, which opens offline: report.html.",
    )


def groups(values):
    """What stays whatever its score."""
    flags.DEFINE_list(
        "skip",
        [],
        "Layers whose channels all stay: names or patterns (stem,block1_*).",
        flag_values=values,
    )
    for name, text in (
        ("min_channels", "Channels of each group that stay at least."),
        ("channel_multiple", "Each group keeps a multiple of so many."),
    ):
        _count(values, name, 1, text)
    flags.DEFINE_enum(
        "target",
        None,
        list(choices.TARGETS),
        "Instead of --channel_multiple: the multiple that its kernels use: "
        f"{', '.join(choices.TARGETS)}.",
        flag_values=values,
    )


def search(values):
    """How networks are tried, and on what."""
    names = list(choices.STRATEGIES)
    flags.DEFINE_enum(
        "strategy", "amc", names, f"{_listed(names)}.", flag_values=values
    )
    flags.DEFINE_enum(
        "reward",
        "error",
        list(choices.REWARDS),
        "error, within a budget; flops or params weigh errors by the cost.",
        flag_values=values,
    )
    criterion(values)
    _text(
        values,
        "criterion_data",
        "What the criterion looks at: a .npz file with arrays x and y.",
    )
    data(values, "To measure accuracy on, needed")
    for name, what in (
        ("recalibrate", "measure batch normalization by"),
        ("reconstruct", "fit the weights by that read what is left"),
    ):
        _text(values, name, f"Inputs, .npy or .npz with x, to {what}.")
    _count(values, "evaluations", 400, "Networks to measure.")
    _count(
        values,
        "limit",
        None,
        "Samples of the data that are looked at; all if not given.",
    )
    flags.DEFINE_integer(
        "seed", 0, "Of what is random.", lower_bound=0, flag_values=values
    )
    _text(values, "checkpoint", "A JSON file to go on from: search.json.")
    _text(values, "trials", "A JSON file with all trials to write.")
    _text(values, "plot", "A picture of the trials to write: search.png.")


def curves(values):
    """What is measured of each group."""
    flags.DEFINE(
        Ratios(several=True),
        "ratios",
        ",".join(f"{tenths / 10}" for tenths in range(1, 10)),
        "Shares of a group's channels to remove.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "groups",
        ["*"],
        "Groups to measure: names or patterns.",
        flag_values=values,
    )
    criterion(values)
    _text(values, "plot", "A picture of the curves to write: curves.png.")


def data(values, what):
    """`--data`."""
    _text(values, "data", f"{what}: a .npz file with arrays x and y.")


def verify(values):
    """`--verify`."""
    flags.DEFINE_boolean(
        "verify",
        True,
        "Compare the outputs of both models on random inputs.",
        flag_values=values,
    )


def conversion(values):
    """What kind of file is exported."""
    modes = list(choices.INTERFACES)
    flags.DEFINE_enum(
        "quantize",
        "float32",
        modes,
        f"How numbers are stored: {_listed(modes)}. Microcontrollers want "
        "int8.",
        flag_values=values,
    )
    _text(
        values,
        "calibration",
        f"For {_listed(choices.CALIBRATED, 'and')}: typical inputs, some "
        "hundred, as the model takes them; a .npy file, or .npz with one "
        "array for each input.",
    )
    types = {name for names in choices.INTERFACES.values() for name in names}
    flags.DEFINE_enum(
        "interface",
        None,
        sorted(types),
        "For int8 and int16x8: the type of inputs and outputs, int8 or int16 "
        "(if not given) or float32.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "sparse",
        None,
        ["auto"],
        "auto: store zeros in blocks sparsely where TFLite runs it and the "
        "file is smaller.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "compress",
        None,
        ["auto"],
        "auto: compress weights with many zeros within --flash_bytes and "
        "--ram_bytes; only TFLite Micro reads such files.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "runtime",
        "tflite",
        ["tflite", "reference", "micro"],
        "Where --data is measured: tflite, as phones run it; reference, its "
        "plain kernels; micro, as microcontrollers run it.",
        flag_values=values,
    )


def firmware(values):
    """What is written for a microcontroller, and what it may take."""
    _text(values, "micro", "Folder of C sources to write too.")
    flags.DEFINE_list(
        "labels",
        [],
        "With --micro: the names of the classes, in the order of the output.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "arena_margin",
        0.1,
        "With --micro: the share of arena to reserve beyond what is needed.",
        lower_bound=0.0,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "kernels",
        "auto",
        ["auto", "reference", "cmsis-nn", "esp-nn"],
        "The kernels that shall run the file on a microcontroller: scales and "
        "arena are made for them.",
        flag_values=values,
    )
    _text(values, "core", "With --micro: the core, cortex-m55 for example.")
    flags.DEFINE_enum(
        "project",
        None,
        list(choices.PROJECTS),
        "With --micro: the build tool whose project the folder is; CMake and "
        "Arduino by default.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "dense_scales",
        None,
        ["channel", "tensor"],
        "Whether dense layers have a scale for each channel or one for the "
        "tensor; by default what --kernels and --project read.",
        flag_values=values,
    )
    for name, what in (("flash_bytes", "file"), ("ram_bytes", "arena")):
        text = f"With --micro or --compress: the most bytes of the {what}."
        _count(values, name, None, text)
    flags.DEFINE_enum(
        "vela",
        None,
        list(choices.ACCELERATORS),
        "Compile with Vela for this NPU and tell what it takes: "
        f"{_listed(choices.ACCELERATORS)}.",
        flag_values=values,
    )


def _listed(names, word="or"):
    return f"{', '.join(names[:-1])} {word} {names[-1]}"


def _definer(values):
    def define(parser, name, text):
        flags.DEFINE(parser, name, None, text, flag_values=values)

    return define


def _count(values, name, default, text):
    flags.DEFINE_integer(name, default, text, lower_bound=1, flag_values=values)


def _text(values, name, text, default=None):
    flags.DEFINE_string(name, default, text, flag_values=values)
