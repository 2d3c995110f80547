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


def built(*entries, last, shape=(None, 4), version="2"):
    builder = building.Builder(version=version)
    found = builder.model(config(*entries, last=last, shape=shape))
    return found.layers[0], builder.notes


def mean(x, counts, axis=1):
    """The mean of the steps that count, zero without any."""
    counts = np.asarray(counts)[..., None]
    return (x * counts).sum(axis) / np.maximum(counts.sum(axis), 1e-7)


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

    @parameterized.parameters(
        ("Bidirectional", 6, {"merge_mode": None}),
        ("Bidirectional", 5, {}),
        ("RNN", 5, {}),
    )
    def test_all_states_of_a_layer_may_be_outputs(self, kind, count, settings):
        def lstm(name, cls="LSTM"):
            return {"class_name": cls, "config": {"name": name, "units": 2}}

        if kind == "RNN":
            cells = [lstm(name, "LSTMCell") for name in "ab"]
            settings["cell"] = {
                "class_name": "StackedRNNCells",
                "config": {"cells": cells},
            }
            settings |= {"return_state": True, "return_sequences": True}
        else:
            settings["layer"] = lstm("inner")
            settings["layer"]["config"] |= {
                "return_state": True,
                "return_sequences": True,
            }
        old = config(
            embedding("embed"),
            entry("rnn", kind, after("embed"), **settings),
            last="rnn",
            shape=(None, 4),
        )
        outputs = [["rnn", 0, index] for index in range(count)]
        old["config"]["output_layers"] = outputs
        (model,) = building.Builder().model(old).layers
        self.assertLen(model(IDS), count)


class MergesTest(parameterized.TestCase):
    def told(self, *names):
        _, notes = built(
            embedding("a"),
            embedding("b"),
            embedding("open", masked=False),
            entry("c", "Dense", after("a"), units=3),
            entry("sum", "Add", after(*names)),
            last="sum",
        )
        return "sum: its mask is not that of Keras 2" in notes

    def test_another_mask_of_an_output_is_told(self):
        self.assertTrue(self.told("a", "b"))
        self.assertTrue(self.told("b", "c"))
        self.assertTrue(self.told("a", "open"))

    def test_the_same_mask_is_not(self):
        self.assertFalse(self.told("a", "c"))

    @parameterized.product(
        kind=["Add", "Concatenate"],
        names=[("a", "open"), ("open", "a"), ("a", "masked"), ("a", "a")],
    )
    def test_a_step_counts_if_all_masks_say_so(self, kind, names):
        model, notes = built(
            embedding("a"),
            embedding("open", masked=False),
            entry("masked", "Masking", after("open"), mask_value=0.0),
            entry("both", kind, after(*names)),
            entry("mean", "GlobalAveragePooling1D", after("both")),
            last="mean",
        )
        tables = {
            name: np.arange(15.0).reshape(5, 3) + shift
            for name, shift in (("a", 1), ("open", -20))
        }
        tables["open"][3] = 0
        for layer in model.layers:
            if layer.name in tables:
                layer.set_weights([tables[layer.name]])
        tables["masked"] = tables["open"]
        one, other = (tables[name][IDS] for name in names)
        counts = IDS > 0
        if "masked" in names:
            counts = counts & (IDS != 3)
        both = one + other if kind == "Add" else np.concatenate([one, other], 2)
        np.testing.assert_allclose(model(IDS), mean(both, counts), rtol=1e-6)
        self.assertEmpty(notes)

    def test_attention_to_a_sum(self):
        model, _ = built(
            embedding("a"),
            embedding("place", masked=False),
            entry("sum", "Add", after("a", "place")),
            entry(
                "attention",
                "MultiHeadAttention",
                [[["sum", 0, 0, {"value": ["sum", 0, 0]}]]],
                num_heads=2,
                key_dim=3,
            ),
            last="attention",
            version="2.11.0",
        )
        padded = np.asarray(model(np.array([[3, 4, 0, 0]])))[0, :2]
        x = model.get_layer("a").get_weights()[0][[3, 4]]
        x = x + model.get_layer("place").get_weights()[0][[3, 4]]
        wanted = model.get_layer("attention")(x[None], x[None])[0]
        np.testing.assert_allclose(padded, wanted, rtol=1e-4, atol=1e-6)

    def test_a_residual_sum_around_attention(self):
        def attention(name, source):
            node = [[[source, 0, 0, {"value": [source, 0, 0]}]]]
            return entry(
                name, "MultiHeadAttention", node, num_heads=2, key_dim=3
            )

        model, _ = built(
            embedding("a"),
            attention("one", "a"),
            entry("sum", "Add", after("a", "one")),
            attention("two", "sum"),
            entry("mean", "GlobalAveragePooling1D", after("two")),
            last="mean",
            version="2.12.0",
        )
        found = model(np.array([[3, 4, 0, 0]]))
        x = model.get_layer("a").get_weights()[0][[3, 4]][None]
        y = x + np.asarray(model.get_layer("one")(x, x))
        wanted = np.asarray(model.get_layer("two")(y, y)).mean(1)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


