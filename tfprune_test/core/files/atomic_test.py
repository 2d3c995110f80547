import contextlib
import os
import pathlib
import socket
import stat
from unittest import mock

from absl.testing import parameterized

from tfprune.core.files import atomic


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

    def test_a_folder_that_cannot_be_made_leaves_none(self):
        long = self.folder / "a" / "b" / ("n" * 300) / "c"
        with self.assertRaisesRegex(OSError, "Received: 300 bytes in 'nnn"):
            atomic.write({self.folder / "a" / "d": b"1", long: b"2"})
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

    def test_the_folder_must_be_there(self):
        (self.folder / "file").touch()
        with self.assertRaisesRegex(FileNotFoundError, "Create"):
            atomic.writable(self.folder / "missing" / "a")
        with self.assertRaisesRegex(NotADirectoryError, "file' is a file"):
            atomic.writable(self.folder / "file" / "a")

    def test_a_link_to_a_folder_that_is_not_there_yet(self):
        link = self.folder / "link"
        link.symlink_to("new")
        atomic.write({atomic.writable_folder(link) / "a": b"1"})
        self.assertEqual((self.folder / "new" / "a").read_bytes(), b"1")

    def test_folders_are_made_or_refused_by_name(self):
        atomic.make_folder(self.folder / "a" / "b")
        atomic.make_folder(self.folder / "a" / "b")
        self.assertTrue((self.folder / "a" / "b").is_dir())
        (self.folder / "file").touch()
        with self.assertRaisesRegex(FileExistsError, "Received a file"):
            atomic.make_folder(self.folder / "file")
        with self.assertRaisesRegex(NotADirectoryError, "must exist.*file/a"):
            atomic.make_folder(self.folder / "file" / "a")
        with self.assertRaisesRegex(OSError, "at most 255 bytes"):
            atomic.make_folder(self.folder / ("n" * 256))
        with self.assertRaisesRegex(OSError, "at most 255 bytes"):
            atomic.make_folder(self.folder / "new" / ("n" * 256))
        self.assertFalse((self.folder / "new").exists())

    def test_a_working_directory_that_is_gone(self):
        gone = self.folder / "gone"
        gone.mkdir()
        with contextlib.chdir(gone):
            gone.rmdir()
            with self.assertRaisesRegex(FileNotFoundError, "was removed"):
                atomic.writable("a")

    def test_a_pipe_without_a_name(self):
        for end in os.pipe():
            with self.assertRaisesRegex(OSError, "which is a pipe"):
                atomic.writable(f"/dev/fd/{end}")
            os.close(end)

    def test_the_folder_must_be_writable(self):
        denied = PermissionError(13, "Permission denied")
        with mock.patch.object(atomic.os, "open", side_effect=denied):
            with self.assertRaisesRegex(PermissionError, "Permission denied"):
                atomic.writable(self.folder / "a")

    def test_a_symbolic_link_is_followed(self):
        for name in ("old", "new"):
            (self.folder / f"link-{name}").symlink_to(name)
        (self.folder / "old").write_bytes(b"old")
        for name in ("old", "new"):
            link = atomic.writable(self.folder / f"link-{name}")
            atomic.write({link: b"2"})
            self.assertTrue(link.is_symlink())
            self.assertEqual((self.folder / name).read_bytes(), b"2")
        (self.folder / "loop").symlink_to("loop")
        with self.assertRaisesRegex(OSError, "points back to itself"):
            atomic.writable(self.folder / "loop")

    def test_a_file_keeps_its_mode(self):
        path = self.folder / "a"
        path.touch()
        path.chmod(0o600)
        atomic.write({path: b"1"})
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_what_is_no_file_is_refused(self):
        os.mkfifo(self.folder / "pipe")
        (self.folder / "link").symlink_to("pipe")
        folder = os.open(self.folder, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as unix:
            # Paths of sockets must be short.
            unix.bind(f"/proc/self/fd/{folder}/socket")
        os.close(folder)
        for path, kind in (
            (self.folder / "pipe", "a pipe"),
            (self.folder / "link", "a pipe"),
            (self.folder / "socket", "a socket"),
            ("/dev/null", "a device"),
        ):
            for call in (atomic.writable, lambda p: atomic.write({p: b"1"})):
                with self.assertRaisesRegex(OSError, f"which is {kind}"):
                    call(path)
        self.assertEqual(self.entries(), ["link", "pipe", "socket"])

    def test_what_is_no_path_is_refused(self):
        for path in (None, 3, b"file"):
            with self.assertRaisesRegex(TypeError, "file. Received: path"):
                atomic.writable(path)
            with self.assertRaisesRegex(TypeError, "folder. Received: path"):
                atomic.writable_folder(path)

    def test_names_as_long_as_the_system_allows(self):
        path = atomic.writable(self.folder / ("n" * 255))
        atomic.write({path: b"1"})
        self.assertEqual(path.read_bytes(), b"1")
        for long in ("n" * 256, "ü" * 128):
            with self.assertRaisesRegex(OSError, "at most 255 bytes.*256"):
                atomic.writable(self.folder / long)

    @parameterized.parameters("with space", "ümlaut", "new\nline", "-a", "'\"")
    def test_odd_names(self, name):
        folder = self.folder / name
        atomic.write({folder / name: b"1"})
        self.assertEqual(atomic.writable(folder / name).read_bytes(), b"1")

    def test_a_file_that_is_read_only_stays(self):
        (self.folder / "a").touch()
        with mock.patch.object(atomic.os, "access", return_value=False):
            with self.assertRaisesRegex(PermissionError, "read-only"):
                atomic.writable(self.folder / "a")

    def test_a_full_disk_is_told_of_and_changes_nothing(self):
        (self.folder / "a").write_bytes(b"old")
        full = OSError(28, "No space left on device")
        with mock.patch.object(atomic.os, "fsync", side_effect=full):
            with self.assertRaisesRegex(OSError, "needs free.*3 bytes"):
                atomic.write({self.folder / "a": b"new"})
        self.assertEqual(self.entries(), ["a"])
        self.assertEqual((self.folder / "a").read_bytes(), b"old")

    def test_room_is_asked_for_before_others_write(self):
        atomic.check_room(self.folder, 1000)
        with self.assertRaisesRegex(OSError, "needs free.*000,000,000 bytes"):
            atomic.check_room(self.folder, 10**18)
        self.assertEmpty(self.entries())

    def test_a_set_that_is_half_written_has_its_guard(self):
        main, other = self.folder / "main", self.folder / "other"
        atomic.write({main: b"old", other: b"old"})
        replace, seen = os.replace, []

        def watched(source, target):
            replace(source, target)
            seen.append((main.read_bytes(), other.read_bytes()))

        with mock.patch.object(atomic.os, "replace", watched):
            atomic.write({main: b"new", other: b"new"}, {main: b"guard"})
        self.assertEqual(
            seen, [(b"guard", b"old"), (b"guard", b"new"), (b"new", b"new")]
        )

    def test_a_folder_gets_its_name_when_it_is_whole(self):
        with atomic.new_folder(self.folder / "a") as part:
            (part / "file").write_bytes(b"1")
            self.assertFalse((self.folder / "a").exists())
        self.assertEqual((self.folder / "a/file").read_bytes(), b"1")
        with self.assertRaises(KeyboardInterrupt):
            with atomic.new_folder(self.folder / "b"):
                raise KeyboardInterrupt
        with self.assertRaises(OSError):
            with atomic.new_folder(self.folder / "a") as part:
                (part / "file").write_bytes(b"2")
        self.assertEqual((self.folder / "a/file").read_bytes(), b"1")
        self.assertEqual(self.entries(), ["a"])

    def test_parts_are_removed(self):
        (self.folder / ".tfprune-host-1-ab.part").mkdir()
        (self.folder / ".tfprune-host-1-cd.part").touch()
        (self.folder / "a").touch()
        atomic.remove_parts(self.folder)
        self.assertEqual(self.entries(), ["a"])
