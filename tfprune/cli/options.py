"""The flags of the commands."""

from absl import flags

from tfprune.cli import choices
from tfprune.cli import flag_parsers


def reading(values):
    """How a model is read."""
    define = _definer(values)
    define(
        flag_parsers.Shapes(),
        "input_shape",
        "Sizes of the inputs without the batch axis, if the model leaves some "
        "unknown: 32,32,3, or 32,32,3;10 for two inputs.",
    )
    flags.DEFINE_boolean(
        "allow_lambda",
        False,
        "Run the code of Lambda layers in the file. Only for files that you "
        "trust.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "isolated",
        False,
        "Open the file in a child process, with limits on time and memory. "
        "For untrusted files.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "modules",
        [],
        "Python modules, installed or in this folder, that define the layers "
        "and functions of the model.",
        flag_values=values,
    )


def common(values):
    """Flags of every command."""
    flags.DEFINE_enum(
        "format",
        "text",
        ["text", "markdown", "json"],
        "Format of the report: text, markdown or json.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "help", False, "Show this text.", short_name="h", flag_values=values
    )
    flags.DEFINE_integer(
        "verbosity",
        -1,
        "1 logs progress and shows where an error comes from.",
        flag_values=values,
    )


def layers(values):
    """`--layers`."""
    flags.DEFINE_boolean(
        "layers",
        False,
        "Show every layer after the totals. JSON always has them.",
        flag_values=values,
    )


def out(values, what):
    """`--out`."""
    _text(values, "out", f"Where to write {what}; required.")


def budget(values):
    """How much to keep, as limits, or to remove, as a ratio."""
    limits(values)
    define = _definer(values)
    define(
        flag_parsers.Limit(least=0),
        "depth",
        "Residual blocks to keep: a fraction (0.75 or 75%) or a number (6 or "
        "0); in a network without any, kernels whose output has the shape of "
        "their input. The blocks that change their input least are removed "
        "first.",
    )
    define(
        flag_parsers.Ratios(several=False),
        "ratio",
        "Instead of a budget, which limits what remains: the fraction of "
        "every group's channels to remove, in [0, 1).",
    )


def limits(values):
    """How much may remain."""
    define = _definer(values)
    unit = "0.5 or 50% is a fraction to keep, 20000 an absolute maximum."
    define(flag_parsers.Limit(), "macs", f"Multiply-adds per sample: {unit}")
    define(flag_parsers.Limit(), "params", f"Weights: {unit}")
    define(
        flag_parsers.Limit(),
        "channels",
        f"Channels that can be removed: {unit}",
    )
    define(
        flag_parsers.Limit(), "peak_bytes", f"Peak bytes of activations: {unit}"
    )
    define(
        flag_parsers.Limit(),
        "flash_bytes",
        f"Bytes of the int8 model in flash: {unit}",
    )
    define(flag_parsers.Limit(), "ram_bytes", f"Bytes of its arena: {unit}")
    define(
        flag_parsers.Limit(),
        "image_bytes",
        f"Bytes of the model in flash and its code: {unit}",
    )


# The flags of `limits` and `budget` that set a limit.
LIMITS = (
    *("macs", "params", "channels", "peak_bytes", "flash_bytes"),
    *("ram_bytes", "image_bytes", "depth"),
)


def given_limits(values):
    """`dict` from the names of the limits that are set to their values."""
    given = {name: values[name].value for name in LIMITS if name in values}
    return {name: v for name, v in given.items() if v is not None}


def criterion(values):
    """`--criterion`."""
    names = ", ".join(row[0] for row in choices.CRITERIA)
    _text(values, "criterion", f"Criterion for channels: {names}.", "l1")


def selection(values):
    """Which channels go."""
    criterion(values)
    flags.DEFINE_enum(
        "ranking",
        "global",
        ["global", "raw", "group"],
        "global compares normalized scores across the model; raw compares "
        "unnormalized scores; group removes the same fraction of every group.",
        flag_values=values,
    )
    groups(values)
    data(values, "Samples for the criterion")
    flags.DEFINE_boolean(
        "allow_inexact",
        False,
        "Allow removing channels that a layer, group or RMS normalization "
        "averages over, and warn about the change.",
        flag_values=values,
    )
    _text(values, "plot", "Where to write a plot of the cut: channels.png.")


def picture(values):
    """`--picture`."""
    _text(
        values,
        "picture",
        "Where to write the groups as a graph, for Graphviz, for Mermaid, or "
        "as an image: groups.dot, groups.mmd, groups.svg.",
    )


def page(values):
    """`--html`."""
    _text(
        values,
        "html",
        "Where to write a page that opens offline: report.html.",
    )


def groups(values):
    """What stays whatever its score is."""
    flags.DEFINE_list(
        "skip",
        [],
        "Layers whose channels all stay: names or patterns (stem,block1_*).",
        flag_values=values,
    )
    for name, text in (
        ("min_channels", "Minimum number of channels that each group keeps."),
        ("channel_multiple", "Each group keeps a multiple of this number."),
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
        "error, within a budget; flops or params weight the error by the cost.",
        flag_values=values,
    )
    criterion(values)
    _text(
        values,
        "criterion_data",
        "Samples for the criterion: a .npz file with arrays x and y.",
    )
    data(values, "Samples to measure accuracy on, required")
    metric(values)
    for name, what in (
        ("recalibrate", "recalibrate batch normalization"),
        ("reconstruct", "refit the weights that read kept channels"),
    ):
        _text(values, name, f"Inputs, .npy or .npz with x, to {what}.")
    _count(values, "evaluations", 400, "Networks to measure.")
    _count(
        values,
        "limit",
        None,
        "Maximum number of samples to use; all if not given.",
    )
    flags.DEFINE_integer(
        "seed", 0, "Random seed.", lower_bound=0, flag_values=values
    )
    _text(values, "checkpoint", "A JSON file to resume from: search.json.")
    _text(values, "trials", "Where to write all trials as JSON.")
    _text(values, "plot", "Where to write a plot of the trials: search.png.")


