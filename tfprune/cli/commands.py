"""What each command does, and how it explains itself."""

import dataclasses
import pathlib
from collections.abc import Callable

from tfprune.cli import compress_command
from tfprune.cli import flag_checks
from tfprune.cli import options


@dataclasses.dataclass(frozen=True)
class Command:
    """One word after `tfprune`.

    Attributes:
        name: `str`, the word.
        paths: tuple of `str`, descriptions of the files after it.
        summary: `str`, one line.
        text: `str`, the description.
        examples: `str`, command lines.
        define: functions that define flags in an `absl.flags.FlagValues`.
        check: function from the paths and the flags to a `dict` of what it
            has read; it raises errors before Keras is imported.
        run: `str`, location of the function from the paths, the flags and
            that `dict` to the text to print.
        light: `bool`, whether it works without Keras.
    """

    name: str
    paths: tuple[str, ...]
    summary: str
    text: str
    examples: str
    define: tuple[Callable, ...]
    check: Callable
    run: str
    light: bool = False

    def needs_keras(self, paths):
        """Whether these files require importing the library."""
        files = {pathlib.Path(path).suffix for path in paths}
        return not self.light and files != {flag_checks.TFLITE}


COMMANDS = (
    Command(
        "inspect",
        ("MODEL",),
        "Shows what a model costs, and which channels can be removed.",
        """
Each row of the second table is a group of channels that can only be removed
together; groups that must stay say why. With --layers, the costs of each layer
follow. For a .tflite file, shows the ops, inputs, outputs and weights.
""",
        """
tfprune inspect model.keras
tfprune inspect model.keras --layers
tfprune inspect small.tflite
tfprune inspect detector.h5 --input_shape=320,320,3 --format=json
tfprune inspect model.keras --picture=groups.svg --html=model.html
""",
        (
            options.layers,
            options.reading,
            options.picture,
            options.page,
        ),
        flag_checks.inspect,
        "tfprune.cli.actions:inspect",
    ),
    Command(
        "compress",
        ("MODEL",),
        "Finds the best network that fits: smaller, trained, as a file.",
        """
Prunes in rounds, with training in between, exports and measures the int8
file, and prunes further if it does not fit. The folder gets model.keras,
model.tflite, report.html and, for a board, C sources. Ctrl-C stops with the
best network so far. After a kill at any moment, the same command resumes.
""",
        """
tfprune compress model.keras --train=train.npz --validation=val.npz \\
    --board=nano-33-ble --out=kws --minutes=30
tfprune compress model.keras --train=photos/train --validation=photos/val \\
    --flash_bytes=64000 --ram_bytes=40000 --points=4 --out=small
tfprune compress model.keras --train=tfds:mnist:train[:90%] \\
    --validation=tfds:mnist:train[90%:] --max_loss=0.01 --out=small
""",
        (
            lambda values: options.out(values, "the folder of the result"),
            compress_command.options_of,
            options.reading,
        ),
        compress_command.check,
        "tfprune.cli.compress_command:compress",
    ),
    Command(
        "prune",
        ("MODEL",),
        "Removes the lowest-scoring channels until a budget is met.",
        """
The result is a plain Keras model with fewer channels. Pruning costs accuracy:
fine-tune the model for some epochs with model.fit. The input file is never
changed.
""",
        """
tfprune prune model.keras --macs=0.5 --out=small.keras
tfprune prune resnet.keras --depth=0.75 --macs=0.5 --out=small.keras
tfprune prune model.keras --params=100000 --criterion=l2 --skip=stem \\
    --out=small.keras --plot=channels.png
tfprune prune model.keras --ratio=0.3 --channel_multiple=8 --out=small.keras
tfprune prune model.keras --macs=25% --criterion=taylor --data=train.npz \\
    --out=small.keras
""",
        (
            lambda values: options.out(values, "the smaller model"),
            options.budget,
            options.selection,
            options.layers,
            options.reading,
        ),
        flag_checks.prune,
        "tfprune.cli.actions:prune",
    ),
    Command(
        "strip",
        ("MODEL",),
        "Removes unused channels; the outputs stay the same.",
        """
For models with zeros in their weights, from tfprune or any other tool: removes
the channels that no layer reads. Without such zeros, nothing changes.
""",
        """
tfprune strip sparse.keras --out=small.keras
""",
        (
            lambda values: options.out(values, "the smaller model"),
            options.verify,
            options.layers,
            options.reading,
        ),
        flag_checks.strip,
        "tfprune.cli.actions:strip",
    ),
    Command(
        "export",
        ("MODEL",),
        "Writes a .tflite file, and a project for a microcontroller.",
        """
int8 needs typical inputs for calibration. --micro runs the file on the TFLite
Micro interpreter to measure its tensor arena, and writes a folder of C sources
that compiles. --data measures the accuracy of the file, --vela its cost on an
Ethos-U. If anything fails, nothing is written.
""",
        """
tfprune export small.keras --out=small.tflite
tfprune export small.keras --quantize=int8 --calibration=images.npy \\
    --data=test.npz --out=small.tflite --micro=firmware --ram_bytes=40000
tfprune export small.keras --quantize=int8 --calibration=images.npy \\
    --out=small.tflite --vela=ethos-u55-128
tfprune export sparse.keras --quantize=int8 --calibration=images.npy \\
    --out=small.tflite --compress=auto --micro=firmware --ram_bytes=64000
""",
        (
            lambda values: options.out(values, "the .tflite file"),
            options.conversion,
            options.firmware,
            lambda values: options.data(values, "To measure accuracy on"),
            options.reading,
        ),
        flag_checks.export,
        "tfprune.cli.exporting:export",
    ),
    Command(
        "compare",
        ("DENSE", "SMALL"),
        "Compares the costs of two models, and how good they are.",
        """
With --data, measures how good both are: the fraction of samples whose class is
right; for numbers, the mean absolute error. With --layers, compares each layer.
""",
        """
tfprune compare model.keras small.keras
tfprune compare model.keras small.keras --data=test.npz --format=markdown
tfprune compare model.keras small.keras --data=test.npz --html=report.html
""",
        (
            lambda values: options.data(values, "To measure accuracy on"),
            options.layers,
            options.page,
            options.reading,
        ),
        flag_checks.compare,
        "tfprune.cli.actions:compare",
    ),
    Command(
        "sensitivity",
        ("MODEL",),
        "Shows the accuracy with each group of channels pruned alone.",
        """
Nothing is trained. Groups whose accuracy falls early should be pruned less.
""",
        """
tfprune sensitivity model.keras --data=validation.npz
tfprune sensitivity model.keras --data=validation.npz --ratios=0.25,0.5,0.75 \\
    --groups="stage1_*" --plot=sensitivity.png
tfprune sensitivity prices.keras --data=validation.npz \\
    --metric=neg_mean_absolute_error
""",
        (
            lambda values: options.data(values, "To measure accuracy on"),
            options.metric,
            options.curves,
            options.reading,
        ),
        flag_checks.sensitivity,
        "tfprune.cli.actions:sensitivity",
    ),
    Command(
        "search",
        ("MODEL",),
        "Searches for how much to prune each group of channels.",
        """
Each trial is inference on the data, without training; use samples that are in
neither the training nor the test set. With --recalibrate and --reconstruct, a
few hundred inputs each, trials are much more informative. No trial exceeds the
budget. With --checkpoint, a stopped search resumes.
""",
        """
tfprune search model.keras --data=val.npz --macs=0.5 --out=small.keras
tfprune search model.keras --data=val.npz --ram_bytes=40000 \\
    --strategy=evolution --recalibrate=x.npy --reconstruct=x.npy \\
    --out=small.keras --plot=search.png
""",
        (
            lambda values: options.out(values, "the best model"),
            options.limits,
            options.search,
            options.groups,
            options.layers,
            options.reading,
        ),
        flag_checks.search,
        "tfprune.cli.actions:search",
    ),
    Command(
        "boards",
        (),
        "Lists boards: memory, core, and how much a model may use.",
        "Each name is a value of --board.",
        "tfprune boards --format=markdown",
        (),
        flag_checks.nothing,
        "tfprune.cli.compress_command:boards",
        light=True,
    ),
    Command(
        "criteria",
        (),
        "Lists the criteria that score channels: paper, required data, cost.",
        "Each name is a value of --criterion.",
        "tfprune criteria --format=markdown",
        (),
        flag_checks.nothing,
        "tfprune.cli.listing:criteria",
        light=True,
    ),
)
