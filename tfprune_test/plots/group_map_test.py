from xml.etree import ElementTree

from absl.testing import absltest

from tfprune.plots import group_map

SVG = "{http://www.w3.org/2000/svg}"


def drawn(boxes, arrows):
    return ElementTree.fromstring(group_map.drawn(boxes, arrows, "net"))


class DrawnTest(absltest.TestCase):
    def test_boxes_and_arrows(self):
        root = drawn(
            [(["stem", "16 channels"], False), (["a < b", "4"], True)],
            {(0, 1): "conv"},
        )
        texts = [t.text for t in root.iter(f"{SVG}text")]
        self.assertEqual(texts, ["stem", "16 channels", "a < b", "4"])
        self.assertLen(root.findall(f"{SVG}g[@class='kept']"), 1)
        titles = [t.text for t in root.iter(f"{SVG}title")]
        self.assertIn("conv", titles)

    def test_a_box_is_below_those_that_lead_to_it(self):
        places, width, height = group_map._layout(
            4, dict.fromkeys([(0, 1), (1, 2), (0, 2), (3, 2), (2, 0)])
        )
        rows = [y for _, y in places]
        self.assertEqual(rows[0], rows[3])
        self.assertLess(rows[0], rows[1])
        self.assertLess(rows[1], rows[2])
        self.assertTrue(all(0 <= x < width for x, _ in places))
        self.assertLess(max(rows), height)

    def test_no_row_is_wider_than_six_boxes_and_none_overlap(self):
        places, width, _ = group_map._layout(13, {})
        self.assertLen(set(places), 13)
        self.assertEqual(len({y for _, y in places}), 3)
        first = sorted(x for x, y in places if y == places[0][1])
        self.assertLen(first, 6)
        self.assertGreaterEqual(first[1] - first[0], 214)
        self.assertLessEqual(first[-1] + 214, width)

    def test_arrows_in_both_directions_are_one_with_two_heads(self):
        root = drawn(
            [(["a"], False), (["b"], False)], {(0, 1): "up", (1, 0): "down"}
        )
        (arrow,) = [
            path
            for path in root.iter(f"{SVG}path")
            if path.get("marker-end") is not None
        ]
        self.assertEqual(arrow.get("marker-start"), "url(#head)")
        self.assertIn(
            "up; back: down", [t.text for t in root.iter(f"{SVG}title")]
        )

    def test_a_layer_that_reads_and_writes_one_group(self):
        root = drawn([(["a"], False)], {(0, 0): "loop"})
        self.assertIn("loop", [t.text for t in root.iter(f"{SVG}title")])

    def test_long_names_are_cut_and_stay_whole_in_the_hint(self):
        root = drawn([(["x" * 40], False)], {})
        self.assertEqual(root.find(f".//{SVG}text").text, "x" * 28 + "…")
        self.assertEqual(root.find(f"{SVG}g/{SVG}title").text, "x" * 40)


if __name__ == "__main__":
    absltest.main()