class EndsTest(parameterized.TestCase):
    @parameterized.parameters(
        ("Identity", {}), ("Rescaling", {"scale": 1.0, "offset": 0.0})
    )
    def test_layers_behind_which_all_steps_count(self, kind, settings):
        layers = [
            embedding("a"),
            entry("end", kind, after("a"), **settings),
            entry("mean", "GlobalAveragePooling1D", after("end")),
        ]
        model, _ = built(*layers, last="mean")
        x = model.get_layer("a").get_weights()[0][IDS]
        np.testing.assert_allclose(model(IDS), x.mean(1), rtol=1e-5)
        layers[0]["config"]["batch_input_shape"] = [None, 4]
        found = building.Builder().model(
            {"class_name": "Sequential", "config": {"layers": layers}}, "old"
        )
        model = found.layers[0]
        x = model.get_layer("a").get_weights()[0][IDS]
        np.testing.assert_allclose(model(IDS), x.mean(1), rtol=1e-5)

    @parameterized.parameters(("2.9.0", False), ("2.10.0", True))
    def test_attention_knew_no_masks_at_first(self, version, knows):
        model, _ = built(
            embedding("a"),
            entry(
                "attention",
                "MultiHeadAttention",
                [[["a", 0, 0, {"value": ["a", 0, 0]}]]],
                num_heads=2,
                key_dim=3,
            ),
            entry("mean", "GlobalAveragePooling1D", after("attention")),
            last="mean",
            version=version,
        )
        x = model.get_layer("a").get_weights()[0][IDS]
        counts = IDS > 0 if knows else np.ones_like(IDS)
        mask = (counts[:, None] & counts[..., None]).astype(bool)
        y = model.get_layer("attention")(x, x, attention_mask=mask)
        wanted = mean(np.asarray(y), counts)
        np.testing.assert_allclose(model(IDS), wanted, rtol=1e-4, atol=1e-6)


class NestedTest(parameterized.TestCase):
    def built(self, *entries, last):
        inside = config(embedding("embed"), last="embed", shape=(None, 4))
        inside["config"]["name"] = "inside"
        inside |= {"name": "inside", "inbound_nodes": after("x")}
        return built(inside, *entries, last=last)

    def test_behind_a_model_all_steps_count_where_masks_end(self):
        model, notes = self.built(
            entry("end", "Rescaling", after("inside"), scale=1.0, offset=0.0),
            entry("mean", "GlobalAveragePooling1D", after("end")),
            last="mean",
        )
        table = model.get_layer("inside").get_weights()[0]
        wanted = table[IDS].mean(1)
        np.testing.assert_allclose(model(IDS), wanted, rtol=1e-5)
        self.assertEmpty(notes)

    @parameterized.parameters("rnn", "flat")
    def test_a_sum_with_what_a_model_masks_is_told(self, last):
        _, notes = self.built(
            entry("pool", "GlobalAveragePooling1D", after("inside")),
            entry("ids", "Dense", after("x"), units=3),
            entry("place", "Embedding", after("x"), input_dim=5, output_dim=3),
            entry("sum", "Add", after("inside", "place")),
            entry("flat", "Add", after("pool", "ids")),
            entry("rnn", "SimpleRNN", after("sum"), units=2),
            last=last,
        )
        # The pooled output has no mask any more.
        self.assertEqual(notes, ["sum: its mask is not that of Keras 2"])


class TimeDistributedTest(absltest.TestCase):
    def test_masks_of_words_and_of_sentences(self):
        table = embedding("embed")
        pool = entry("pool", "GlobalAveragePooling1D", [])
        layers = [
            entry("words", "TimeDistributed", after("x"), layer=table),
            entry("means", "TimeDistributed", after("words"), layer=pool),
            entry("mean", "GlobalAveragePooling1D", after("means")),
        ]
        layers[0]["config"]["batch_input_shape"] = [None, 3, 4]
        ids = np.stack([IDS, IDS[::-1], 0 * IDS], 1)
        builder = building.Builder()
        chain = {"class_name": "Sequential", "config": {"layers": layers}}
        chain = builder.model(chain, "old").layers[0]
        graph, _ = built(*layers, last="mean", shape=(None, 3, 4))
        for model in (graph, chain):
            x = model.get_layer("words").get_weights()[0][ids]
            means = mean(x, ids > 0, 2)
            wanted = mean(means, (ids > 0).any(2))
            np.testing.assert_allclose(model(ids), wanted, rtol=1e-5)


if __name__ == "__main__":
    absltest.main()
