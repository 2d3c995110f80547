"""Everything that writes files, in odd places; run by `child.Child`."""

import ctypes
import json
import os
import pathlib
import stat
import subprocess
import tempfile

import numpy as np

_NO_ROOT = 1  # SECBIT_NOROOT of <linux/securebits.h>
_SET_SECURE_BITS = 28  # PR_SET_SECUREBITS of <sys/prctl.h>
_CAPABILITIES = 0x20080522  # of <linux/capability.h>, version 3
_NEW_MOUNTS = 0x00020000  # CLONE_NEWNS
OLD = b"old"
# More than any writer here needs to say, less than what it writes.
_FULL = "8k"


def prepare():
    """Imports what writers need; none of it starts threads yet."""
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    import tfprune

    for name in ("callbacks", "compress", "export_tflite", "recipes", "search"):
        getattr(tfprune, name)


def handle(request):
    """Writes once, and looks at what is there then.

    Args:
        request: `dict` with `folder` to work in, and in `options` the
            `writer` and the `place`, as in `trust_places`.

    Returns:
        `[said, sound]`: "written" or the error, and whether nothing of the
        old was lost and nothing half-written stays.
    """
    folder = pathlib.Path(request["folder"])
    options = request["options"]
    writer, place = options["writer"], options["place"]
    kind, ending = WRITERS[writer]
    work = kind()
    name = place.get("name", "result") + ending
    old = _BEFORE[writer]() if writer in _BEFORE else OLD
    here = _furnish(folder / "here", place, name, ending, old)
    path = here / name
    before = _look(path)
    _enter(folder, place)
    try:
        work(path)
        said = "written"
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    return [said, _is_sound(here, path, before, old, said, place)]


def _furnish(here, place, name, ending, old):
    """The folder of a place, with what stands there before."""
    here.mkdir(parents=True)
    path = here / name
    if "full" in place and not place.get("temporary"):
        _mount(here, "size=64k")
    if place.get("read_only"):
        _mount(here, "ro")
        return here
    at = place.get("at")
    if at == "link":
        (here / "led").write_bytes(old) if ending else (here / "led").mkdir()
        path.symlink_to("led")
    elif at == "device":
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    elif at == "pipe":
        os.mkfifo(path)
    elif ending and len(name) < 256:
        path.write_bytes(old)
        path.chmod(0o600 if at == "mode" else 0o644)
    if "full" in place and not place.get("temporary"):
        with open(here / "ballast", "wb") as file:
            free = os.statvfs(here).f_bavail * os.statvfs(here).f_frsize
            file.write(bytes(max(free - 4096, 0)))
    if "owner" in place:
        os.chown(here, place["owner"], place["owner"])
        here.chmod(place["mode"])
    return here


def _enter(folder, place):
    """Makes this process as the place has it."""
    for name in place.get("unset", ()):
        os.environ.pop(name, None)
    os.environ.update(place.get("set", {}))
    if place.get("temporary"):
        scratch = folder / "scratch"
        scratch.mkdir()
        _mount(scratch, "size=16k")
        os.environ["TMPDIR"] = str(scratch)
    if place.get("temporary") or "TMPDIR" in place.get("set", {}):
        tempfile.tempdir = None
    if "umask" in place:
        os.umask(place["umask"])
    if "owner" in place:
        _be_nobody_special()


