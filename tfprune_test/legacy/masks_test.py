"""Masks in old models."""

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy import building
from tfprune_test.legacy.loading_test import after
from tfprune_test.legacy.loading_test import config
from tfprune_test.legacy.loading_test import entry

IDS = np.array([[3, 4, 0, 0], [1, 2, 3, 4]])


def embedding(name, masked=True):
    return entry(
        name,
        "Embedding",
        after("x"),
        input_dim=5,
        output_dim=3,
        mask_zero=masked,
    )


def built(*entries, last):
    builder = building.Builder()
    found = builder.model(config(*entries, last=last, shape=(None, 4)))
    return found.layers[0], builder.notes


class StatesTest(parameterized.TestCase):
    @parameterized.parameters("list", "argument")
    def test_padding_does_not_change_the_last_state(self, how):
        states = [["state", 0, 0, {}]]
        if how == "list":
            node = [["drop", 0, 0, {}], *states]
        else:
            node = [["drop", 0, 0, {"initial_state": ["state", 0, 0]}]]
        model, _ = built(
            embedding("embed"),
            entry("drop", "Dropout", after("embed"), rate=0.5),
            embedding("open", masked=False),
            entry("flat", "Flatten", after("open")),
            entry("state", "Dense", after("flat"), units=2),
            entry("rnn", "SimpleRNN", [node], units=2),
            last="rnn",
        )
        x = np.asarray(model.get_layer("embed")(IDS))
        flat = np.asarray(model.get_layer("open")(IDS)).reshape(2, -1)
        h = np.asarray(model.get_layer("state")(flat))
        own, recurrent, offset = model.get_layer("rnn").get_weights()
        for t in range(4):
            new = np.tanh(x[:, t] @ own + h @ recurrent + offset)
            h = np.where(IDS[:, t : t + 1] > 0, new, h)
        np.testing.assert_allclose(model(IDS), h, rtol=1e-5, atol=1e-6)

    def test_states_without_a_mask(self):
        node = [["embed", 0, 0, {}], ["state", 0, 0, {}]]
        model, _ = built(
            embedding("embed", masked=False),
            entry("flat", "Flatten", after("embed")),
            entry("state", "Dense", after("flat"), units=2),
            entry("rnn", "SimpleRNN", [node], units=2),
            last="rnn",
        )
        self.assertEqual(model(IDS).shape, (2, 2))


class MergesTest(absltest.TestCase):
    def told(self, *names):
        _, notes = built(
            embedding("a"),
            embedding("b"),
            embedding("open", masked=False),
            entry("c", "Dense", after("a"), units=3),
            entry("sum", "Add", after(*names)),
            last="sum",
        )
        return any(note.startswith("sum: a step counts") for note in notes)

    def test_different_masks_are_told(self):
        self.assertTrue(self.told("a", "b"))
        self.assertTrue(self.told("b", "c"))

    def test_the_same_mask_is_not(self):
        self.assertFalse(self.told("a", "c"))
        self.assertFalse(self.told("a", "open"))


if __name__ == "__main__":
    absltest.main()
