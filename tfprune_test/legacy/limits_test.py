"""Files that are damaged or hostile end in one line, and end nothing else."""

import pathlib
import zipfile
from unittest import mock

import h5py
import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.legacy import limits
from tfprune.legacy import loading
from tfprune.legacy.formats import file_probe


def model():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


def saved(path):
    model().save(path)
    return path.read_bytes()


class LimitsTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def refused(self, path, reason):
        with self.assertRaisesRegex(
            ValueError, f"^The file is damaged: .*{reason}"
        ) as caught:
            loading.load_model(path)
        self.assertNotIn("\n", str(caught.exception))

    def zipped(self, **entries):
        path = self.folder / "model.keras"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("metadata.json", '{"keras_version": "3.0.0"}')
            for name, data in entries.items():
                archive.writestr(name.replace("__", "."), data)
        return path

    def hdf5(self, write):
        path = self.folder / "model.h5"
        with h5py.File(path, "w") as file:
            write(file)
        return path

    @parameterized.parameters(".keras", ".h5")
    def test_a_whole_file_is_opened(self, ending):
        path = self.folder / f"model{ending}"
        saved(path)
        self.assertIsNone(limits.check(path))
        self.assertLen(loading.load_model(path).weights, 2)

    @parameterized.product(
        ending=(".keras", ".h5"), keep=(0.2, 0.5, 0.9), zeros=(False, True)
    )
    def test_half_a_file(self, ending, keep, zeros):
        path = self.folder / f"model{ending}"
        data = saved(path)
        half = data[: int(keep * len(data))]
        path.write_bytes(half + bytes(len(data) - len(half)) * zeros)
        with mock.patch.object(limits, "_SECONDS", 1):
            self.refused(path, "")

    def test_an_archive_that_swells(self):
        text = b" " * (1 << 27)
        self.refused(self.zipped(config__json=text), "would take 134,217,728")
        self.refused(self.zipped(data__bin=text), "when unpacked")

    def test_an_archive_that_leads_outside(self):
        self.refused(self.zipped(**{"../a": b""}), "leads outside: '../a'")

    def test_a_checksum_that_is_wrong(self):
        path = self.folder / "model.keras"
        data = bytearray(saved(path))
        data[data.index(b'"Dense"')] ^= 1
        path.write_bytes(data)
        self.refused(path, "checksum of config.json")

    def test_arrays_that_are_larger_than_the_file(self):
        def write(file):
            file.create_dataset("x", (2**33,), "f8", chunks=(1024,))

        path = self.hdf5(write)
        self.refused(path, "array of shape .8589934592,., 68,719,476,736 byt")
        self.refused(
            self.zipped(model__weights__h5=path.read_bytes()), "8589934592"
        )

    def test_links_to_other_files(self):
        def link(file):
            file["x"] = h5py.ExternalLink("other.h5", "/")

        def external(file):
            file.create_dataset("x", (4,), "u1", external="/etc/hostname")

        for write in (link, external):
            self.refused(self.hdf5(write), "leads to another file")

    def test_groups_that_hold_each_other(self):
        def write(file):
            file.create_group("a")["b"] = file["/"]

        self.assertIsNone(limits.check(self.hdf5(write)))

    def test_the_limits_hold_where_the_file_passes(self):
        path = self.folder / "model.h5"
        saved(path)
        text = pathlib.Path(file_probe.__file__).read_text()
        for line, reason in (
            ("while True: pass", "takes too long"),
            ("bytearray(1 << 40)", "too much memory"),
        ):
            script = self.folder / f"{reason}.py"
            first = '    path = pathlib.Path(request["path"])'
            script.write_text(text.replace(first, f"    {line}\n{first}"))
            with (
                mock.patch.object(file_probe, "__file__", str(script)),
                mock.patch.object(limits, "_SECONDS", 1),
            ):
                self.refused(path, reason)

    def test_what_is_no_model_file(self):
        path = self.folder / "model.keras"
        path.write_bytes(b"text")
        self.refused(path, "neither an HDF5 file nor")

    def test_an_unknown_class_is_no_damage(self):
        @keras.saving.register_keras_serializable("gone")
        class Odd(keras.layers.Layer):
            pass

        path = self.folder / "model.keras"
        keras.Sequential([keras.Input((4,)), Odd()]).save(path)
        del keras.saving.get_custom_objects()["gone>Odd"]
        with self.assertRaisesRegex(ValueError, "must be known.*Odd.*Pass"):
            loading.load_model(path)

    @pytest.mark.slow  # A process that imports Keras.
    def test_a_process_of_its_own_opens_it(self):
        path = self.folder / "model.keras"
        original = model()
        original.save(path)
        found = loading.load_model(path, isolated=True)
        x = np.ones((2, 4), "float32")
        np.testing.assert_array_equal(found(x), original(x))
        with self.assertRaisesRegex(ValueError, "must not run code"):
            loading.load_model(path, allow_lambda=True, isolated=True)
        path.write_bytes(path.read_bytes()[:-100])
        with self.assertRaisesRegex(ValueError, "^The file is damaged: [^:]*$"):
            loading.load_model(path, isolated=True)
