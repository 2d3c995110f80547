from absl.testing import absltest
from absl.testing import parameterized

from tfprune.selection import rounding


class RoundingTest(parameterized.TestCase):
    @parameterized.parameters(
        ({}, 5, 20, 5),
        ({"least": 7}, 5, 20, 7),
        ({"least": 7}, 5, 6, 6),
        ({"multiple": 4}, 5, 20, 8),
        ({"multiple": 4}, 5, 7, 7),
        ({"multiple": 4, "least": 9}, 5, 20, 12),
        ({"target": "cortex-m"}, 5, 20, 8),
        ({"target": "ethos-u55"}, 17, 64, 32),
        ({"target": "xnnpack"}, 17, 20, 20),
    )
    def test_up(self, kwargs, count, total, expected):
        self.assertEqual(rounding.Rounding(**kwargs).up(count, total), expected)

    @parameterized.parameters(
        ({"least": 0}, "min_channels=0"),
        ({"multiple": 2.5}, "channel_multiple=2.5"),
        ({"target": "z80"}, "one of cortex-m, .*target='z80'"),
        ({"target": "xnnpack", "multiple": 2}, "Give only one"),
    )
    def test_arguments(self, kwargs, message):
        with self.assertRaisesRegex(ValueError, message):
            rounding.Rounding(**kwargs)


if __name__ == "__main__":
    absltest.main()
