"""What stands in a .keras file of Keras 2."""

import io
import json
import pathlib
import zipfile

import h5py
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy.formats import archives
from tfprune.legacy.layers import parts

_LOOKUP = "layers/integer_lookup/vocabulary.txt"


def layer(class_name, **config):
    return {"class_name": class_name, "config": config}


class ArchivesTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.create_tempdir().full_path
        self.path = pathlib.Path(folder, "model.keras")

    def test_vocabularies_and_weights_of_words(self):
        inner = layer("TextVectorization", vocabulary=None)
        nested = layer("Functional", layers=[inner])
        layers = [nested, layer("IntegerLookup", vocabulary=None)]
        place = "layers/functional/layers/text_vectorization"
        found = self.read(
            layers,
            [f"{place}/vars/idf_weights"],
            texts={f"{place}/vocabulary.txt": "b\na", _LOOKUP: "5\n7"},
        )
        nested, whole = found.entry["config"]["layers"]
        (words,) = nested["config"]["layers"]
        self.assertEqual(words["config"]["vocabulary"], ["b", "a"])
        self.assertEqual(words["config"]["idf_weights"], [0])
        self.assertEqual(whole["config"]["vocabulary"], [5, 7])
        self.assertEqual([name for name, _ in found.weights], ["idf_weights"])

    def test_weights_of_words_that_the_config_has(self):
        words = {"vocabulary": ["b", "a"], "idf_weights": [0.5, 2.0]}
        inner = layer("StringLookup", **words)
        # Those of the file begin with that of unknown words.
        found = self.read([inner], ["layers/string_lookup/vars/idf_weights"])
        (entry,) = found.entry["config"]["layers"]
        self.assertEqual(entry["config"], words)

    def read(
        self, layers, places, version="2.13.1", steps=None, texts=(), **entry
    ):
        """The names and numbers that are found.

        Args:
            layers: entries.
            places: where each array lies in the file; it holds its number.
            steps: where a count of steps lies.
            texts: `dict` from the names of assets to their texts.
        """
        data = io.BytesIO()
        with h5py.File(data, "w") as file:
            file.create_group("_layer_checkpoint_dependencies")
            for number, place in enumerate(places):
                file[place] = np.full(1, number)
            if steps:
                file[steps] = np.int32(-1)
        metadata = {} if version is None else {"keras_version": version}
        config = {
            "class_name": "Functional",
            "config": {"layers": layers},
            **entry,
        }
        with zipfile.ZipFile(self.path, "w") as archive:
            archive.writestr("metadata.json", json.dumps(metadata))
            archive.writestr("config.json", json.dumps(config))
            archive.writestr("model.weights.h5", data.getvalue())
            for name, text in dict(texts).items():
                archive.writestr(f"assets/{name}", text)
        return archives.read(self.path)

    def numbers(self, layers, places):
        found = self.read(layers, places)
        return [int(array[0]) for _, array in found.weights]

    def test_layers_of_one_class_are_counted(self):
        root = "_layer_checkpoint_dependencies"
        places = [f"{root}/dense_{i}/vars/0" for i in range(1, 12)]
        self.assertEqual(
            self.numbers(
                [layer("Dense")] * 12, [f"{root}/dense/vars/0", *places]
            ),
            list(range(12)),
        )

    def test_a_spectral_normalization_has_its_kernel_twice(self):
        root = "layers/spectral_normalization"
        places = [f"{root}/vars/0", f"{root}/vars/1"]
        places += [f"{root}/layer/vars/0", f"{root}/layer/vars/1"]
        inner = layer("Dense")
        self.assertEqual(
            self.numbers([layer("SpectralNormalization", layer=inner)], places),
            [2, 3, 1],
        )

    def test_cells_come_in_the_order_of_their_stack(self):
        cells = [layer("LSTMCell"), layer("GRUCell"), layer("LSTMCell")]
        stack = layer("StackedRNNCells", cells=cells)
        root = "layers/rnn/cell/cells"
        places = ["gru_cell", "lstm_cell", "lstm_cell_1"]
        places = [f"{root}/{place}/vars/0" for place in places]
        self.assertEqual(
            self.numbers([layer("RNN", cell=stack)], places), [1, 0, 2]
        )

    def test_cells_of_both_ways_and_of_a_layer_inside(self):
        first = [layer("LSTMCell"), layer("GRUCell")]
        ways = [
            layer("RNN", cell=layer("StackedRNNCells", cells=cells))
            for cells in (first, first[::-1])
        ]
        both = layer("Bidirectional", layer=ways[0], backward_layer=ways[1])
        timed = layer("TimeDistributed", layer=ways[0])
        roots = [
            "layers/bidirectional/forward_layer",
            "layers/bidirectional/backward_layer",
            "layers/time_distributed/layer",
        ]
        places = [
            f"{root}/cell/cells/{cell}/vars/0"
            for root in roots
            for cell in ("gru_cell", "lstm_cell")
        ]
        self.assertEqual(
            self.numbers([both, timed], places), [1, 0, 2, 3, 5, 4]
        )

    def test_a_model_that_is_a_class(self):
        entry = {"class_name": "Net", "config": {}}
        found = self.read([], ["layers/dense/vars/0"], **entry)
        self.assertEqual(found.entry["class_name"], "Net")

    def test_a_layer_without_weights_counts_too(self):
        root = "layers"
        self.assertEqual(
            self.numbers(
                [layer("ReLU"), layer("Dense"), layer("ReLU"), layer("Dense")],
                [f"{root}/dense_1/vars/0", f"{root}/dense/vars/0"],
            ),
            [1, 0],
        )

    def test_arrays_of_a_layer_are_ordered_as_numbers(self):
        places = [f"layers/dense/vars/{i}" for i in (10, 2, 0)]
        found = self.read([layer("Dense")], places)
        self.assertEqual([name for name, _ in found.weights], ["0", "2", "10"])
        self.assertEqual([int(a[0]) for _, a in found.weights], [2, 1, 0])

    def wrapper(self, name, rounded, output=False, activation="relu"):
        config = {"weight_attrs": rounded, "quantize_output": output}
        inner = layer("Any", name="inner", activation=activation)
        settings = {"class_name": "Any", "config": config}
        return layer(
            "QuantizeWrapperV2",
            name=name,
            layer=inner,
            quantize_config=settings,
        )

    def test_ranges_of_a_layer_that_trained_for_int8(self):
        # Arrays are numbers of their places; the count of steps is a scalar.
        root = "layers/quantize_wrapper_v2"
        cases = {
            # kernel, bias; kernel again; steps; ends of kernel and output.
            "conv": (["kernel"], False, "relu", 3, 1, "post_activation"),
            "softmax": (["kernel"], False, "softmax", 3, 1, "pre_activation"),
            # Frozen: the kernel once.
            "frozen": (["kernel"], False, "relu", 1, 1, "post_activation"),
            "add": ([], True, None, 0, 0, "output"),
            # gamma and beta train, moving statistics do not.
            "norm": ([], False, None, 2, 4, None),
        }
        for name, case in cases.items():
            rounded, output, activation, before, inside, kind = case
            after = 2 * len(rounded) + (2 if kind else 0)
            own = [f"{root}/vars/{i}" for i in range(before)]
            ends = [f"{root}/vars/{before + 1 + i}" for i in range(after)]
            inner = [f"{root}/layer/vars/{i}" for i in range(inside)]
            with self.subTest(name):
                found = self.read(
                    [self.wrapper("q", rounded, output, activation)],
                    [*own, *inner, *ends],
                    steps=f"{root}/vars/{before}",
                )
                names = [n for n, _ in found.weights]
                weights = [n for n in names if not n]
                wanted = {"conv": 2, "softmax": 2, "frozen": 2, "norm": 4}
                self.assertLen(weights, wanted.get(name, 0))
                what = [*rounded, *([kind] if kind else [])]
                self.assertEqual(
                    names[len(weights) :],
                    ["q/optimizer_step"]
                    + [f"q/{w}{e}" for w in what for e in ("_min", "_max")],
                )
                numbers = [int(np.ravel(a)[0]) for _, a in found.weights]
                first = before + inside
                self.assertEqual(
                    numbers[len(weights) + 1 :],
                    list(range(first, first + after)),
                )

    def test_ranges_of_inputs(self):
        places = [f"layers/quantize_layer/vars/{i}" for i in range(3)]
        found = self.read([layer("QuantizeLayer", name="a")], places)
        self.assertEqual(
            [name for name, _ in found.weights],
            ["a/a_min", "a/a_max", "a/_step"],
        )

    def test_the_layers_of_a_layer(self):
        root = "layers/multi_head_attention"
        kinds = ("_value", "_query", "_output", "_key")
        self.assertEqual(
            self.numbers(
                [layer("MultiHeadAttention")],
                [f"{root}/{kind}_dense/vars/0" for kind in kinds],
            ),
            [1, 3, 0, 2],  # query, key, value, output
        )
        root = "layers/stacked/cells"
        self.assertEqual(
            self.numbers(
                [layer("Stacked")],
                [f"{root}/cell_{i}/vars/0" for i in (10, 2, 1)],
            ),
            [2, 1, 0],
        )

    def test_models_and_wrapped_layers(self):
        inner = layer("Functional", layers=[layer("Dense"), layer("Dense")])
        root = "layers/time_distributed"
        self.assertEqual(
            self.numbers(
                [inner, layer("Conv2D"), layer("TimeDistributed", layer=inner)],
                [
                    "layers/functional/layers/dense_1/vars/0",
                    "layers/functional/layers/dense/vars/0",
                    "layers/conv2d/vars/0",
                    f"{root}/layer/layers/dense/vars/0",
                    f"{root}/layer/layers/dense_1/vars/0",
                ],
            ),
            [1, 0, 2, 3, 4],
        )

    def test_a_layer_that_is_in_a_model_inside_too(self):
        shared = layer("Dense", name="shared")
        own = layer("Dense", name="own")
        inner = layer("Sequential", name="inner", layers=[own, shared])
        self.assertEqual(
            self.numbers(
                [shared, layer("ReLU", name="relu"), inner],
                [
                    "layers/dense/vars/0",
                    "layers/sequential/layers/dense/vars/0",
                ],
            ),
            [0, 1, 0],
        )

    def test_which_of_two_models_a_layer_is_in_is_not_guessed(self):
        shared = layer("Dense", name="shared")
        models = [
            layer("Sequential", name=name, layers=[shared]) for name in "ab"
        ]
        places = ["sequential", "sequential_1"]
        self.assertEqual(
            self.numbers(
                [*models, shared],
                [f"layers/{place}/layers/dense/vars/0" for place in places],
            ),
            [0, 1],
        )

    @parameterized.parameters("3.0.5", None)
    def test_a_file_of_keras_3_is_none(self, version):
        self.assertIsNone(self.read([], [], version=version))

    def test_another_zip_file_is_none(self):
        with zipfile.ZipFile(self.path, "w") as archive:
            archive.writestr("a.txt", "")
        self.assertIsNone(archives.read(self.path))

    @parameterized.parameters(
        (None, None),
        ({}, None),
        ({"loss": "mse"}, None),
        (
            {"loss": "mse", "optimizer": "adam"},
            {"class_name": "adam", "config": {}},
        ),
        (
            {"optimizer": {"class_name": "SGD", "config": {"nesterov": True}}},
            {"class_name": "SGD", "config": {"nesterov": True}},
        ),
    )
    def test_how_it_was_compiled(self, config, optimizer):
        found = self.read([], [], compile_config=config)
        self.assertEqual(found.version, "2.13.1")
        if optimizer is None:
            self.assertIsNone(found.training)
        else:
            self.assertEqual(found.training["optimizer_config"], optimizer)
            self.assertEqual(found.training.get("loss"), config.get("loss"))

    @parameterized.parameters(
        ("Dense", "dense"),
        ("Conv2D", "conv2d"),
        ("Conv2DTranspose", "conv2d_transpose"),
        ("SeparableConv1D", "separable_conv1d"),
        ("LSTM", "lstm"),
        ("ConvLSTM2D", "conv_lstm2d"),
        ("LayerNormalization", "layer_normalization"),
        ("GlobalAveragePooling2D", "global_average_pooling2d"),
        ("PReLU", "p_re_lu"),
        ("my_package>MyBlock", "my_block"),
    )
    def test_the_name_of_a_class(self, name, expected):
        self.assertEqual(parts.snake(name), expected)


if __name__ == "__main__":
    absltest.main()
