import dataclasses
import types

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import call as call_lib
from tfprune.graph import findings
from tfprune.graph import tensor

LAYERS = keras.layers


def built(layer, *shape):
    layer.build((None, *shape))
    return layer


@dataclasses.dataclass(frozen=True)
class Site:
    """Where a call stands in a model."""

    entry: dict
    live: object
    path: str = "net/a"
    keys: tuple = ("config", "layers", 5)
    node: int = 1


class CallTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.records = findings.Records()
        self.records.store.fresh(8)

    def call(self, live=None, config=(), args=None, kwargs=None, shapes=None):
        """A call on an image whose channels are 0 to 2."""
        if args is None:
            args = (self.tensor((None, 4, 4, 3), [0, 1, 2]),)
        site = Site({"config": dict(config)}, live)
        shapes = shapes or [(None, 4, 4, 6)]
        return call_lib.Call(site, args, kwargs or {}, shapes, self.records)

    def tensor(self, shape, labels, axis=-1):
        return tensor.Tensor(shape, tensor.on_axis(labels, len(shape), axis))

    def frozen(self):
        return [
            (labels.tolist(), reason)
            for labels, layer, reason in self.records.store.frozen
            if layer == "net/a"
        ]

    def test_its_tensors(self):
        x = self.tensor((None, 3), [0, 1, 2])
        y = self.tensor((None, 3), [3, 4, 5])
        call = self.call(args=([x, 7],), kwargs={"mask": None, "y": y})
        self.assertEqual(call.tensors, [x, y])
        self.assertIs(call.x, x)

    def test_an_argument_of_an_op(self):
        call = self.call(
            config={"axis": 1}, args=("a", "b"), kwargs={"axis": 2, "k": 3}
        )
        for position, name, value, keys in (
            (9, "axis", 1, ("config", "axis")),
            (0, "k", 3, ("inbound_nodes", 1, "kwargs", "k")),
            (1, "other", "b", ("inbound_nodes", 1, "args", 1)),
        ):
            self.assertEqual(call.argument(position, name), value)
            self.assertEqual(call.argument_keys(position, name), keys)
        self.assertEqual(call.argument(5, "none", default=8), 8)

    def test_the_channel_axis(self):
        self.assertEqual(self.call().channel_axis(), 3)
        first = {"data_format": "channels_first"}
        self.assertEqual(self.call(config=first).channel_axis(), 1)
        self.assertEqual(
            self.call().channel_axis(self.tensor((None, 3), [0])), 1
        )

    def test_channels_along_an_axis(self):
        call = self.call()
        self.assertEqual(call.channels(-1).tolist(), [0, 1, 2])
        # Along another axis no two differ: it is one channel, four times.
        self.assertEqual(call.channels(1).tolist(), [0] * 4)
        self.assertEqual(self.records.store.roots()[:3].tolist(), [0, 0, 0])

    def test_channels_that_differ_elsewhere_too_are_tied(self):
        x = tensor.Tensor((None, 2, 3), np.arange(6).reshape(1, 2, 3))
        call = self.call(args=(x,))
        self.assertEqual(call.channels(2).tolist(), [0, 1, 2])
        self.assertEqual(
            self.records.store.roots()[:6].tolist(), [0, 1, 2, 0, 1, 2]
        )

    def test_labels_of_an_output(self):
        call = self.call(shapes=[(None, 4, 4, 6), (None, 6)])
        labels = np.arange(6)
        self.assertEqual(call.spread(labels).shape, (1, 1, 1, 6))
        self.assertEqual(call.spread(labels, axis=1).shape, (1, 6, 1, 1))
        self.assertEqual(call.spread(labels, axis=-1, k=1).shape, (1, 6))

    def test_a_second_call_of_a_layer_makes_the_same_channels(self):
        layer = LAYERS.Dense(2)
        first = self.call(layer).fresh(2)
        self.assertEqual(self.call(layer).fresh(2).tolist(), first.tolist())
        other = self.call(layer).fresh(2, "state")
        self.assertEmpty(set(first) & set(other))
        self.assertEmpty(set(first) & set(self.call(LAYERS.ReLU()).fresh(2)))

    def test_bindings(self):
        layer = built(LAYERS.Dense(6), 4, 4, 3)
        call = self.call(layer)
        call.bind("kernel", 0, np.arange(3), "reads", input_axis=-1)
        call.bind("kernel", -1, np.arange(2, 8), "writes")
        call.bind("gamma", 0, np.arange(6))  # It has none.
        reads, writes = self.records.bindings
        self.assertIs(reads.variable, layer.kernel)
        self.assertEqual((reads.axis, reads.input_axis), (0, 3))
        self.assertEqual((writes.axis, writes.role), (1, "writes"))
        self.assertEqual(reads.layer, "net/a")
        np.testing.assert_array_equal(call.bound("kernel", 1), np.arange(2, 8))
        self.assertIsNone(call.bound("bias", 0))

    def test_a_rule_that_binds_too_few_channels(self):
        call = self.call(built(LAYERS.Dense(6), 4, 4, 3))
        with self.assertRaisesRegex(
            ValueError,
            r"layer='net/a', variable='kernel' of shape \(3, 6\), axis=1, 5 "
            "channels. Fix the rule of Dense",
        ):
            call.bind("kernel", 1, np.arange(5))

    def test_variables_by_their_path(self):
        lstm = built(LAYERS.LSTM(2), 5, 3)
        call = self.call(lstm)
        self.assertIs(
            call.variable("cell.recurrent_kernel"), lstm.cell.recurrent_kernel
        )
        self.assertIsNone(call.variable("cell.none"))
        stacked = LAYERS.RNN([LAYERS.LSTMCell(2), LAYERS.LSTMCell(3)])
        built(stacked, 5, 3)
        call = self.call(stacked)
        second = stacked.cell.cells[1].kernel
        self.assertIs(call.variable("cell.cells.1.kernel"), second)
        self.assertIsNone(call.variable("cell.cells.2.kernel"))

    def test_a_weight_beside_its_adapters(self):
        layer = built(LAYERS.Dense(6), 3)
        weight = layer.kernel
        layer.enable_lora(2)
        call = self.call(layer)
        self.assertIs(call.variable("kernel"), weight)
        call.gain("kernel")  # The adapters add to it: it is no gain.
        self.assertEqual(self.records.gains, {})

    def test_places_in_the_config(self):
        call = self.call()
        call.count("units", [0, 1])
        call.edit(("weights", 0), np.array([2, 3]), axis=1)
        units, weights = self.records.edits
        self.assertEqual(units.keys, ("config", "layers", 5, "config", "units"))
        self.assertEqual((units.labels.tolist(), units.axis), ([0, 1], None))
        self.assertEqual(weights.keys, ("config", "layers", 5, "weights", 0))
        self.assertEqual(weights.axis, 1)

    def test_all_of_it_is_frozen(self):
        x = self.tensor((None, 3), [0, 1, 2])
        y = self.tensor((None, 2), [3, 4])
        call = self.call(args=(x, y), shapes=[(None, 3), (None, 4, 5)])
        outputs = call.freeze_all("it is odd")
        self.assertEqual([o.shape for o in outputs], [(1, 1), (1, 1, 1)])
        made = [outputs[0].item(), outputs[1].item()]
        self.assertLen({*made, 0, 1, 2, 3, 4}, 7)
        self.assertEqual(
            self.frozen(),
            [
                *(([0, 1, 2], "it is odd"), ([3, 4], "it is odd")),
                *(([made[0]], "it is odd"), ([made[1]], "it is odd")),
            ],
        )

    def test_a_layer_without_a_rule_is_reported(self):
        layer = LAYERS.ReLU()
        self.records.whole[id(layer)] = "it keeps a state"
        self.call(layer).unknown("Odd")
        self.assertEqual(self.records.unknown, {"net/a": "Odd"})
        self.assertEqual(
            self.frozen()[0],
            ([0, 1, 2], "no rule for Odd, and it keeps a state"),
        )

    def test_outputs_that_mix_all_channels(self):
        self.assertFalse(self.call().mix(np.array([0, 1]), "a softmax"))
        self.assertEqual(self.frozen(), [([0, 1], "a softmax")])
        self.records = findings.Records(allow_inexact=True)
        self.assertTrue(self.call().mix(np.array([0, 1]), "a mean"))
        self.assertEqual(self.frozen(), [])
        self.assertEqual(self.records.inexact, ["net/a"])
        self.assertEqual(self.records.driven[0].tolist(), [0, 1])

    def test_a_layer_inside_of_this_one(self):
        inner = built(LAYERS.Dense(6), 3)
        outer = types.SimpleNamespace(layer=inner)
        config = {"layer": {"config": {"units": 6}}}
        x = self.tensor((None, 5, 3), [0, 1, 2])
        call = self.call(outer, config, args=(x,))
        entry, within = call.inside(
            prefix="layer.", args=(self.tensor((None, 3), [0, 1, 2]),)
        )
        self.assertEqual(entry, {"config": {"units": 6}})
        self.assertIs(within.live, inner)
        within.count("units", [0, 1])
        self.assertEqual(
            self.records.edits[0].keys,
            ("config", "layers", 5, "config", "layer", "config", "units"),
        )
        within.bind("kernel", 0, np.arange(3), "reads", input_axis=1)
        (binding,) = self.records.bindings
        self.assertEqual(binding.attribute, "layer.kernel")
        # The inner layer's axis 1 is the outer one's axis 2.
        self.assertEqual(binding.input_axis, 2)
        within.multiply_adds(7, np.arange(3))
        self.assertEqual(call.work[0][0], 7)


if __name__ == "__main__":
    absltest.main()