def _mount(folder, options):
    """A disk of its own, which no other process sees."""
    system = ctypes.CDLL(None, use_errno=True)
    if system.unshare(_NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    for command in (
        ["mount", "--make-rprivate", "/"],
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
    ):
        subprocess.run(command, check=True, capture_output=True)


def _be_nobody_special():
    """Takes root's rights over the files of others from this process."""
    system = ctypes.CDLL(None, use_errno=True)
    head = (ctypes.c_uint32 * 2)(_CAPABILITIES, 0)
    none = (ctypes.c_uint32 * 6)()
    if system.prctl(_SET_SECURE_BITS, _NO_ROOT, 0, 0, 0) or system.capset(
        ctypes.byref(head), ctypes.byref(none)
    ):
        raise OSError(ctypes.get_errno(), "capset")


def _look(path):
    """What stands at a path: its kind, mode and target."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    target = os.readlink(path) if stat.S_ISLNK(found.st_mode) else None
    return [stat.S_IFMT(found.st_mode), stat.S_IMODE(found.st_mode), target]


def _is_sound(here, path, before, old, said, place):
    if any(p.name.startswith(".tfprune-") for p in here.rglob("*")):
        return False
    after = _look(path)
    if said != "written":
        # A folder that was made for nothing may stay, if it is empty.
        kept = after == before or (before is None and not _files(path))
        if before and (stat.S_ISREG(before[0]) or before[2] == "led"):
            kept &= path.is_dir() or path.read_bytes() == old
        return kept and "\n" not in said
    if before is not None:
        # The mode and the link that were there stay.
        return after == before and (path.is_dir() or path.read_bytes() != old)
    mode = after[1] & ~0o111
    return mode == (0o600 if place.get("umask") else 0o644)


def _files(path):
    return [p for p in path.rglob("*") if p.is_file() and p.stat().st_size]


def _model(widths=(6, 6)):
    import keras

    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 2))
    for i, width in enumerate(widths):
        x = keras.layers.Conv2D(width, 3, padding="same", name=f"conv{i}")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3, name="last")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, jit_compile=False)
    return model


def _data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 8, 8, 2)).astype("float32")
    return x, rng.integers(0, 3, 8)


def model_file():
    """A `.keras` file, as the commands write it."""
    from tfprune.cli import storage

    model = _model()
    return lambda path: storage.save_model(model, path)


def files():
    """A file of bytes."""
    from tfprune.core.files import atomic

    return lambda path: atomic.write({atomic.writable(path): b"x" * 20_000})


def backups():
    """The folder of `callbacks.Backup`."""
    import tfprune

    model, data = _model(), _data()

    def work(path):
        backup = tfprune.callbacks.Backup(path, delete_checkpoint=False)
        model.fit(*data, verbose=0, callbacks=[backup])

    return work


def search():
    """The checkpoint of a search."""
    import tfprune

    model, data = _model(), _data()
    return lambda path: tfprune.search(
        model,
        data,
        tfprune.Budget(macs=0.7),
        strategy="random",
        evaluations=2,
        checkpoint=path,
        progress=False,
    )


def _begun_search():
    """The checkpoint of a search that was stopped after its first trial."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "begun.json")
        search()(path)
        found = json.loads(path.read_text())
        found["accuracies"] = dict([*found["accuracies"].items()][:1])
        return json.dumps(found).encode()


def result():
    """The folder of a result of `compress`."""
    import keras

    import tfprune

    model, (x, y) = _model(), _data()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], jit_compile=False)
    return lambda path: tfprune.compress(
        model,
        (x, y),
        (x, y),
        tfprune.Budget(macs=0.6),
        out=path,
        epochs=1,
        export=False,
        recipe=tfprune.pipeline.Recipe(
            evaluations=2, selection=8, reconstruction=8
        ),
        progress=False,
    )


def stages():
    """The stages of PCAS."""
    import tfprune

    model, data = _model(), _data()
    return lambda path: tfprune.recipes.pcas(
        model,
        data,
        0.4,
        epochs=1,
        retrain_epochs=1,
        checkpoint_dir=path,
        compile_args={"jit_compile": False},
    )


def drawing():
    """A drawing of channel groups."""
    import tfprune

    graph = tfprune.channel_graph(_model((6,) * 12))
    return lambda path: tfprune.plots.draw_groups(graph, path)


def page():
    """The page of a report."""
    import tfprune

    page_ = tfprune.profile(_model()).page()
    return lambda path: page_.write(path)


def tflite():
    """A `.tflite` file of 8 bits."""
    import tfprune

    model, data = _model(), _data()[0]
    return lambda path: tfprune.export_tflite(model, path, "int8", data)


def firmware():
    """A folder of firmware."""
    import tfprune

    model, data = _model(), _data()[0]
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder, "model.tflite")
        tfprune.export_tflite(model, made, "int8", data)
        content = made.read_bytes()
    source = pathlib.Path(tempfile.mkdtemp(), "model.tflite")
    source.write_bytes(content)
    return lambda path: tfprune.export_micro(source, path)


# Only a search goes on from what stands there.
_BEFORE = {"search": _begun_search}
WRITERS = {
    "bytes": (files, ".bin"),
    "model": (model_file, ".keras"),
    "search": (search, ".json"),
    "drawing": (drawing, ".svg"),
    "page": (page, ".html"),
    "backups": (backups, ""),
    "tflite": (tflite, ".tflite"),
    "firmware": (firmware, ""),
    "result": (result, ""),
    "stages": (stages, ""),
}