def curves(values):
    """What is measured of each group."""
    parser = flag_parsers.Ratios(several=True)
    flags.DEFINE(
        parser,
        "ratios",
        ",".join(f"{tenths / 10}" for tenths in range(1, 10)),
        "Fractions of a group's channels to remove.",
        flag_values=values,
        serializer=parser,
    )
    flags.DEFINE_list(
        "groups",
        ["*"],
        "Groups to measure: names or patterns.",
        flag_values=values,
    )
    criterion(values)
    _text(values, "plot", "Where to write a plot of the curves: curves.png.")


def data(values, what):
    """`--data`."""
    _text(
        values,
        "data",
        f"{what}: a .npz file with arrays x and y (x_NAME and y_NAME for "
        "several inputs and outputs).",
    )


def metric(values):
    """`--metric`."""
    _text(
        values,
        "metric",
        "What to measure instead of accuracy, larger is better: "
        "neg_mean_absolute_error or neg_mean_squared_error, for numbers, or "
        "MODULE:FUNCTION, a function (y, outputs) -> one number per sample.",
    )


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
        f"How numbers are stored: {_listed(modes)}. Microcontrollers need "
        "int8.",
        flag_values=values,
    )
    _text(
        values,
        "calibration",
        f"For {_listed(choices.CALIBRATED, 'and')}: a few hundred typical "
        "inputs, preprocessed for the model; a .npy file, or .npz with one "
        "array per input, or as for --data.",
    )
    _text(
        values,
        "ranges",
        "For int8: a model file of Keras 2, trained for quantization, whose "
        "ranges of outputs replace those seen on --calibration.",
    )
    types = {name for names in choices.INTERFACES.values() for name in names}
    flags.DEFINE_enum(
        "interface",
        None,
        sorted(types),
        "For int8 and int16x8: the type of inputs and outputs, int8 or int16 "
        "(if not given), uint8 or float32.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "sparse",
        None,
        ["auto"],
        "auto: use TFLite's sparse encoding if TFLite runs it and it makes the "
        "file smaller.",
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
        None,
        ["tflite", "reference", "micro"],
        "Runtime that the file is for and that --data is measured on: tflite, "
        "as on phones (default for --data); reference, its plain kernels; "
        "micro, as on microcontrollers (default for int8 and int16x8 files, "
        "which run there once).",
        flag_values=values,
    )


def firmware(values):
    """What to write for a microcontroller, and its limits."""
    _text(values, "micro", "Where to write a folder of C sources.")
    flags.DEFINE_list(
        "labels",
        [],
        "With --micro: the names of the classes, in the order of the output.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "arena_margin",
        0.1,
        "With --micro: fraction of the arena to reserve as a margin.",
        lower_bound=0.0,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "kernels",
        "auto",
        ["auto", "reference", "cmsis-nn", "esp-nn"],
        "The kernels that will run the file on a microcontroller; they "
        "determine the scales and the arena.",
        flag_values=values,
    )
    _text(values, "core", "With --micro: the core, cortex-m55 for example.")
    _text(
        values,
        "board",
        "With --micro: the core and the memory of a board; see `tfprune "
        "boards`. --core and limits that are given count instead.",
    )
    flags.DEFINE_enum(
        "project",
        None,
        list(choices.PROJECTS),
        "With --micro: the build tool to write a project for; CMake and "
        "Arduino by default.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "plan_memory",
        False,
        "With --micro: write places of activations into the array where that "
        "takes less arena.",
        flag_values=values,
    )
    _count(
        values,
        "image_bytes",
        None,
        "With --micro: the most bytes of array and code together.",
    )
    flags.DEFINE_enum(
        "dense_scales",
        None,
        ["channel", "tensor"],
        "What each scale of a dense layer is for: channel or tensor; by "
        "default, what --kernels, --project and --board support.",
        flag_values=values,
    )
    for name, what in (("flash_bytes", "file"), ("ram_bytes", "arena")):
        text = f"With --micro or --compress: maximum bytes of the {what}."
        _count(values, name, None, text)
    flags.DEFINE_enum(
        "vela",
        None,
        list(choices.ACCELERATORS),
        "Compile with Vela for this NPU and report its cost: "
        f"{_listed(choices.ACCELERATORS)}.",
        flag_values=values,
    )


def _listed(names, word="or"):
    return f"{', '.join(names[:-1])} {word} {names[-1]}"


def _definer(values):
    def define(parser, name, text):
        flags.DEFINE(
            parser, name, None, text, flag_values=values, serializer=parser
        )

    return define


def _count(values, name, default, text):
    flags.DEFINE_integer(name, default, text, lower_bound=1, flag_values=values)


def _text(values, name, text, default=None):
    flags.DEFINE_string(name, default, text, flag_values=values)
