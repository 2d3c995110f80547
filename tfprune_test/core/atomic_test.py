import os
import pathlib
from unittest import mock

from absl.testing import parameterized

from tfprune.core import atomic


class FilesTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)

    def entries(self):
        return sorted(path.name for path in self.folder.iterdir())

    def test_all_files_are_written(self):
        atomic.write({self.folder / "a": b"1", self.folder / "b": b"22"})
        self.assertEqual(self.entries(), ["a", "b"])
        self.assertEqual((self.folder / "b").read_bytes(), b"22")

    def test_the_rights_are_those_of_any_new_file(self):
        atomic.write({self.folder / "a": b""})
        (self.folder / "b").touch()
        modes = {os.stat(path).st_mode for path in self.folder.iterdir()}
        self.assertLen(modes, 1)

    def test_a_failure_leaves_the_old_files_alone(self):
        (self.folder / "a").write_bytes(b"old")
        with self.assertRaises(TypeError):
            atomic.write({self.folder / "a": b"new", self.folder / "b": None})
        self.assertEqual(self.entries(), ["a"])
        self.assertEqual((self.folder / "a").read_bytes(), b"old")

    def test_missing_folders_are_made(self):
        atomic.write({self.folder / "a/b/c": b"1", self.folder / "a/d": b"2"})
        self.assertEqual((self.folder / "a" / "b" / "c").read_bytes(), b"1")
        self.assertEqual((self.folder / "a" / "d").read_bytes(), b"2")

    def test_a_failure_takes_new_folders_away(self):
        with self.assertRaises(TypeError):
            atomic.write(
                {self.folder / "a/b/c": b"new", self.folder / "a/d/e": None}
            )
        self.assertEmpty(self.entries())

    def test_a_folder_that_can_be_written(self):
        self.assertEqual(atomic.writable_folder(self.folder), self.folder)
        new = atomic.writable_folder(str(self.folder / "new"))
        self.assertEqual(new, self.folder / "new")
        self.assertEmpty(self.entries())
        (self.folder / "file").touch()
        with self.assertRaisesRegex(FileExistsError, "Received a file"):
            atomic.writable_folder(self.folder / "file")
        with self.assertRaisesRegex(FileNotFoundError, "Create"):
            atomic.writable_folder(self.folder / "missing" / "new")

    def test_checking_leaves_nothing_behind(self):
        path = atomic.writable(str(self.folder / "a.bin"))
        self.assertEqual(path, self.folder / "a.bin")
        self.assertEmpty(self.entries())

    def test_a_folder_is_no_file(self):
        with self.assertRaisesRegex(IsADirectoryError, "name of the file"):
            atomic.writable(self.folder)

    @parameterized.parameters("missing/a", "file/a")
    def test_the_folder_must_be_there(self, path):
        (self.folder / "file").touch()
        with self.assertRaisesRegex(FileNotFoundError, "Create"):
            atomic.writable(self.folder / path)

    def test_the_folder_must_be_writable(self):
        denied = PermissionError(13, "Permission denied")
        with mock.patch.object(atomic.tempfile, "mkstemp", side_effect=denied):
            with self.assertRaisesRegex(PermissionError, "Permission denied"):
                atomic.writable(self.folder / "a")
