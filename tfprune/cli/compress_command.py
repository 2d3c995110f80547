"""The commands `tfprune compress` and `tfprune boards`."""

import dataclasses
import os
import shlex
import sys

from absl import flags

from tfprune.cli import flag_checks
from tfprune.cli import options
from tfprune.cli import printing
from tfprune.cli import storage
from tfprune.core import boards as boards_lib
from tfprune.core import packages
from tfprune.core.files import atomic

_MODES = ("auto", "max", "min")
_RUNTIMES = ("micro", "tflite", "reference")


def options_of(values):
    """The flags of `tfprune compress`."""
    for name, text in (
        ("train", "Training data, required"),
        ("validation", "Data for choosing the network, required"),
    ):
        _text(
            values,
            name,
            f"{text}: an .npz file with x and y (x_NAME and y_NAME for "
            "several inputs and outputs), a folder of images with one folder "
            "per class, or tfds:NAME:SPLIT.",
        )
    options.limits(values)
    _text(values, "board", "A board instead; see `tfprune boards`.")
    for name, what in (("flash", "flash"), ("ram", "RAM")):
        flags.DEFINE_float(
            f"{name}_share",
            None,
            f"With --board: the fraction of its {what} that a model may use.",
            flag_values=values,
        )
    flags.DEFINE_float(
        "max_loss",
        None,
        "Instead, how much the metric may drop: 0.01 finds the smallest "
        "network that loses no more.",
        flag_values=values,
    )
    flags.DEFINE_float("minutes", None, "Total time.", flag_values=values)
    for name, default, text in (
        ("epochs", None, "Instead, epochs per network; 20 if both are unset."),
        ("points", 1, "Networks to keep along the way: the frontier."),
        (
            "trials",
            None,
            "Whole recipes to try, of which the best one counts; by default "
            "as many as --workers or, with --minutes, as there is time for.",
        ),
        (
            "workers",
            1,
            "Trials at a time; more than one needs Ray, which starts "
            "processes here or uses the cluster of $RAY_ADDRESS.",
        ),
        ("seed", 0, "Random seed."),
    ):
        flags.DEFINE_integer(name, default, text, flag_values=values)
    _text(
        values,
        "teacher",
        "A model with the same inputs and outputs to learn from as well; by "
        "default the dense one.",
    )
    _text(values, "monitor", "Metric to preserve; the model's first if unset.")
    flags.DEFINE_enum(
        "mode",
        "auto",
        list(_MODES),
        "Whether a larger metric is better: max, min, or auto by its name.",
        flag_values=values,
    )
    _text(values, "loss", "A Keras loss that replaces the model's.")
    flags.DEFINE_list(
        "metrics", [], "Keras metrics, likewise.", flag_values=values
    )
    flags.DEFINE_list(
        "labels", [], "The names of the classes.", flag_values=values
    )
    flags.DEFINE_boolean(
        "export",
        True,
        "Export and measure the int8 file; --noexport checks flash and RAM by "
        "prediction.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "runtime",
        None,
        list(_RUNTIMES),
        "Runtime to measure the file on; micro if flash or RAM is limited.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "resume",
        True,
        "Resume a stopped run with the same --out; --noresume refuses to.",
        flag_values=values,
    )


def check(paths, values):
    """Checks the flags before a model is loaded."""
    if not values.out:
        raise ValueError("--out=FOLDER must say where to write the result.")
    atomic.writable_folder(values.out)
    part = _part(values)
    if not values.resume and part.exists():
        raise FileExistsError(
            "A new folder is needed with --noresume. Received: "
            f"--out={values.out}, for which {part} holds a stopped run. Drop "
            "--noresume to resume it."
        )
    for name in ("train", "validation"):
        path = values[name].value
        if not path:
            raise ValueError(
                f"--{name} must name data: an .npz file with x and y, a folder "
                "of images, or tfds:NAME:SPLIT."
            )
        if not path.startswith("tfds:") and not os.path.isdir(path):
            storage.check_file(path)
    if values.teacher:
        storage.check_model(values.teacher)
    given = {"wish": _wish(values)}
    if values.export:
        packages.require("ai_edge_litert")
    if values.workers > 1:
        packages.require("ray", "distributed", "--workers")
    return given | flag_checks.models(paths, values)


def _part(values):
    """The working folder, `pathlib.Path`, beside that of the result."""
    out = atomic.followed(values.out)
    return out.with_name(f"{out.name}.part")


def _wish(values):
    """The arguments of `compress` that state the goal."""
    limits = options.given_limits(values)
    board = values.board and boards_lib.get(values.board).sharing(
        values.flash_share, values.ram_share
    )
    shares = [n for n in ("flash_share", "ram_share") if values[n].present]
    if shares and not board:
        raise ValueError(f"--{shares[0]} needs --board.")
    given = [
        *(["--board"] if board else []),
        *(["a budget"] if limits else []),
        *(["--max_loss"] if values.max_loss is not None else []),
    ]
    if len(given) == 2 and given[0] == "--board" and limits:
        # A limit in addition to a board applies too.
        return {"limits": limits | {"board": board}}
    if len(given) != 1:
        flags_ = ", ".join(f"--{n}" for n in options.LIMITS if n in values)
        raise ValueError(
            "A goal is required: --board, a budget "
            f"({flags_}) or --max_loss. Received: "
            f"{' and '.join(given) or 'none'}. Try --board=nano-33-ble."
        )
    if board:
        return {"limits": {"board": board}}
    if limits:
        return {"limits": limits}
    return {"max_loss": values.max_loss}


def compress(paths, values, given):
    """Runs `tfprune.compress`, and shows both networks."""
    import tfprune
    from tfprune.cli import actions

    wish = dict(given["wish"])
    limits = wish.pop("limits", None)
    try:
        found = tfprune.compress(
            actions.load(paths[0], values),
            values.train,
            values.validation,
            tfprune.Budget(**limits) if limits else None,
            **wish,
            out=values.out,
            points=values.points,
            minutes=values.minutes,
            epochs=values.epochs,
            trials=values.trials,
            workers=values.workers,
            seed=values.seed,
            monitor=values.monitor,
            mode=values.mode,
            loss=values.loss,
            metrics=values.metrics or None,
            labels=values.labels,
            teacher=actions.load(values.teacher, values)
            if values.teacher
            else None,
            export=values.export,
            runtime=values.runtime,
            input_shape=values.input_shape,
            progress=values.format == "text",
            command=shlex.join(["tfprune", *sys.argv[1:]]),
        )
    except KeyboardInterrupt as error:
        if not _part(values).exists():
            raise
        raise KeyboardInterrupt("the same command resumes") from error
    if values.format == "json":
        return printing.as_json(found.to_dict())
    drawn = [found.table()]
    if found.points:
        drawn.append(found.frontier())
    text = printing.shown(drawn, values)
    what = f"all of it: {found.report}" if found.report else "all but the page."
    return f"{text}\n{found.folder} has {what}\n"


def boards(paths, values, given):
    """The text of `tfprune boards`."""
    del paths, given
    if values.format == "json":
        return printing.as_json(
            [dataclasses.asdict(board) for board in boards_lib.BOARDS]
        )
    return printing.shown([boards_lib.table()], values)


def _text(values, name, text):
    flags.DEFINE_string(name, None, text, flag_values=values)
