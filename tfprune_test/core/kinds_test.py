"""Checks of what kind of thing an argument is."""

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.core import kinds

X = np.zeros((4, 4))


class KindsTest(parameterized.TestCase):
    @parameterized.parameters(
        (None, "it=None"),
        ("text", "it='text'"),
        (X, "it of type ndarray"),
        (object(), "it of type object"),
    )
    def test_what_was_given_is_told_shortly(self, value, told):
        self.assertEqual(kinds.told("it", value), told)
        with self.assertRaisesRegex(
            TypeError, f"`it` must be a list. Received: {told}. Make one."
        ):
            kinds.check("it", value, list, "Make one.")

    @parameterized.parameters(None, 1, 1e5, np.int64(7), np.float32(8))
    def test_bytes(self, limit):
        kinds.check_bytes(flash_bytes=limit)

    @parameterized.parameters(
        *(0, -3, 2.5, 0.5, float("nan"), float("inf"), True, "1k", ([64],)),
    )
    def test_no_bytes(self, limit):
        with self.assertRaisesRegex(ValueError, "Received: ram_bytes"):
            kinds.check_bytes(flash_bytes=64, ram_bytes=limit)

    def test_a_path_of_a_file_or_a_folder(self):
        with self.assertRaisesRegex(TypeError, "path of a file.*out=3. Go."):
            kinds.check_path("out", 3, "Go.")
        with self.assertRaisesRegex(TypeError, "path of a folder.*out=None"):
            kinds.check_path("out", None, "Go.", "folder")

    @parameterized.parameters(
        ("conv*", ("conv*",)), (["a", "b"], ("a", "b")), ([], ())
    )
    def test_names(self, given, names):
        self.assertEqual(kinds.names("skip", given), names)

    @parameterized.parameters(3, None, ([1, 2],), object())
    def test_no_names(self, given):
        with self.assertRaisesRegex(ValueError, "Received: skip="):
            kinds.names("skip", given)


if __name__ == "__main__":
    absltest.main()
