"""Graphs, endings, archives and compiled models in old files."""

import json
import zipfile

import h5py
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy import loading
from tfprune_test.legacy.old_files import OldFileTest
from tfprune_test.legacy.old_files import clipped
from tfprune_test.legacy.old_files import layer
from tfprune_test.legacy.old_files import sequential
from tfprune_test.legacy.old_files import write
from tfprune_test.legacy.old_files import write_quantized


class ReadingTest(OldFileTest):
    def test_an_op_of_tensorflow(self):
        config = {
            "class_name": "Model",
            "config": {
                "name": "old",
                "layers": [
                    {
                        "class_name": "InputLayer",
                        "name": "x",
                        "config": {
                            "name": "x",
                            "batch_input_shape": [None, 3, 2],
                            "dtype": "float32",
                        },
                        "inbound_nodes": [],
                    },
                    {
                        "class_name": "TensorFlowOpLayer",
                        "name": "t",
                        "config": {
                            "name": "t",
                            "node_def": {
                                "op": "StridedSlice",
                                "attr": {
                                    "begin_mask": {"i": "1"},
                                    "end_mask": {"i": "1"},
                                    "shrink_axis_mask": {"i": "4"},
                                    "T": {"type": "DT_FLOAT"},
                                },
                            },
                            "constants": {
                                "1": [0, 1, 0],
                                "2": [0, 3, 1],
                                "3": [1, 1, 1],
                            },
                        },
                        "inbound_nodes": [[["x", 0, 0, {}]]],
                    },
                ],
                "input_layers": [["x", 0, 0]],
                "output_layers": [["t", 0, 0]],
            },
        }
        write(self.path, config, {})
        x = self.normal(4, 3, 2)
        self.check(x, x[:, 1:3, 0])
        config["config"]["layers"][1]["config"]["node_def"]["op"] = "Svd"
        write(self.path, config, {})
        with self.assertRaisesRegex(ValueError, "TensorFlowOpLayer of 'Svd'"):
            loading.load_model(self.path)

    def test_a_compiled_file_trains(self):
        metric = {
            "class_name": "MeanMetricWrapper",
            "config": {"name": "acc", "fn": "categorical_accuracy"},
        }
        training = {
            "optimizer_config": {
                "class_name": "SGD",
                "config": {"lr": 0.5, "momentum": 0.0, "decay": 0.0},
            },
            "loss": {
                "class_name": "MeanSquaredError",
                "config": {"reduction": "auto", "name": "mse"},
            },
            "metrics": [[metric, "mae"]],
            "weighted_metrics": None,
            "loss_weights": None,
        }
        config = sequential(layer("Dense", units=1, **self.first([1])))
        weights = {"a": [np.zeros((1, 1)), np.zeros(1)]}
        write(self.path, config, weights, training_config=json.dumps(training))
        model = loading.load_model(self.path)
        x = np.ones((4, 1), "float32")
        model.fit(x, x, batch_size=4, verbose=0)
        # The gradient of (w + b - 1)^2 is -2 in both.
        np.testing.assert_allclose(model.layers[0].kernel, [[1.0]])
        found = model.evaluate(x, x, verbose=0, return_dict=True)
        self.assertContainsSubset(["loss", "acc"], found)
        self.assertLen(found, 3)
        training["loss"] = "my_own_loss"
        write(self.path, config, weights, training_config=json.dumps(training))
        with self.assertWarnsRegex(UserWarning, "not compiled, its loss or"):
            self.assertFalse(loading.load_model(self.path).compiled)

    def test_the_ending_of_a_name_does_not_matter(self):
        kernel, bias = self.normal(3, 2), self.normal(2)
        config = sequential(layer("Dense", units=2, **self.first([3])))
        x = self.normal(5, 3)
        for name in ("a.keras", "a.hdf5", "a.model"):
            self.path = self.path.with_name(name)
            write(self.path, config, {"a": [kernel, bias]})
            self.check(x, x @ kernel + bias)

    def test_an_archive_of_keras_2(self):
        kernel, bias = 3 * self.normal(3, 2), self.normal(2)
        config = sequential(
            layer(
                "Dense", units=2, activation="hard_sigmoid", **self.first([3])
            )
        )
        config["config"] = {"name": "old", "layers": config["config"]}
        weights = self.path.with_name("model.weights.h5")
        with h5py.File(weights, "w") as file:
            file["layers/dense/vars/0"] = kernel
            file["layers/dense/vars/1"] = bias
        self.path = self.path.with_suffix(".keras")
        with zipfile.ZipFile(self.path, "w") as archive:
            archive.writestr("metadata.json", '{"keras_version": "2.13.1"}')
            archive.writestr("config.json", json.dumps(config))
            archive.write(weights, weights.name)
        x = self.normal(5, 3)
        self.check(x, clipped(x @ kernel + bias))

    def test_names_in_several_attributes(self):
        kernel, bias = self.normal(3, 2), self.normal(2)
        config = sequential(layer("Dense", units=2, **self.first([3])))
        write(self.path, config, {"a": [kernel, bias]})
        with h5py.File(self.path, "r+") as file:
            group = file["model_weights/a"]
            names = list(group.attrs["weight_names"])
            del group.attrs["weight_names"]
            group.attrs["weight_names0"] = names[:1]
            group.attrs["weight_names1"] = names[1:]
        x = self.normal(5, 3)
        self.check(x, x @ kernel + bias)

    def test_states_of_a_recurrent_layer_come_in_a_list(self):
        nodes = [[["x", 0, 0, {}], ["h", 0, 0, {}]]]
        config = {
            "class_name": "Model",
            "config": {
                "name": "old",
                "layers": [
                    *(
                        {
                            "class_name": "InputLayer",
                            "name": name,
                            "config": {
                                "name": name,
                                "batch_input_shape": [None, *shape],
                            },
                            "inbound_nodes": [],
                        }
                        for name, shape in (("x", [2, 2]), ("h", [3]))
                    ),
                    {
                        **layer("SimpleRNN", name="r", units=3),
                        "name": "r",
                        "inbound_nodes": nodes,
                    },
                ],
                "input_layers": [["x", 0, 0], ["h", 0, 0]],
                "output_layers": [["r", 0, 0]],
            },
        }
        kernel, recurrent = self.normal(2, 3), self.normal(3, 3)
        bias = self.normal(3)
        write(self.path, config, {"r": [kernel, recurrent, bias]})
        x, h = self.normal(4, 2, 2), self.normal(4, 3)
        wanted = h
        for t in range(2):
            wanted = np.tanh(x[:, t] @ kernel + wanted @ recurrent + bias)
        self.check([x, h], wanted)

    def test_a_layer_that_trained_for_quantization(self):
        kernel, bias = self.normal(3, 2), self.normal(2)
        write_quantized(self.path, kernel, bias, 0, 6)
        x = self.normal(5, 3)
        with self.assertWarnsRegex(
            UserWarning, "quant_a: not rounded as in training"
        ):
            wanted = np.maximum(x @ kernel + bias, 0)
            self.check(x, wanted, quiet=False)

    def test_a_model_first_in_a_sequential_model(self):
        kernels = self.normal(3, 2), self.normal(2, 4)
        inside = sequential(
            layer("Dense", units=2, use_bias=False, **self.first([3]))
        )
        end = layer("Dense", name="b", units=4, use_bias=False)
        write(
            self.path,
            sequential(inside, end),
            {"sequential_1": [kernels[0]], "b": [kernels[1]]},
        )
        x = self.normal(5, 3)
        self.check(x, x @ kernels[0] @ kernels[1])

    def test_buckets_that_were_learned(self):
        own = {"num_bins": 3, "bin_boundaries": None, "epsilon": 0.01}
        config = sequential(layer("Discretization", **own, **self.first([1])))
        summary = np.float32([[1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 1, 1]])
        write(self.path, config, {"a": [summary]})
        x = np.float32([[0], [2.5], [9]])
        model = self.check(x, [[0], [1], [2]])
        self.path = self.path.with_suffix(".keras")
        model.save(self.path)
        self.check(x, [[0], [1], [2]])

    @parameterized.product(
        method=("gaussian", "mitchellcubic"), first=(False, True)
    )
    def test_resizing_that_keras_3_lacks(self, method, first):
        import tensorflow as tf

        order = "channels_first" if first else "channels_last"
        own = {"size": [2, 3], "interpolation": method, "data_format": order}
        shape = [2, 5, 4] if first else [5, 4, 2]
        config = sequential(
            layer("UpSampling2D", **own, **self.first(shape)),
            layer("Flatten", name="b"),
        )
        write(self.path, config, {"a": [], "b": []})
        x = self.normal(3, 5, 4, 2)
        wanted = tf.image.resize(x, [10, 12], method).numpy()
        if first:
            x, wanted = np.moveaxis(x, -1, 1), np.moveaxis(wanted, -1, 1)
        self.check(x, wanted.reshape(3, -1))
        config = sequential(
            layer(
                "Resizing",
                height=7,
                width=3,
                interpolation=method,
                **self.first([5, 4, 2]),
            )
        )
        write(self.path, config, {"a": []})
        x = self.normal(3, 5, 4, 2)
        self.check(x, tf.image.resize(x, [7, 3], method))


if __name__ == "__main__":
    absltest.main()
