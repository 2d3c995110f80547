import numpy as np
from absl.testing import absltest

from tfprune.datasets import replays
from tfprune.datasets import samples


def generator(count):
    x = np.zeros((2, 1))
    for i in range(count):
        x += 1  # In place, as loaders that save memory do.
        yield x, np.full(2, i)


def read(data, limit=None):
    found = samples.batches(data, "a test", limit=limit, labels=True)
    return [(int(x[0, 0]), len(y)) for x, y in found]


class ReplayedTest(absltest.TestCase):
    def test_the_first_reading_comes_again(self):
        data = replays.replayed(generator(3))
        self.assertIs(replays.replayed(data), data)
        for _ in range(3):
            self.assertEqual(read(data), [(1, 2), (2, 2), (3, 2)])

    def test_limited_readings_go_on_as_long_as_there_is_more(self):
        data = replays.replayed(generator(3))
        self.assertEqual(read(data, 3), [(1, 2), (2, 1)])
        self.assertEqual(read(data, 3), [(3, 2)])
        self.assertEqual(read(data, 3), [(1, 2), (2, 1)])

    def test_a_generator_without_batches_stays_an_error(self):
        data = replays.replayed(iter(()))
        for _ in range(2):
            with self.assertRaisesRegex(ValueError, "Samples are needed"):
                read(data)

    def test_only_what_is_read_once_is_kept(self):
        x = np.zeros((2, 1))
        self.assertIs(replays.replayed(x), x)
        with self.assertRaisesRegex(ValueError, "read several times"):
            samples.check_repeatable(replays.replayed(generator(1)), "a test")


if __name__ == "__main__":
    absltest.main()
