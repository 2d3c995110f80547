"""Pictures: the right cells in the right colour, whole files or none."""

import os
import pathlib
from unittest import mock

import keras
import matplotlib.figure
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from matplotlib import colors
from matplotlib import image

from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.plots import channel_plots
from tfprune.plots import style
from tfprune.reports import strips as strips_lib


def net():
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(6, 3, padding="same", name="stem")(inputs)
    y = keras.layers.Conv2D(6, 3, padding="same", name="branch")(x)
    x = keras.layers.GlobalAveragePooling2D()(x + y)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))


def made_by(graph, layer):
    """The channels that a layer makes."""
    return next(g.labels for g in graph.groups if layer in g.writers)


def pixels(path, color):
    """How many pixels of a picture have a colour."""
    picture = (image.imread(path)[..., :3] * 255).round()
    wanted = np.round(np.array(colors.to_rgb(color)) * 255)
    return int((picture == wanted).all(-1).sum())


class StripsTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.graph = read.channel_graph(net())
        self.keep = np.ones(self.graph.size, bool)
        self.keep[made_by(self.graph, "stem")[[1, 4]]] = False

    def test_coupled_layers_lose_the_same_channels(self):
        strips = strips_lib.channel_strips(self.graph, self.keep)
        self.assertEqual(
            [s.layer for s in strips], ["stem", "branch", "logits"]
        )
        for strip in strips[:2]:
            self.assertEqual(strip.kept.tolist(), [1, 0, 1, 1, 0, 1])
            self.assertFalse(strip.fixed.any())
        self.assertTrue(strips[2].fixed.all())

    def test_work_is_that_of_the_arithmetic(self):
        stem, branch, logits = strips_lib.channel_strips(self.graph, self.keep)
        self.assertEqual(stem.macs_before, 8 * 8 * 9 * 1 * 6)
        self.assertEqual(stem.macs_after, 8 * 8 * 9 * 1 * 4)
        self.assertEqual(branch.macs_after, 8 * 8 * 9 * 4 * 4)
        self.assertEqual((logits.macs_before, logits.macs_after), (18, 12))

    def test_a_layer_that_is_called_twice_has_one_strip(self):
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.Conv2D(6, 3, padding="same", name="stem")(inputs)
        shared = keras.layers.Conv2D(6, 3, padding="same", name="shared")
        graph = read.channel_graph(keras.Model(inputs, shared(shared(x))))
        strips = strips_lib.channel_strips(graph, np.ones(graph.size, bool))
        self.assertEqual([s.layer for s in strips], ["stem", "shared"])
        self.assertEqual(strips[1].macs_before, 2 * 8 * 8 * 9 * 6 * 6)


class PlotTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.graph = read.channel_graph(net())
        self.keep = np.ones(self.graph.size, bool)

    def draw(self, name, **options):
        path = self.folder / name
        channel_plots.channels_plot(self.graph, self.keep, path, **options)
        return path

    def test_removed_channels_are_drawn_as_such(self):
        whole = self.draw("whole.png")
        self.keep[made_by(self.graph, "stem")[:3]] = False
        half = self.draw("half.png")
        # Whole, only the legend shows the colour.
        self.assertLess(
            20 * pixels(whole, style.REMOVED),
            pixels(half, style.REMOVED),
        )
        self.assertLess(pixels(half, style.KEPT), pixels(whole, style.KEPT))
        fixed = pixels(whole, style.FIXED)
        self.assertAlmostEqual(
            pixels(half, style.FIXED), fixed, delta=fixed / 100
        )

    @parameterized.parameters(
        ("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")
    )
    def test_the_format_is_that_of_the_name(self, name, start):
        data = self.draw(name, title="[a] $title_").read_bytes()
        self.assertEqual(data[: len(start)], start)

    def test_two_models_give_the_picture_of_their_channels(self):
        self.keep[made_by(self.graph, "stem")[[0, 2, 5]]] = False
        self.draw("known.png", title="same")
        small = rebuild.shrink(self.graph, self.keep)
        figure = channel_plots.channels_plot(
            self.graph.model, small, self.folder / "found.png", title="same"
        )
        self.assertEqual(
            (self.folder / "found.png").read_bytes(),
            (self.folder / "known.png").read_bytes(),
        )
        self.assertIsInstance(figure, matplotlib.figure.Figure)

    def test_multiply_adds_need_the_sizes_of_the_inputs(self):
        inputs = keras.Input((None, None, 1))
        x = keras.layers.Conv2D(4, 3, name="first")(inputs)
        x = keras.layers.Conv2D(4, 3, name="second")(x)
        model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
        graph = read.channel_graph(model, (8, 8, 1))
        keep = np.ones(graph.size, bool)
        keep[made_by(graph, "first")[:2]] = False
        figure = channel_plots.channels_plot(graph, keep)
        # 36 * 9 * 4 and 16 * 9 * 16, half of both stay.
        self.assertIn("50% of the MACs", figure.get_suptitle())
        self.assertTrue(figure.axes[1].get_visible())
        figure = channel_plots.channels_plot(model, keep)
        self.assertNotIn("MACs", figure.get_suptitle())
        self.assertIn("2 of 4 removable channels", figure.get_suptitle())
        self.assertFalse(figure.axes[1].get_visible())

    def test_names_with_dollars_are_no_formulas(self):
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.Conv2D(4, 3, name="a$^{$")(inputs)
        self.graph = read.channel_graph(keras.Model(inputs, x, name="n$^{$"))
        self.keep = np.ones(self.graph.size, bool)
        self.assertIn("a$^{$", self.draw("a.svg").read_text())

    def test_without_a_path_nothing_is_written(self):
        figure = channel_plots.channels_plot(self.graph.model, self.keep)
        self.assertIsInstance(figure, matplotlib.figure.Figure)
        self.assertEmpty(os.listdir(self.folder))

    def test_a_failure_leaves_the_old_picture(self):
        path = self.draw("a.png")
        before = path.read_bytes()
        with mock.patch.object(os, "replace", side_effect=OSError("full")):
            with self.assertRaisesRegex(OSError, "full"):
                self.draw("a.png")
        self.assertEqual(path.read_bytes(), before)
        self.assertEqual(os.listdir(self.folder), ["a.png"])

    @parameterized.parameters(
        ("a.gif", ValueError, "must end in one of .png"),
        ("a", ValueError, "must end in one of .png"),
        ("none/a.png", FileNotFoundError, "folder"),
    )
    def test_a_wrong_name_is_refused(self, name, error, message):
        with self.assertRaisesRegex(error, message):
            self.draw(name)
        self.assertEmpty(os.listdir(self.folder))

    def test_a_keep_of_another_model_is_refused(self):
        self.keep = self.keep[:-1]
        with self.assertRaisesRegex(ValueError, "one boolean per channel"):
            self.draw("a.png")

    def test_a_model_without_channels_is_refused(self):
        inputs = keras.Input((8,))
        model = keras.Model(inputs, keras.layers.ReLU()(inputs))
        self.graph = read.channel_graph(model)
        self.keep = np.ones(self.graph.size, bool)
        with self.assertRaisesRegex(ValueError, "which has none"):
            self.draw("a.png")

    def test_without_matplotlib_the_extra_is_named(self):
        missing = mock.Mock(side_effect=ModuleNotFoundError("matplotlib"))
        with mock.patch("importlib.import_module", missing):
            with self.assertRaisesRegex(ImportError, r"tfprune\[plots\]"):
                self.draw("a.png")
        self.assertEmpty(os.listdir(self.folder))


if __name__ == "__main__":
    absltest.main()
