from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy import calls


def part(*args, **kwargs):
    return args, kwargs


def entry(kind, **config):
    return {"class_name": kind, "name": "layer", "config": config}


class CallTest(parameterized.TestCase):
    def test_arguments_that_are_none_are_left_out(self):
        found = calls.call(part, entry("Dense"), ["x"], {"mask": None})
        self.assertEqual(found, (("x",), {}))

    @parameterized.parameters(
        *("LSTM", "CuDNNLSTM", "LSTMV2", "UnifiedLSTM", "CuDNNGRU"),
        *("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
    )
    def test_states_come_in_the_list_of_inputs(self, kind):
        self.assertTrue(calls.has_states(entry(kind), [["x", "h", "c"]], {}))
        found = calls.call(part, entry(kind), [["x", "h", "c"]], {})
        self.assertEqual(found, (("x",), {"initial_state": ["h", "c"]}))

    def test_other_layers_keep_their_list(self):
        found = calls.call(part, entry("Add"), [["x", "y"]], {})
        self.assertEqual(found, ((["x", "y"],), {}))

    def test_constants_are_refused(self):
        with self.assertRaisesRegex(ValueError, "constants for layer 'layer'"):
            calls.call(part, entry("RNN", num_constants=1), [["x", "h"]], {})

    def test_causal_attention(self):
        _, kwargs = calls.call(part, entry("Attention", causal=True), [1], {})
        self.assertEqual(kwargs, {"use_causal_mask": True})
        _, kwargs = calls.call(part, entry("Dense", causal=True), [1], {})
        self.assertEqual(kwargs, {})


class AxesTest(parameterized.TestCase):
    @parameterized.parameters(
        # Channels first to last, and back.
        ("Conv2D", {}, ((2, 3, 1), (3, 1, 2))),
        ("MaxPooling1D", {}, ((2, 1), (2, 1))),
        ("GlobalAveragePooling2D", {}, ((2, 3, 1), None)),
        (
            "GlobalAveragePooling2D",
            {"keepdims": True},
            ((2, 3, 1), (3, 1, 2)),
        ),
        ("ConvLSTM2D", {}, ((1, 3, 4, 2), (3, 1, 2))),
        (
            "ConvLSTM2D",
            {"return_sequences": True},
            ((1, 3, 4, 2), (1, 4, 2, 3)),
        ),
        ("BatchNormalization", {}, None),
    )
    def test_axes_around_a_layer(self, name, config, expected):
        config = {"data_format": "channels_first", **config}
        self.assertEqual(calls.axes(name, config), expected)

    def test_channels_last_needs_none(self):
        config = {"data_format": "channels_last"}
        self.assertIsNone(calls.axes("Conv2D", config))


if __name__ == "__main__":
    absltest.main()
