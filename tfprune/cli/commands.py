"""What each command does, and how it explains itself."""

import dataclasses
import pathlib
from collections.abc import Callable

from tfprune.cli import checks
from tfprune.cli import compress_command
from tfprune.cli import options


@dataclasses.dataclass(frozen=True)
class Command:
    """One word after `tfprune`.

    Attributes:
        name: `str`, the word.
        paths: tuple of `str`, what the files after it are.
        summary: `str`, one line.
        text: `str`, what one should know before.
        examples: `str`, command lines.
        define: functions that define flags in an `absl.flags.FlagValues`.
        check: function from the paths and the flags to what it has read, a
            `dict`; it finds what is wrong before Keras is imported.
        run: `str`, where to find the function from the paths, the flags and
            that `dict` to the text to print.
        light: `bool`, whether it does its work without Keras.
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
        """Whether the library is to be imported for these files."""
        files = {pathlib.Path(path).suffix for path in paths}
        return not self.light and files != {checks.TFLITE}


COMMANDS = (
    Command(
        "inspect",
        ("MODEL",),
        "Shows what a model costs, and which channels can be removed.",
        """
Each row of the second table is a group of channels that go together; groups
that must stay say why. With --layers the costs of each layer follow. Of a
.tflite file the ops, inputs, outputs and weights are shown.
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
        checks.inspect,
        "tfprune.cli.actions:inspect",
    ),
    Command(
        "compress",
        ("MODEL",),
        "Finds the best network that fits: smaller, trained, as a file.",
        """
Channels go in rounds, with training in between; the int8 file is made and
measured, and cut again where it does not fit. The folder gets model.keras,
model.tflite, report.html and, for a board, C sources. Ctrl-C ends with the best
so far. Killed at any moment, the same command goes on where it was.
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
        "Removes the channels that score lowest, until a budget is met.",
        """
The result is a plain Keras model with fewer channels. It has lost accuracy:
train it again for some epochs with model.fit. The file that is read is never
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
        checks.prune,
        "tfprune.cli.actions:prune",
    ),
    Command(
        "strip",
        ("MODEL",),
        "Removes the channels that do not matter; the outputs stay the same.",
        """
For models with zeros in their weights, from tfprune or from any other tool:
channels that nobody reads are taken out. Without such zeros nothing changes.
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
        checks.strip,
        "tfprune.cli.actions:strip",
    ),
    Command(
        "export",
        ("MODEL",),
        "Writes a .tflite file, and a project for a microcontroller.",
        """
int8 needs typical inputs to measure ranges on. With --micro the file runs on
the TFLite Micro interpreter here, which tells the size of its tensor arena, and
a folder of C sources is written that compiles. With --data the accuracy of the
file is measured, with --vela what an Ethos-U takes. Where anything fails,
nothing is written.
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
        checks.export,
        "tfprune.cli.exporting:export",
    ),
    Command(
        "compare",
        ("DENSE", "SMALL"),
        "Shows two models side by side: their costs and their accuracy.",
        """
With data, the accuracy of both is measured: the share of samples whose
highest score is that of their class. With --layers each layer is compared.
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
        checks.compare,
        "tfprune.cli.actions:compare",
    ),
    Command(
        "sensitivity",
        ("MODEL",),
        "Shows the accuracy with each group of channels pruned alone.",
        """
Nothing is trained. Groups whose accuracy falls early are better left whole.
""",
        """
tfprune sensitivity model.keras --data=validation.npz
tfprune sensitivity model.keras --data=validation.npz --ratios=0.25,0.5,0.75 \\
    --groups="stage1_*" --plot=sensitivity.png
""",
        (
            lambda values: options.data(values, "To measure accuracy on"),
            options.curves,
            options.reading,
        ),
        checks.sensitivity,
        "tfprune.cli.actions:sensitivity",
    ),
    Command(
        "search",
        ("MODEL",),
        "Finds by trying how much of each group may go.",
        """
Each trial is inference on the data, without training; images that neither
training nor the test sees are best. With --recalibrate and --reconstruct,
some hundred inputs each, trials tell much more. No trial is above the budget.
With --checkpoint a search that was stopped goes on where it was.
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
        checks.search,
        "tfprune.cli.actions:search",
    ),
    Command(
        "boards",
        (),
        "Lists boards: memory, core, the share that a model may take.",
        "Each name is a value of --board.",
        "tfprune boards --format=markdown",
        (),
        checks.nothing,
        "tfprune.cli.compress_command:boards",
        light=True,
    ),
    Command(
        "criteria",
        (),
        "Lists what can score channels: paper, data that are needed, cost.",
        "Each name is a value of --criterion.",
        "tfprune criteria --format=markdown",
        (),
        checks.nothing,
        "tfprune.cli.listing:criteria",
        light=True,
    ),
)
