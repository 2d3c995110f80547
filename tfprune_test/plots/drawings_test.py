import pathlib
import re
from xml.etree import ElementTree

import keras
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.plots import drawings
from tfprune_test import models

LAYERS = keras.layers
SVG = "{http://www.w3.org/2000/svg}"


def residual():
    def body(x):
        y = LAYERS.Conv2D(5, 3, padding="same", name='wide"one"')(x)
        return LAYERS.Add()([x, LAYERS.Conv2D(6, 1, name="back")(y)])

    return read.channel_graph(models.around(body))


class DrawingsTest(parameterized.TestCase):
    def test_arrows_are_the_layers_between_groups(self):
        graph = residual()
        names = [group.name for group in graph.groups]
        found = {
            (names[a], names[b]): layers
            for (a, b), layers in drawings.arrows(graph).items()
        }
        first = names[1]
        self.assertEqual(found[first, 'wide"one"'], ['wide"one"'])
        self.assertEqual(found['wide"one"', first], ["back"])

    @parameterized.parameters("g.dot", "g.gv", "g.mmd", "g.md")
    def test_every_group_is_a_box(self, name):
        graph = residual()
        path = pathlib.Path(self.create_tempdir().full_path) / name
        drawings.draw_groups(graph, path)
        text = path.read_text()
        self.assertLen(
            set(re.findall(r"^  (g\d+)[ \[]+", text, re.M)), len(graph.groups)
        )
        self.assertIn("kept: an input of the model", text)
        # Quotes in a name do not end a text, in a box or at an arrow.
        self.assertEqual(text.count("wide'one'"), 2)
        self.assertNotIn('wide"', text)
        arrow = " -> " if name.endswith(("dot", "gv")) else " --> "
        self.assertEqual(text.count(arrow), len(drawings.arrows(graph)))

    def test_a_picture_has_every_group_and_needs_no_drawer(self):
        graph = residual()
        path = pathlib.Path(self.create_tempdir().full_path) / "g.svg"
        drawings.draw_groups(graph, path)
        picture = ElementTree.parse(path).getroot()
        texts = ["".join(e.itertext()) for e in picture.iter(f"{SVG}text")]
        self.assertLen(list(picture.iter(f"{SVG}rect")), len(graph.groups))
        self.assertIn('wide"one"', texts)
        titles = [e.text for e in picture.iter(f"{SVG}title")]
        # There and back between the block's groups is one arrow.
        self.assertIn('wide"one"; back: back', titles)
        places = [
            (float(e.get("x")), float(e.get("y")))
            for e in picture.iter(f"{SVG}rect")
        ]
        self.assertLen(set(places), len(graph.groups))

    def test_a_backslash_in_a_name_does_not_hide_the_quote_behind_it(self):
        def body(x):
            return LAYERS.Conv2D(5, 3, name="last\\")(x)

        path = f"{self.create_tempdir().full_path}/g.dot"
        drawings.draw_groups(read.channel_graph(models.around(body)), path)
        for line in pathlib.Path(path).read_text().splitlines():
            left = re.sub(r'"(\\.|[^"\\])*"', "", line)
            self.assertNotIn('"', left)

    def test_names_are_no_tags_in_mermaid(self):
        def body(x):
            return LAYERS.Conv2D(5, 3, name="<b>a&lt;#35;")(x)

        path = f"{self.create_tempdir().full_path}/g.mmd"
        drawings.draw_groups(read.channel_graph(models.around(body)), path)
        text = pathlib.Path(path).read_text()
        self.assertIn('["#lt;b#gt;a#amp;lt;#35;35;<br/>5 channels"]', text)

    @parameterized.parameters("g.SVG", "g.Dot", "g.MD")
    def test_endings_may_be_in_capitals(self, name):
        graph = residual()
        folder = self.create_tempdir().full_path
        path, small = f"{folder}/{name}", f"{folder}/small{name.lower()}"
        self.assertEqual(drawings.draw_groups(graph, path), path)
        drawings.draw_groups(graph, small)
        texts = [pathlib.Path(p).read_text() for p in (path, small)]
        self.assertEqual(*texts)

    def test_other_files_are_refused(self):
        folder = self.create_tempdir().full_path
        with self.assertRaisesRegex(
            ValueError, "must end in .svg, .dot, .gv, .mmd"
        ):
            drawings.draw_groups(residual(), f"{folder}/groups.png")


if __name__ == "__main__":
    absltest.main()
