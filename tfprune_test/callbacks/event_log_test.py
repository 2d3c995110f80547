"""Files of events: pictures and histograms as they are read again."""

import io

import numpy as np
import pytest
from absl.testing import absltest

from tfprune.callbacks import event_log

pytest.importorskip("tensorboard")


class EventLogTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        from tensorboard.backend.event_processing import event_accumulator

        self.folder = self.create_tempdir().full_path
        self.log = event_log.EventLog(self.folder)
        self.read = event_accumulator.EventAccumulator(self.folder)

    def test_numbers_come_back_at_their_steps(self):
        self.log.scalar("loss", 0.5, 3)
        self.log.scalar("loss", np.float64(0.25), 4)
        self.log.close()
        found = self.read.Reload().Scalars("loss")
        self.assertEqual(
            [(e.step, e.value) for e in found], [(3, 0.5), (4, 0.25)]
        )

    def test_histograms_count_what_is_finite(self):
        self.log.histogram("scores", np.array([0.0, 1.0, 3.0, np.inf]), 1)
        self.log.histogram("none", np.array([np.nan]), 1)
        self.log.close()
        (found,) = self.read.Reload().Histograms("scores")
        found = found.histogram_value
        self.assertEqual((found.min, found.max, found.num), (0.0, 3.0, 3))
        self.assertEqual((found.sum, found.sum_squares), (4.0, 10.0))
        self.assertEqual(sum(found.bucket), 3)
        self.assertEqual(found.bucket_limit[-1], 3.0)
        self.assertNotIn("none", self.read.Tags()["histograms"])

    def test_a_png_has_the_same_grey_values(self):
        image = pytest.importorskip("PIL.Image")
        pixels = np.random.default_rng(0).integers(0, 256, (5, 7), "uint8")
        with image.open(io.BytesIO(event_log.as_png(pixels))) as opened:
            np.testing.assert_array_equal(np.asarray(opened), pixels)


if __name__ == "__main__":
    absltest.main()
