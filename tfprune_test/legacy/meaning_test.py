"""What changed between Keras 1, 2 and 3, computed by hand."""

import json
import pathlib
import warnings
import zipfile

import h5py
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy import loading


def layer(class_name, **config):
    return {"class_name": class_name, "config": config}


def sequential(*layers):
    """The config of a Sequential model of Keras <= 2.2.2: a list."""
    return {"class_name": "Sequential", "config": list(layers)}


def write(path, config, weights, version="2.2.4", **attributes):
    """Writes a file; texts are bytes, as Python 2 wrote them."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config).encode()
        file.attrs["keras_version"] = version.encode()
        for name, value in attributes.items():
            file.attrs[name] = value.encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            inner = group.create_group(name)
            names = [f"{name}/w{i}:0".encode() for i in range(len(arrays))]
            inner.attrs["weight_names"] = names
            for key, array in zip(names, arrays, strict=True):
                inner[key] = np.float32(array)


def clipped(x):
    return np.clip(0.2 * x + 0.5, 0, 1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class MeaningTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.rng = np.random.default_rng(0)
        folder = pathlib.Path(self.create_tempdir().full_path)
        self.path = folder / "old.h5"

    def normal(self, *shape):
        return self.rng.normal(size=shape).astype("float32")

    def check(self, x, wanted, quiet=True):
        with warnings.catch_warnings():
            if quiet:
                warnings.filterwarnings("ignore", ".*is translated")
            model = loading.load_model(self.path)
        got = np.asarray(model(x, training=False))
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
        return model

    def first(self, shape, **more):
        return {"batch_input_shape": [None, *shape], "name": "a", **more}

    def test_hard_sigmoid_of_a_dense_layer_and_of_an_activation(self):
        kernel, bias = 3 * self.normal(4, 5), self.normal(5)
        config = sequential(
            layer(
                "Dense", units=5, activation="hard_sigmoid", **self.first([4])
            ),
            layer("Activation", name="b", activation="hard_sigmoid"),
        )
        write(self.path, config, {"a": [kernel, bias], "b": []})
        x = self.normal(6, 4)
        with self.assertWarnsRegex(UserWarning, "hard_sigmoid is that of Ker"):
            wanted = clipped(clipped(x @ kernel + bias))
            model = self.check(x, wanted, quiet=False)
        model.save(self.path.with_suffix(".keras"))
        self.path = self.path.with_suffix(".keras")
        self.check(x, clipped(clipped(x @ kernel + bias)))

    def test_lstm_whose_gates_are_clipped(self):
        units = 3
        kernel, recurrent = self.normal(2, 12), self.normal(units, 12)
        bias = self.normal(12)
        config = layer(
            "LSTM",
            units=units,
            activation="tanh",
            recurrent_activation="hard_sigmoid",
            implementation=1,
            **self.first([4, 2]),
        )
        write(self.path, sequential(config), {"a": [kernel, recurrent, bias]})
        x = self.normal(5, 4, 2)
        h = c = np.zeros((5, units))
        for t in range(4):
            z = x[:, t] @ kernel + h @ recurrent + bias
            i, f, g, o = np.split(z, 4, 1)
            c = clipped(f) * c + clipped(i) * np.tanh(g)
            h = clipped(o) * np.tanh(c)
        self.check(x, h)

    def test_lstm_of_keras_1_lists_twelve_arrays(self):
        parts = [
            [self.normal(2, 3), self.normal(3, 3), self.normal(3)]
            for _ in range(4)
        ]
        config = layer(
            "LSTM",
            output_dim=3,
            inner_activation="hard_sigmoid",
            activation="tanh",
            init="glorot_uniform",
            inner_init="orthogonal",
            forget_bias_init="one",
            consume_less="cpu",
            dropout_W=0.0,
            dropout_U=0.0,
            W_regularizer=None,
            U_regularizer=None,
            b_regularizer=None,
            input_dim=2,
            **self.first([4, 2]),
        )
        arrays = [array for part in parts for array in part]
        write(self.path, sequential(config), {"a": arrays}, version="1.2.2")
        x = self.normal(5, 4, 2)
        h = c = np.zeros((5, 3))
        for t in range(4):
            # Keras 1 lists the gates as i, c, f, o.
            i, g, f, o = (x[:, t] @ w + h @ u + b for w, u, b in parts)
            c = clipped(f) * c + clipped(i) * np.tanh(g)
            h = clipped(o) * np.tanh(c)
        self.check(x, h)

    def test_gru_resets_before_the_product_unless_it_says_so(self):
        kernel, recurrent = self.normal(2, 9), self.normal(3, 9)
        bias = self.normal(9)
        config = layer(
            "GRU",
            units=3,
            activation="tanh",
            recurrent_activation="sigmoid",
            **self.first([4, 2]),
        )
        write(self.path, sequential(config), {"a": [kernel, recurrent, bias]})
        x, h = self.normal(5, 4, 2), np.zeros((5, 3))
        for t in range(4):
            a = x[:, t] @ kernel + bias
            z = sigmoid(a[:, :3] + h @ recurrent[:, :3])
            r = sigmoid(a[:, 3:6] + h @ recurrent[:, 3:6])
            new = np.tanh(a[:, 6:] + (r * h) @ recurrent[:, 6:])
            h = z * h + (1 - z) * new
        self.check(x, h)

    def test_weights_of_cudnn(self):
        kernels, recurrents = self.normal(4, 2, 3), self.normal(4, 3, 3)
        biases = self.normal(2, 4, 3)
        # cuDNN keeps both transposed, the first in the shape of the other.
        stored = [
            np.concatenate(
                [k.T.ravel().reshape(2, 3) for k in kernels], axis=1
            ),
            np.concatenate([u.T for u in recurrents], axis=1),
            biases.ravel(),
        ]
        config = layer("CuDNNLSTM", units=3, **self.first([4, 2]))
        write(self.path, sequential(config), {"a": stored})
        x = self.normal(5, 4, 2)
        h = c = np.zeros((5, 3))
        for t in range(4):
            i, f, g, o = (
                x[:, t] @ k + h @ u + b
                for k, u, b in zip(
                    kernels, recurrents, biases.sum(0), strict=True
                )
            )
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        self.check(x, h)

    @parameterized.parameters(
        ("ThresholdedReLU", {"theta": 0.7}, lambda x: x * (x > 0.7)),
        ("LeakyReLU", {"alpha": 0.2}, lambda x: np.where(x > 0, x, 0.2 * x)),
        ("ELU", {"alpha": 0.5}, lambda x: np.where(x > 0, x, np.expm1(x) / 2)),
        (
            "ReLU",
            {"max_value": 1.5, "negative_slope": 0.1, "threshold": 0.3},
            lambda x: np.where(x > 0.3, np.minimum(x, 1.5), (x - 0.3) / 10),
        ),
        (
            "Softmax",
            {"axis": 1},
            lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True),
        ),
        ("RandomHeight", {"factor": 0.2}, lambda x: x),
        ("Reshape", {"target_shape": [6]}, lambda x: x.reshape(-1, 6)),
        ("Permute", {"dims": [2, 1]}, lambda x: x.transpose(0, 2, 1)),
        ("Dropout", {"p": 0.5}, lambda x: x),
        (
            "Cropping1D",
            {"cropping": [1, 0]},
            lambda x: x[:, 1:],
        ),
    )
    def test_activation_and_shape_layers(self, name, settings, function):
        config = layer(name, **self.first([2, 3]), **settings)
        write(self.path, sequential(config), {"a": []})
        x = 2 * self.normal(5, 2, 3)
        self.check(x, function(x))

    @parameterized.product(backend=("tensorflow", "theano"))
    def test_convolution_of_keras_1_with_channels_first(self, backend):
        kernel, bias = self.normal(4, 3, 2, 2), self.normal(4)
        config = layer(
            "Convolution2D",
            nb_filter=4,
            nb_row=2,
            nb_col=2,
            border_mode="valid",
            subsample=[1, 1],
            dim_ordering="th",
            init="glorot_uniform",
            activation="relu",
            bias=True,
            W_regularizer={"name": "WeightRegularizer", "l1": 0.0, "l2": 0.1},
            b_regularizer=None,
            activity_regularizer=None,
            W_constraint={"name": "MaxNorm", "m": 2, "axis": 0},
            b_constraint=None,
            **self.first([3, 5, 5]),
        )
        weights = {"a": [kernel, bias]}
        write(
            self.path,
            sequential(config),
            weights,
            version="1.2.2",
            backend=backend,
        )
        if backend == "theano":
            # Theano convolves: its kernels lie backwards.
            kernel = kernel[:, :, ::-1, ::-1]
        x = self.normal(2, 3, 5, 5)
        y = sum(
            np.einsum(
                "bchw,fc->bfhw",
                x[:, :, i : i + 4, j : j + 4],
                kernel[:, :, i, j],
            )
            for i in range(2)
            for j in range(2)
        )
        model = self.check(x, np.maximum(y + bias[:, None, None], 0))
        conv = model.get_layer("a")
        self.assertAlmostEqual(float(conv.kernel_regularizer.l2), 0.1)
        self.assertEqual(conv.kernel_constraint.max_value, 2)

    def test_atrous_convolution(self):
        kernel = self.normal(2, 1, 3, 4)
        config = layer(
            "AtrousConvolution1D",
            nb_filter=4,
            filter_length=2,
            atrous_rate=2,
            border_mode="valid",
            subsample_length=1,
            bias=False,
            **self.first([6, 3]),
        )
        write(self.path, sequential(config), {"a": [kernel]}, version="1.1.0")
        x = self.normal(2, 6, 3)
        self.check(x, x[:, :-2] @ kernel[0, 0] + x[:, 2:] @ kernel[1, 0])

    def test_highway(self):
        kernel, carry = self.normal(3, 3), self.normal(3, 3)
        bias, carry_bias = self.normal(3), self.normal(3)
        config = layer(
            "Highway", activation="tanh", bias=True, **self.first([3])
        )
        write(
            self.path,
            sequential(config),
            {"a": [kernel, carry, bias, carry_bias]},
            version="1.2.2",
        )
        x = self.normal(5, 3)
        share = sigmoid(x @ carry + carry_bias)
        wanted = share * np.tanh(x @ kernel + bias) + (1 - share) * x
        self.check(x, wanted)

    def test_maxout(self):
        kernel, bias = self.normal(2, 3, 4), self.normal(2, 4)
        config = layer(
            "MaxoutDense", output_dim=4, nb_feature=2, **self.first([3])
        )
        write(
            self.path, sequential(config), {"a": [kernel, bias]}, version="1.2"
        )
        x = self.normal(5, 3)
        y = np.einsum("bi,fio->bfo", x, kernel) + bias
        self.check(x, y.max(1))

    def test_locally_connected(self):
        kernel, bias = self.normal(3, 4, 5), self.normal(3, 5)
        config = layer(
            "LocallyConnected1D",
            filters=5,
            kernel_size=[2],
            strides=[2],
            padding="valid",
            **self.first([6, 2]),
        )
        write(self.path, sequential(config), {"a": [kernel, bias]})
        x = self.normal(4, 6, 2)
        patches = x.reshape(4, 3, 4)
        self.check(x, np.einsum("bpk,pkf->bpf", patches, kernel) + bias)

    def test_dilated_transposed_convolution(self):
        kernel = self.normal(2, 4, 3)
        config = layer(
            "Conv1DTranspose",
            filters=4,
            kernel_size=[2],
            strides=[1],
            dilation_rate=[3],
            padding="valid",
            use_bias=False,
            **self.first([5, 3]),
        )
        write(self.path, sequential(config), {"a": [kernel]})
        x = self.normal(2, 5, 3)
        wanted = np.zeros((2, 8, 4))
        for tap in range(2):
            wanted[:, 3 * tap : 3 * tap + 5] += x @ kernel[tap].T
        self.check(x, wanted)

    def test_batch_normalization_of_several_axes(self):
        gamma, beta, mean = (self.normal(1, 2, 3) for _ in range(3))
        variance = np.abs(self.normal(1, 2, 3)) + 0.5
        config = layer(
            "BatchNormalization",
            axis=[1, 2],
            epsilon=0.01,
            momentum=0.9,
            center=True,
            scale=True,
            **self.first([2, 3]),
        )
        weights = {"a": [gamma, beta, mean, variance]}
        write(self.path, sequential(config), weights)
        x = self.normal(4, 2, 3)
        self.check(x, (x - mean) / np.sqrt(variance + 0.01) * gamma + beta)

    @parameterized.parameters(
        ("sum", lambda x, y: x + y),
        ("mul", lambda x, y: x * y),
        ("ave", lambda x, y: (x + y) / 2),
        ("max", np.maximum),
        ("concat", lambda x, y: np.concatenate([x, y], -1)),
    )
    def test_merge(self, mode, function):
        kernels = self.normal(3, 4), self.normal(3, 4)
        branches = [
            sequential(
                layer(
                    "Dense",
                    output_dim=4,
                    bias=False,
                    batch_input_shape=[None, 3],
                    name=name,
                )
            )
            for name in "ab"
        ]
        config = sequential(
            layer(
                "Merge", name="m", layers=branches, mode=mode, concat_axis=-1
            ),
            layer("Activation", name="end", activation="relu"),
        )
        weights = {"a": [kernels[0]], "b": [kernels[1]], "end": []}
        write(self.path, config, weights, version="1.2.2")
        x = [self.normal(5, 3), self.normal(5, 3)]
        y = function(x[0] @ kernels[0], x[1] @ kernels[1])
        self.check(x, np.maximum(y, 0))

    def test_merging_code_is_refused(self):
        config = sequential(
            layer("Dense", units=2, **self.first([3])),
            layer("Merge", name="m", mode="<lambda>"),
        )
        write(self.path, config, {})
        with self.assertRaisesRegex(ValueError, "mode='<lambda>' of layer 'm'"):
            loading.load_model(self.path)

    def test_initializers_with_a_type_and_frozen_layers(self):
        zeros = {"class_name": "Zeros", "config": {"dtype": "float32"}}
        own = {"class_name": "MyInitializer", "config": {}}
        kernel, bias = self.normal(3, 2), self.normal(2)
        config = layer(
            "Dense",
            units=2,
            trainable=False,
            bias_initializer=zeros,
            kernel_initializer=own,
            **self.first([3]),
        )
        write(self.path, sequential(config), {"a": [kernel, bias]})
        x = self.normal(5, 3)
        with self.assertWarnsRegex(UserWarning, "without its kernel_initial"):
            model = self.check(x, x @ kernel + bias, quiet=False)
        self.assertEqual(model.input_shape, (None, 3))
        self.assertEmpty(model.trainable_weights)

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
        self.assertLen(model.evaluate(x, x, verbose=0), 3)
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

    def test_what_keras_3_cannot_do_is_named(self):
        config = sequential(
            layer(
                "UpSampling2D",
                size=[2, 2],
                interpolation="gaussian",
                **self.first([4, 4, 1]),
            )
        )
        write(self.path, config, {"a": []})
        with self.assertRaisesRegex(ValueError, "'gaussian' of layer 'a'"):
            loading.load_model(self.path)


if __name__ == "__main__":
    absltest.main()
