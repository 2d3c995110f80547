"""Arrays in files of others: whole, or refused in one line."""

import io
import pathlib
import pickle
import struct
import zipfile
from unittest import mock

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.core.files import array_files


def npy(shape="(3,)", dtype="<f8", body=bytes(24)):
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}}}"
    head = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + body


class ArrayFilesTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.create_tempdir().full_path) / "file"

    def refused(self, data, reason):
        self.path.write_bytes(data)
        with self.assertRaisesRegex(ValueError, reason) as caught:
            array_files.read(self.path)
        self.assertNotIn("\n", str(caught.exception))

    @parameterized.parameters(
        (np.arange(6).reshape(2, 3),),
        (np.asfortranarray(np.arange(6.0).reshape(2, 3)),),
        (np.array(3.5),),
        (np.zeros((0, 4)),),
        (np.array(["ab", "c"]),),
        (np.array([True]),),
        (np.array([(1, 2.0)], [("a", "<i4"), ("b", "<f8")]),),
        (np.arange(3, dtype=">i2"),),
    )
    def test_as_numpy_reads_them(self, array):
        buffer = io.BytesIO()
        for save in (np.save, np.savez, np.savez_compressed):
            buffer = io.BytesIO()
            save(buffer, array)
            self.path.write_bytes(buffer.getvalue())
            found = array_files.read(self.path)
            found = found["arr_0"] if isinstance(found, dict) else found
            self.assertEqual(found.dtype, array.dtype)
            np.testing.assert_array_equal(found, array, strict=True)
            self.assertEqual(found.flags.f_contiguous, array.flags.f_contiguous)

    @parameterized.parameters(
        (b"", "is none"),
        (b"hello", "is none"),
        (b"\x93NUMPY", "damaged: .*EOF"),
        (b"\x93NUMPY\1\0\5\0{{{{\n", "damaged: .*TokenError"),
        (npy("(2**40,)"), "damaged"),
        (npy("(1099511627776,)"), "claims an array of shape .1099511627776,."),
        (npy("(-3,)"), "claims"),
        (npy(body=bytes(23)), "24 bytes, and has 23"),
        (npy(body=bytes(25)), "24 bytes, and has 25"),
        (npy(dtype="|O", body=pickle.dumps([1])), "holds objects"),
        (b"PK\3\4", "damaged: .*BadZipFile"),
    )
    def test_damaged_or_hostile(self, data, reason):
        self.refused(data, reason)

    def zipped(self, **entries):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in entries.items():
                archive.writestr(name.replace("__", "."), data)
        return buffer.getvalue()

    def test_archives(self):
        self.refused(self.zipped(x__npy=npy("(9,)")), "claims")
        self.refused(self.zipped(config__json=b"{}"), "is none")
        swollen = self.zipped(x__npy=bytes(1 << 20))
        with mock.patch.object(array_files, "_SLACK", 1000):
            self.refused(swollen, "would become 1,048,576 when unpacked")

    def test_a_full_disk_is_said(self):
        path = self.path.with_name("x.npy")
        short = OSError("1024 requested and 992 written")
        with mock.patch.object(np, "save", side_effect=short):
            with self.assertRaisesRegex(OSError, "No space left .*x.npy"):
                array_files.save(path, np.zeros(9))
        with self.assertRaisesRegex(FileNotFoundError, "none"):
            array_files.save(path.parent / "none" / "x.npy", np.zeros(9))
        array_files.save(path, np.arange(9))
        self.assertEqual(array_files.read(path).tolist(), [*range(9)])

    def test_a_checksum_that_is_wrong(self):
        buffer = io.BytesIO()
        np.savez(buffer, x=np.full(9, 7, np.uint8))
        data = buffer.getvalue().replace(b"\7" * 9, b"\7" * 8 + b"\6")
        self.refused(data, "CRC")


if __name__ == "__main__":
    absltest.main()
