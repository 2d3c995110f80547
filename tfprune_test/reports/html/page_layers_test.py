import types

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.reports.html import markup
from tfprune.reports.html import page_layers


def strip(layer, kept, fixed=None, **facts):
    kept = np.array(kept, bool)
    fixed = np.zeros(len(kept), bool) if fixed is None else np.array(fixed)
    facts = {
        "coupled": (),
        "read_by": (),
        "reasons": (),
        "guessed": False,
        **facts,
    }
    return types.SimpleNamespace(layer=layer, kept=kept, fixed=fixed, **facts)


def page(before, after=None, channels=()):
    sides = [
        None if side is None else types.SimpleNamespace(channels=side)
        for side in (before, after)
    ]
    return types.SimpleNamespace(
        before=sides[0], after=sides[1], channels=channels
    )


class ChannelsTest(parameterized.TestCase):
    @parameterized.parameters(
        ([1, 1, 0, 1], "M0 0h2v1h-2zM3 0h1v1h-1z"),
        ([0, 0], ""),
        ([1], "M0 0h1v1h-1z"),
    )
    def test_runs(self, where, expected):
        self.assertEqual(page_layers._runs(np.array(where, bool)), expected)

    def test_channels_that_must_stay_are_the_first_to_be_kept(self):
        fixed = np.array([False, False, True, False])
        found = page_layers._first(fixed, 2)
        self.assertEqual(found.tolist(), [True, False, True, False])

    def test_two_networks_tell_how_many_and_not_which(self):
        before = [strip("a", [1] * 4), strip("b", [1] * 3)]
        found = page_layers._kept(page(before, [strip("a", [1, 1])]))
        self.assertEqual(
            [(s.layer, k.sum()) for s, k in found], [("a", 2), ("b", 0)]
        )

    def test_channels_that_are_known_count(self):
        known = (strip("a", [0, 1, 1, 0]),)
        ((_, kept),) = page_layers._kept(page([], [], known))
        self.assertEqual(kept.tolist(), [False, True, True, False])

    def test_the_hint_of_a_strip(self):
        found = strip(
            "stem",
            [1, 1, 0, 0],
            [True, False, False, False],
            coupled=[f"c{i}" for i in range(7)],
            reasons=["its output"],
        )
        self.assertEqual(
            page_layers._story(found, found.kept).splitlines(),
            [
                "stem: 2 of 4 channels kept",
                "Coupled with: c0, c1, c2, c3, c4 and 2 more",
                "1 must stay: its output",
            ],
        )

    def test_guessed_channels_say_so(self):
        found = strip("a", [1, 0], guessed=True)
        self.assertEqual(page_layers._count(found, found.kept), "any 1 of 2")

    def test_coupled_layers_share_a_row(self):
        rows = [
            (strip("a", [1, 0], coupled=("b",)), np.array([True, False])),
            (strip("b", [1, 0], coupled=("a",)), np.array([True, False])),
        ]
        text = markup.text(page_layers._together(rows))
        self.assertEqual(text.count("a, b"), 1)

    def test_each_set_of_a_layer_has_a_row(self):
        def rows(layer, other):
            for reader in ("x", "y"):
                found = strip(layer, [1], coupled=other, read_by=(reader,))
                yield found, found.kept

        for others in ((), ("b",)):
            found = [*rows("a", others), *(rows("b", "a") if others else ())]
            text = markup.text(page_layers._together(found))
            self.assertEqual(text.count("1 of 1"), 2)
            self.assertIn(">x</td>", text)

    def test_a_page_without_channels_has_no_section(self):
        self.assertIsNone(page_layers.channels(page([])))


if __name__ == "__main__":
    absltest.main()
