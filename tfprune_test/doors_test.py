"""Things of the wrong kind, at every door that takes a thing."""

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

import tfprune

X = np.zeros((4, 4), "float32")


def model():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


class DoorsTest(parameterized.TestCase):
    @parameterized.parameters(
        lambda x: tfprune.scoring.channel_scores(x),
        lambda x: tfprune.surgery.removable(x),
        lambda x: tfprune.selection.choose(x, macs=0.5),
        lambda x: tfprune.selection.by_ratio(x, X, 0.5),
        lambda x: tfprune.selection.by_budget(x, X, tfprune.Budget(macs=0.5)),
        lambda x: tfprune.searches.PruningEnvironment(x, X, len),
        lambda x: tfprune.plots.draw_groups(x, "groups.svg"),
        lambda x: tfprune.reports.channel_strips(x),
        lambda x: tfprune.costs.Meter(x),
    )
    def test_a_model_is_no_graph(self, call):
        with self.assertRaisesRegex(TypeError, r"tfprune.channel_graph\(model"):
            call(model())

    @parameterized.parameters(
        lambda x: tfprune.surgery.apply(x),
        lambda x: tfprune.surgery.masked(x),
        lambda x: tfprune.surgery.reconstruct(x, X),
    )
    def test_a_model_is_no_cut(self, call):
        with self.assertRaisesRegex(TypeError, "must be a Cut"):
            call(model())

    @parameterized.parameters(
        lambda x: tfprune.export_micro(x, "folder"),
        lambda x: tfprune.evaluate_tflite(x, (X, X)),
        lambda x: tfprune.quantization_error(x, x, X),
        lambda x: tfprune.deploy.cycles(x, core="cortex-m4"),
    )
    def test_a_model_is_no_path(self, call):
        for value in (model(), 3):
            with self.assertRaisesRegex(TypeError, "tfprune.export_tflite"):
                call(value)

    @parameterized.parameters(
        lambda x: tfprune.plots.search_plot(x),
        lambda x: tfprune.plots.sensitivity_plot(x),
        lambda x: tfprune.plots.frontier_plot(x),
    )
    def test_a_model_is_no_result(self, call):
        with self.assertRaisesRegex(TypeError, "Received: .* Sequential"):
            call(model())

    def test_no_search_at_all(self):
        with self.assertRaisesRegex(ValueError, "At least one search"):
            tfprune.plots.search_plot([])


if __name__ == "__main__":
    absltest.main()
