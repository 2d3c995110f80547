import contextlib
import types
from unittest import mock

from absl.testing import absltest

from tfprune.core import progress_bar
from tfprune.pipeline.result import measured
from tfprune.pipeline.result import progress


class ProgressTest(absltest.TestCase):
    def told(self, limit, ceilings, *calls, stopped=False):
        """The texts that were shown."""
        shown = []
        clock = types.SimpleNamespace(limit=limit, spent=30.0, stopped=stopped)
        live = mock.patch.object(
            progress_bar, "live", lambda _: contextlib.nullcontext(shown.append)
        )
        with live, progress.Progress(True, clock, "auc", ceilings) as found:
            for call in calls:
                found.tell(**call)
        return shown

    def test_where_a_run_is(self):
        (text,) = self.told(
            90.0,
            {"flash_bytes": 1000},
            {"stage": "training", "epoch": 3, "epochs": 9, "value": 0.5},
        )
        for part in ("training", "3 of 9", "0.5000", "1,000", "1.0 min"):
            self.assertIn(part, text)

    def test_the_latest_answer_stays_in_sight(self):
        numbers = {measured.FLASH: 1200, "MACs": 5000}
        _, text = self.told(
            None,
            {},
            {
                "stage": "answer",
                "value": 0.75,
                "numbers": numbers,
                "fits": False,
            },
            {"stage": "search"},
        )
        self.assertIn("auc 0.7500", text)
        self.assertIn("1,200", text)
        self.assertIn("too large", text)
        self.assertNotIn("time left", text)

    def test_time_is_never_below_zero(self):
        (text,) = self.told(10.0, {}, {"stage": "end"})
        self.assertIn("0.0 min", text)
        self.assertIn("(Ctrl-C to stop)", text)

    def test_ctrl_c_is_answered(self):
        (text,) = self.told(10.0, {}, {"stage": "end"}, stopped=True)
        self.assertIn("stopping (Ctrl-C again: at once)", text)


if __name__ == "__main__":
    absltest.main()
