from absl.testing import absltest
from absl.testing import parameterized

from tfprune.pipeline import aims
from tfprune.pipeline.result import measured


def numbers(guess, real):
    return {measured.FLASH_PREDICTED: guess, measured.FLASH: real}


class AimsTest(parameterized.TestCase):
    @parameterized.parameters(
        # As predicted, or smaller.
        (1000, 1000, 500, 500),
        (1000, 900, 500, 500),
        # 100 bytes were not predicted.
        (1000, 1100, 500, 400),
        # 900 more would leave less than any network has: half as predicted.
        (1000, 1900, 950, 500),
        # That would be too little as well: the smallest one has to be tried.
        (1000, 1900, 300, 200),
        # Whether the smallest one can be as small, its file tells.
        (1000, 1100, 150, 200),
        (1000, 900, 150, 200),
    )
    def test_limits_of_a_search(self, guess, real, ceiling, aim):
        found = aims.Aims(numbers(guess, real)).of(
            {"flash_bytes": ceiling}, {"flash_bytes": 200}
        )
        self.assertEqual(found, {"flash_bytes": aim})

    def test_what_firmware_leaves_out_of_a_file_is_allowed_for(self):
        seen = numbers(1000, 850) | {measured.FILE: 1050}
        # 50 bytes were not predicted, and 200 are names.
        found = aims.Aims(seen).of({"flash_bytes": 500}, {"flash_bytes": 200})
        self.assertEqual(found, {"flash_bytes": 650})

    def test_without_a_file_limits_are_those_of_predictions(self):
        found = aims.Aims({measured.FLASH_PREDICTED: 1000})
        self.assertFalse(found)
        self.assertEqual(found.of({"macs": 7}, {"macs": 9}), {"macs": 7})

    def test_a_file_that_is_too_large_lowers_its_own_limit(self):
        found = aims.Aims(numbers(1000, 1000))
        found.learn(numbers(500, 560))
        ceilings = {"flash_bytes": 500, "macs": 70}
        least = {"flash_bytes": 10, "macs": 10}
        lower = found.lower(ceilings, ceilings, least, {"flash_bytes": 60})
        self.assertEqual(lower, {"flash_bytes": 440, "macs": 70})
        # It falls although the file now is as predicted.
        found.learn(numbers(440, 440))
        lower = found.lower(lower, ceilings, least, {"flash_bytes": 1})
        self.assertEqual(lower, {"flash_bytes": 439, "macs": 70})

    def test_the_smallest_network_is_too_large(self):
        found = aims.Aims(numbers(1000, 9000))
        ceilings, least = {"flash_bytes": 8000}, {"flash_bytes": 900}
        limits = found.of(ceilings, least)
        self.assertEqual(limits, least)
        found.learn(numbers(900, 8500))
        with self.assertRaisesRegex(
            ValueError,
            "within reach. Received: flash_bytes=8,000.*needs 8,500 bytes "
            r"\(int8 flash, measured\)",
        ):
            found.lower(limits, ceilings, least, {"flash_bytes": 500})


if __name__ == "__main__":
    absltest.main()
