import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.reports import quantities

Quantity = quantities.Quantity


class QuantityTest(parameterized.TestCase):
    def test_each_name_has_words_of_its_own(self):
        self.assertEqual(quantities.word("macs"), "MACs")
        self.assertEqual(quantities.word("my own"), "my own")
        words = list(quantities.WORDS.values())
        self.assertLen(set(words), len(words))
        self.assertLessEqual(set(quantities.SCORES), set(quantities.WORDS))

    @parameterized.parameters(
        (dict(before=9, after=7, limit=7), True),
        (dict(before=9, after=8, limit=7), False),
        (dict(before=9, limit=7), False),
        (dict(before=9, after=0, limit=7), True),
        (dict(after=0.8, limit=0.9, larger_is_better=True), False),
        (dict(after=0.9, limit=0.9, larger_is_better=True), True),
        (dict(before=9, after=7), None),
        (dict(limit=7), None),
    )
    def test_fits(self, given, expected):
        self.assertEqual(Quantity("macs", **given).fits, expected)

    @parameterized.parameters(
        (dict(before=200, after=50), "-75.0 %"),
        (dict(before=200, after=200), "+0.0 %"),
        (dict(before=200, after=0), "-100.0 %"),
        (dict(before=0.5, after=0.625, unit="ms"), "+25.0 %"),
        (dict(before=0.9, after=0.8875, unit="%"), "-1.25 points"),
        (dict(before=0.0, after=0.5, unit="%"), "+50.00 points"),
        (dict(before=0, after=5), ""),
        (dict(after=5), ""),
        (dict(before=5), ""),
    )
    def test_change(self, given, expected):
        self.assertEqual(Quantity("x", **given).change, expected)

    @parameterized.parameters(
        ("macs", "", 40_551_040, "40,551,040"),
        ("macs", "", np.int64(40_551_040), "40,551,040"),
        ("latency", "ms", 1.23456, "1.235 ms"),
        ("latency", "ms", 12, "12 ms"),
        ("accuracy", "%", 0.91234, "91.23 %"),
        ("accuracy", "%", 1, "100.00 %"),
        ("accuracy", "%", None, "-"),
        ("int8_flash_bytes", "bytes", 21_184, "21,184"),
        ("loss", "", 0.0000125, "1.25e-05"),
    )
    def test_text(self, name, unit, value, expected):
        self.assertEqual(Quantity(name, unit=unit).text(value), expected)


if __name__ == "__main__":
    absltest.main()
