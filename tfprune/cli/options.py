"""The flags of the commands."""

from absl import flags

from tfprune.export.file import modes
from tfprune.export.micro import npu
from tfprune.scoring import criterion as criterion_lib
from tfprune.searches import strategies
from tfprune.selection import rounding


class Limit(flags.ArgumentParser):
    """`0.5` or `50%`, a fraction that may remain, or `20000`, a count."""

    def parse(self, argument):
        try:
            if argument.endswith("%"):
                return float(argument[:-1]) / 100
            return float(argument) if "." in argument else int(argument)
        except ValueError as error:
            raise ValueError(
                "A fraction (0.5 or 50%) or a count (20000) is needed."
            ) from error

    def flag_type(self):
        return "limit"


class Shapes(flags.ArgumentParser):
    """`32,32,3`, or `32,32,3;10` for two inputs."""

    def parse(self, argument):
        parts = argument.split(";")
        try:
            return [tuple(int(n) for n in part.split(",")) for part in parts]
        except ValueError as error:
            raise ValueError("Sizes like 32,32,3 are needed.") from error

    def flag_type(self):
        return "shapes"


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
    flags.DEFINE_float(
        "ratio",
        None,
        "Instead of a budget: the share of the channels of every group to "
        "remove, in [0, 1).",
        flag_values=values,
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


def selection(values):
    """Which channels go."""
    criteria = criterion_lib.criteria.names()
    _text(
        values,
        "criterion",
        f"What scores the channels: {', '.join(criteria)}.",
        "l1",
    )
    _text(
        values,
        "ranking",
        "global compares channels across the model, their scores brought to "
        "one scale; raw compares the scores as they are; group takes the same "
        "share of every group.",
        "global",
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
        "The groups as a graph to write, by the name for Graphviz or for "
        "Mermaid: groups.dot, groups.mmd.",
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
        flags.DEFINE_integer(name, 1, text, flag_values=values)
    flags.DEFINE_enum(
        "target",
        None,
        list(rounding.TARGETS),
        "Instead of --channel_multiple: the multiple that its kernels use.",
        flag_values=values,
    )


def search(values):
    """How networks are tried, and on what."""
    names = strategies.STRATEGIES.names()
    _text(values, "strategy", f"One of {', '.join(names)}.", "amc")
    _text(
        values,
        "reward",
        "error, within a budget; flops or params weigh errors by the cost.",
        "error",
    )
    _text(values, "criterion", "What scores the channels.", "l1")
    data(values, "To measure accuracy on, needed")
    for name, what in (
        ("recalibrate", "measure batch normalisation by"),
        ("reconstruct", "fit the weights by that read what is left"),
    ):
        _text(values, name, f"Inputs, .npy or .npz with x, to {what}.")
    for name, default, text in (
        ("evaluations", 400, "Networks to measure."),
        ("limit", None, "Samples of the data that are looked at; all if not."),
        ("seed", 0, "Of what is random."),
    ):
        flags.DEFINE_integer(name, default, text, flag_values=values)
    _text(values, "checkpoint", "A JSON file to go on from: search.json.")
    _text(values, "trials", "A JSON file with all trials to write.")
    _text(values, "plot", "A picture of the trials to write: search.png.")


def curves(values):
    """What is measured of each group."""
    flags.DEFINE_list(
        "ratios",
        [f"{tenths / 10}" for tenths in range(1, 10)],
        "Shares of a group's channels to remove.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "groups",
        ["*"],
        "Groups to measure: names or patterns.",
        flag_values=values,
    )
    _text(values, "criterion", "What scores the channels.", "l1")
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
    _text(
        values,
        "quantize",
        f"How numbers are stored: {', '.join(modes.MODES)}. Microcontrollers "
        "want int8.",
        "float32",
    )
    _text(
        values,
        "calibration",
        "For int8, int16x8 and int4: typical inputs, some hundred, as the "
        "model takes them; a .npy file, or .npz with one array for each input.",
    )
    _text(
        values,
        "interface",
        "For int8 and int16x8: the type of inputs and outputs, int8 or int16 "
        "(if not given) or float32.",
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
        "Where --data is measured.",
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
        "With --micro: the share of arena to reserve beyond what was measured.",
        flag_values=values,
    )
    for name, what in (("flash_bytes", "file"), ("ram_bytes", "arena")):
        text = f"With --micro or --compress: the most bytes of the {what}."
        flags.DEFINE_integer(name, None, text, flag_values=values)
    flags.DEFINE_enum(
        "vela",
        None,
        list(npu.ACCELERATORS),
        "Compile with Vela for this NPU and tell what it takes.",
        flag_values=values,
    )


def _definer(values):
    def define(parser, name, text):
        flags.DEFINE(parser, name, None, text, flag_values=values)

    return define


def _text(values, name, text, default=None):
    flags.DEFINE_string(name, default, text, flag_values=values)
