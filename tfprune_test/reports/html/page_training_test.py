import types

import numpy as np
from absl.testing import absltest

from tfprune.reports.html import markup
from tfprune.reports.html import page as page_lib
from tfprune.reports.html import page_training


def training(*stages):
    return page_training.training(types.SimpleNamespace(stages=stages))


class TrainingTest(absltest.TestCase):
    def test_no_epochs_no_section(self):
        self.assertIsNone(training())
        self.assertIsNone(training(page_lib.Stage("dense", {})))

    def test_training_and_validation_share_a_panel(self):
        history = {"loss": [0.5, 0.25], "val_loss": [0.75, 0.5]}
        text = markup.text(training(page_lib.Stage("dense", history)))
        self.assertEqual(text.count("<figure"), 1)
        self.assertIn("loss over 2 epochs: training ends at 0.25", text)
        self.assertIn("validation ends at 0.5", text)

    def test_epochs_count_over_all_stages_and_hints_within_one(self):
        text = markup.text(
            training(
                page_lib.Stage("dense", {"loss": [3.0, 2.0]}),
                page_lib.Stage("fine-tuning", {"loss": [1.0]}),
            )
        )
        self.assertIn("loss over 3 epochs: training ends at 1", text)
        self.assertIn("fine-tuning, epoch 1", text)
        self.assertIn("dense, epoch 2", text)

    def test_a_metric_of_several_numbers_is_a_panel_for_each(self):
        history = {
            "loss": [1.0, None],
            "f1_score": [np.array([0.25, 0.5]), np.array([0.75, 1.0])],
            "val_f1_score": [[0.1, 0.2], [0.3, 0.4]],
            "lr": [np.array([0.1]), np.float32(0.1)],
        }
        text = markup.text(training(page_lib.Stage("dense", history)))
        self.assertEqual(text.count("<figure"), 4)
        self.assertIn(
            "f1_score 1 over 2 epochs: training ends at 1; validation ends at "
            "0.4.",
            text,
        )
        self.assertIn("loss over 2 epochs: training ends at nan", text)

    def test_a_metric_that_a_stage_lacks_is_a_dash(self):
        stage = types.SimpleNamespace(history={"loss": [1.0]})
        self.assertEqual(page_training._number(None, 0), "-")
        self.assertEqual(page_training._number([1.0], 1), "-")
        self.assertEqual(page_training._number([1.23456789], 0), "1.2346")
        self.assertEqual(page_training._length(stage), 1)


class Curves:
    """What `tfprune.sensitivity` measures, of two groups."""

    metric, dense = "accuracy", 0.9

    def __init__(self):
        self.points = [
            types.SimpleNamespace(
                ratio=ratio, value=value, channels=8, kept=4, name=name
            )
            for name, values in (("tough", (0.9, 0.85)), ("soft", (0.5, 0.1)))
            for ratio, value in zip((0.25, 0.625), values, strict=True)
        ]

    def text(self, value):
        return f"{value:.0%}"

    def curves(self):
        return {
            name: [p for p in self.points if p.name == name]
            for name in ("tough", "soft")
        }


class SensitivityTest(absltest.TestCase):
    def text(self, chance=None):
        page = types.SimpleNamespace(sensitivity=Curves(), chance=chance)
        return markup.text(page_training.sensitivity(page))

    def test_the_most_sensitive_group_comes_first(self):
        text = self.text()
        self.assertLess(text.index("<b>soft"), text.index("<b>tough"))
        self.assertIn("falls from 90% to 10% with 62.5% of soft removed", text)
        self.assertIn(">-62.5%<", text)

    def test_chance_is_drawn_if_it_is_known(self):
        self.assertNotIn("chance", self.text())
        self.assertIn("level chance", self.text(0.1))

    def test_no_measurements_no_section(self):
        page = types.SimpleNamespace(sensitivity=None, chance=None)
        self.assertIsNone(page_training.sensitivity(page))


if __name__ == "__main__":
    absltest.main()
