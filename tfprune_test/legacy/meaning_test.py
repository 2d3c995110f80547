"""What changed between Keras 1, 2 and 3, computed by hand."""

import warnings

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune.legacy import loading
from tfprune_test.legacy.old_files import OldFileTest
from tfprune_test.legacy.old_files import clipped
from tfprune_test.legacy.old_files import layer
from tfprune_test.legacy.old_files import sequential
from tfprune_test.legacy.old_files import sigmoid
from tfprune_test.legacy.old_files import write


class MeaningTest(OldFileTest):
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

    @parameterized.parameters(
        ("LeakyReLU", {"alpha": 0.3}, lambda x: np.maximum(x, 0.3 * x)),
        ("ELU", {"alpha": 0.5}, lambda x: np.where(x > 0, x, np.expm1(x) / 2)),
        ("ReLU", {"max_value": 0.5}, lambda x: np.clip(x, 0, 0.5)),
    )
    def test_recurrent_layers_whose_activation_is_a_layer(
        self, kind, settings, function
    ):
        kernel, recurrent, bias = arrays = [
            self.normal(*n) for n in ((2, 3), (3, 3), (3,))
        ]
        activation = layer(kind, name="b", dtype="float32", **settings)
        config = layer(
            "SimpleRNN", units=3, activation=activation, **self.first([4, 2])
        )
        write(self.path, sequential(config), {"a": arrays})
        x, h = self.normal(5, 4, 2), np.zeros((5, 3))
        for step in range(4):
            h = function(x[:, step] @ kernel + h @ recurrent + bias)
        self.check(x, h)

    @parameterized.parameters("concat", None)
    def test_both_ways_with_the_time_axis_first(self, merge_mode):
        arrays = [self.normal(*n) for n in ((2, 3), (3, 3), (3,))] * 2
        inner = {"units": 3, "activation": "tanh", "return_sequences": True}
        x = self.normal(5, 4, 2)
        found = []
        for first in (False, True):
            config = layer(
                "Bidirectional",
                layer=layer("SimpleRNN", name="b", time_major=first, **inner),
                merge_mode=merge_mode,
                **self.first([None, 2]),
            )
            write(self.path, sequential(config), {"a": arrays})
            model = loading.load_model(self.path)
            found.append(model(x.swapaxes(0, 1) if first else x))
        for a, b in zip(*map(keras.tree.flatten, found), strict=True):
            np.testing.assert_allclose(
                a, np.swapaxes(b, 0, 1), rtol=1e-5, atol=1e-6
            )

    @parameterized.parameters(
        ("Resizing", {"height": 3, "width": 3}),
        ("RandomCrop", {"height": 3, "width": 3}),
        ("UpSampling2D", {"size": [2, 2]}),
        ("UpSampling2D", {"size": [2, 2]}, "2.2.4"),
        ("Resizing", {"height": 3, "width": 3}, "2.9.0", True),
        ("UpSampling2D", {"size": [2, 2]}, "2.9.0", True),
    )
    def test_resized_whole_numbers_are_not_rounded(
        self, kind, settings, version="2.9.0", timed=False
    ):
        found = []
        x = np.arange(255, -1, -17).reshape(1, 4, 4, 1)
        if kind != "RandomCrop":
            settings = {"interpolation": "bilinear", **settings}
        own = layer(kind, name="b", **settings)
        if timed:
            x = x[:, None]
            own = layer("TimeDistributed", name="b", layer=own)
        for dtype in ("uint8", "float32"):
            config = sequential(
                layer("InputLayer", dtype=dtype, **self.first([*x.shape[1:]])),
                own,
            )
            write(self.path, config, {"a": [], "b": []}, version=version)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*is translated")
                model = loading.load_model(self.path)
            found.append(np.asarray(model(x.astype(dtype))))
        np.testing.assert_allclose(*found, rtol=1e-6)
        self.assertTrue((found[0] % 1).any())

    @parameterized.parameters(
        ("2.9.0", "float32"), ("2.15.0-tf", "float32"), ("2.4.0", "uint8")
    )
    def test_whole_numbers_of_the_nearest_pixels(self, version, dtype):
        config = sequential(
            layer("InputLayer", dtype="uint8", **self.first([4, 4, 1])),
            layer(
                "Resizing", name="b", height=2, width=2, interpolation="nearest"
            ),
        )
        write(self.path, config, {"a": [], "b": []}, version=version)
        model = loading.load_model(self.path)
        x = np.arange(16, dtype="uint8").reshape(1, 4, 4, 1)
        self.assertEqual(model(x).dtype, dtype)

    @parameterized.parameters(
        ("GroupNormalization", 2), ("InstanceNormalization", 4)
    )
    def test_groups_and_instances_of_addons(self, kind, groups):
        settings = {"groups": groups, "axis": -1, "epsilon": 0.1}
        gamma, beta = self.normal(4), self.normal(4)
        own = layer(f"Addons>{kind}", **self.first([5, 3, 4]), **settings)
        write(self.path, sequential(own), {"a": [gamma, beta]})
        x = self.normal(2, 5, 3, 4)
        y = x.reshape(2, 5, 3, groups, -1)
        axes, kept = (1, 2, 4), {"keepdims": True}
        y = (y - y.mean(axes, **kept)) / np.sqrt(y.var(axes, **kept) + 0.1)
        self.check(x, y.reshape(x.shape) * gamma + beta)

    @parameterized.parameters([[4]], [[2, 4]])
    def test_virtual_batches_are_one_more_axis(self, axes):
        shape = [1, 1, 1, 1, 2] if len(axes) == 1 else [1, 1, 3, 1, 2]
        arrays = [self.normal(*shape) for _ in range(3)]
        arrays.append(self.normal(*shape) ** 2 + 0.5)
        config = {"axis": axes, "virtual_batch_size": 2, "epsilon": 1e-3}
        config |= {"center": True, "scale": True}
        entry = layer("BatchNormalization", **self.first([3, 4, 2]), **config)
        write(self.path, sequential(entry), {"a": arrays})
        x = self.normal(5, 3, 4, 2)
        gamma, beta, mean, variance = (a.reshape(-1, 1, 2) for a in arrays)
        self.check(x, gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta)

    def test_normalized_axes_in_another_order(self):
        arrays = [self.normal(2, 3), self.normal(2, 3)]
        entry = layer(
            "LayerNormalization",
            axis=[3, 1],
            epsilon=1e-3,
            **self.first([3, 4, 2]),
        )
        write(self.path, sequential(entry), {"a": arrays})
        x = self.normal(5, 3, 4, 2)
        mean, variance = (
            f(x, (1, 3), keepdims=True) for f in (np.mean, np.var)
        )
        gamma, beta = (a.reshape(3, 1, 2) for a in arrays)
        self.check(x, gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta)

    def test_states_of_images_with_channels_first(self):
        arrays = [self.normal(*s) for s in ((2, 2, 2, 12), (2, 2, 3, 12))]
        arrays.append(self.normal(12))
        own = {"filters": 3, "kernel_size": [2, 2], "padding": "same"}
        x, found = self.normal(2, 3, 4, 5, 2), []
        for order in ("channels_last", "channels_first"):
            here = np.moveaxis(x, -1, 2) if order == "channels_first" else x
            own["data_format"] = order
            inputs = {"name": "i", "batch_input_shape": [None, *here.shape[1:]]}
            entries = [{**layer("InputLayer", **inputs), "inbound_nodes": []}]
            references = [[["i", 0, 0, {}]], [["i", 0, 0, {}]]]
            references[1] += [["a", 0, 1, {}], ["a", 0, 2, {}]]
            for name, before in zip("ab", references, strict=True):
                config = {"name": name, "return_state": name == "a", **own}
                entry = layer("ConvLSTM2D", **config)
                entries.append({**entry, "inbound_nodes": [before]})
            for entry in entries:
                entry["name"] = entry["config"]["name"]
            config = {
                "class_name": "Model",
                "config": {
                    "name": "m",
                    "layers": entries,
                    "input_layers": [["i", 0, 0]],
                    "output_layers": [["b", 0, 0], ["a", 0, 2]],
                },
            }
            write(self.path, config, {"i": [], "a": arrays, "b": arrays})
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*is translated")
                found.append(loading.load_model(self.path)(here))
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(
                np.moveaxis(a, -1, 1), b, rtol=1e-4, atol=1e-5
            )

    def test_outputs_of_masked_steps_are_zero_where_the_file_says_so(self):
        embeddings, kernel = self.normal(3, 2), self.normal(2, 4)
        recurrent, bias = self.normal(4, 4), self.normal(4)
        config = sequential(
            layer(
                "Embedding",
                input_dim=3,
                output_dim=2,
                mask_zero=True,
                **self.first([3]),
            ),
            layer(
                "SimpleRNN",
                name="b",
                units=4,
                activation="tanh",
                return_sequences=True,
                zero_output_for_mask=True,
            ),
        )
        weights = {"a": [embeddings], "b": [kernel, recurrent, bias]}
        write(self.path, config, weights)
        x = np.array([[1, 2, 0], [0, 1, 0]])
        h, wanted = np.zeros((2, 4)), []
        for t in range(3):
            there = (x[:, t] > 0)[:, None]
            new = embeddings[x[:, t]] @ kernel + h @ recurrent + bias
            h = np.where(there, np.tanh(new), h)
            wanted.append(np.where(there, h, 0))
        self.check(x, np.stack(wanted, 1))

    def test_attention_that_looks_back_alone_says_so_once(self):
        node = [[["a", 0, 0, {}], ["a", 0, 0, {}]]]
        config = {
            "class_name": "Model",
            "config": {
                "name": "model",
                "layers": [
                    layer("InputLayer", **self.first([3, 2]))
                    | {"name": "a", "inbound_nodes": []},
                    layer("Attention", name="b", causal=True)
                    | {"name": "b", "inbound_nodes": node},
                ],
                "input_layers": [["a", 0, 0]],
                "output_layers": [["b", 0, 0]],
            },
        }
        write(self.path, config, {"a": [], "b": []})
        x = self.normal(2, 3, 2)
        scores = np.exp(x @ x.transpose(0, 2, 1)) * np.tri(3)
        self.check(x, scores / scores.sum(-1, keepdims=True) @ x)

    def test_a_setting_that_is_on_and_gone_is_refused(self):
        first = self.first([4], units=2, doubled=True)
        write(self.path, sequential(layer("Dense", **first)), {"a": []})
        with self.assertRaisesRegex(ValueError, "doubled=True of Dense"):
            loading.load_model(self.path)

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

    @parameterized.product(
        bidirectional=[False, True], consume_less=["cpu", "gpu"]
    )
    def test_recurrent_layers_of_keras_1_inside_a_model(
        self, bidirectional, consume_less
    ):
        kind, own = "LSTM", {"output_dim": 3, "consume_less": consume_less}
        own |= {"activation": "tanh", "inner_activation": "hard_sigmoid"}
        count = 4 if consume_less == "cpu" else 1
        n = 12 // count
        arrays = [self.normal(*s) for s in ((2, n), (3, n), (n,)) * count]
        if bidirectional:
            own = {"layer": layer(kind, name="c", **own)}
            kind, arrays = "Bidirectional", arrays * 2
        alone = sequential(layer(kind, **own, **self.first([4, 2])))
        write(self.path, alone, {"a": arrays}, version="1.2.2")
        x = self.normal(5, 4, 2)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*is translated")
            wanted = loading.load_model(self.path)(x)
        inputs = {"name": "i", "batch_input_shape": [None, 4, 2]}
        nested = {
            "class_name": "Model",
            "name": "inner",
            "config": {
                "name": "inner",
                "layers": [
                    {
                        **layer("InputLayer", **inputs),
                        **{"name": "i", "inbound_nodes": []},
                    },
                    {
                        **layer(kind, name="a", **own),
                        **{"name": "a", "inbound_nodes": [[["i", 0, 0]]]},
                    },
                ],
                "input_layers": [["i", 0, 0]],
                "output_layers": [["a", 0, 0]],
            },
        }
        write(self.path, sequential(nested), {"inner": arrays}, "1.2.2")
        self.check(x, wanted)

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

    @parameterized.parameters(
        ("LeakyReLU", {"alpha": 0.3}, lambda y: np.where(y > 0, y, 0.3 * y)),
        ("ReLU", {"max_value": 0.5}, lambda y: np.clip(y, 0, 0.5)),
        ("ThresholdedReLU", {"theta": 0.2}, lambda y: y * (y > 0.2)),
        (
            "Softmax",
            {"axis": -1},
            lambda y: np.exp(y) / np.exp(y).sum(-1, keepdims=True),
        ),
        ("PReLU", {}, None),
    )
    def test_a_layer_as_activation(self, kind, settings, function):
        kernel, bias, alpha = self.normal(4, 5), self.normal(5), self.normal(5)
        inner = layer(kind, name="own", trainable=True, **settings)
        dense = layer("Dense", units=5, activation=inner, **self.first([4]))
        weights = [kernel, bias, *([alpha] if kind == "PReLU" else [])]
        last = self.normal(5, 2)
        end = layer("Dense", name="b", units=2, use_bias=False)
        write(self.path, sequential(dense, end), {"a": weights, "b": [last]})
        x = self.normal(6, 4)
        y = x @ kernel + bias
        y = np.where(y > 0, y, alpha * y) if function is None else function(y)
        model = self.check(x, y @ last)
        # An activation of its own does not keep the units before it.
        free = tfprune.channel_graph(model).removable.sum()
        self.assertEqual(free, 0 if kind == "Softmax" else 5)

    def test_batch_normalization_over_several_devices(self):
        config = layer(
            "SyncBatchNormalization", axis=[1], epsilon=0.1, **self.first([3])
        )
        arrays = [self.normal(3) ** 2 + 0.5 for _ in range(4)]
        write(self.path, sequential(config), {"a": arrays})
        x = self.normal(5, 3)
        gamma, beta, mean, variance = arrays
        self.check(x, (x - mean) / np.sqrt(variance + 0.1) * gamma + beta)

    @parameterized.parameters(
        ("Conv2D", {}),
        ("Conv2DTranspose", {"dilation_rate": [2, 2]}),
        ("LocallyConnected2D", {"implementation": 1}),
    )
    def test_softmax_with_channels_first_goes_along_the_columns(
        self, kind, more
    ):
        last = kind.startswith("Local")
        kernel = self.normal(30, 2, 3) if last else self.normal(1, 1, 2, 3)
        config = layer(
            kind,
            filters=3,
            kernel_size=[1, 1],
            strides=[1, 1],
            padding="valid",
            use_bias=False,
            data_format="channels_first",
            activation="softmax",
            **more,
            **self.first([2, 5, 6]),
        )
        if kind.endswith("Transpose"):
            kernel = kernel.swapaxes(-1, -2)
        write(self.path, sequential(config), {"a": [kernel]})
        x = self.normal(4, 2, 5, 6)
        if last:
            kernel = kernel.reshape(5, 6, 2, 3)
            y = np.einsum("bchw,hwcf->bfhw", x, kernel)
        else:
            kernel = (
                kernel.reshape(2, 3)
                if kind == "Conv2D"
                else (kernel.reshape(3, 2).T)
            )
            y = np.einsum("bchw,cf->bfhw", x, kernel)
        e = np.exp(y - y.max(-1, keepdims=True))
        self.check(x, e / e.sum(-1, keepdims=True))

    def test_cropping_with_channels_first(self):
        config = layer(
            "Cropping2D",
            cropping=[[1, 0], [0, 2]],
            data_format="channels_first",
            **self.first([3, 4, 5]),
        )
        write(self.path, sequential(config), {"a": []})
        x = self.normal(2, 3, 4, 5)
        self.check(x, x[:, :, 1:, :-2])

    def test_the_layers_of_convnext(self):
        config = sequential(
            layer("LayerScale", projection_dim=3, **self.first([4, 4, 3])),
            layer("StochasticDepth", name="b", drop_path_rate=0.1),
        )
        gamma = self.normal(3)
        write(self.path, config, {"a": [gamma], "b": []})
        x = self.normal(2, 4, 4, 3)
        self.check(x, x * gamma)

    def test_a_class_of_the_users_goes_before_that_of_the_same_name(self):
        class LayerScale(keras.layers.Layer):
            def call(self, x):
                return 2 * x

        config = sequential(layer("LayerScale", **self.first([4, 4, 3])))
        write(self.path, config, {"a": []})
        x = self.normal(2, 4, 4, 3)
        custom = {"LayerScale": LayerScale}
        model = loading.load_model(self.path, custom_objects=custom)
        np.testing.assert_allclose(model(x), 2 * x)
        with keras.saving.custom_object_scope(custom):
            self.check(x, 2 * x)

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

    @parameterized.parameters(
        *(("same", 4, (7, 7)), ("same", 4, (8, 8)), ("same", 4, (7, 8))),
        *(("valid", 3, (7, 7)), ("valid", 3, (8, 8)), ("valid", 3, (8, 7))),
        *(("same", 4, (7, 8), 4), ("same", 4, (8, 7), 2)),
        *(("same", 4, (7, 8), 4, "th"), ("same", 4, (10, 12), 4, "tf", 3)),
    )
    def test_deconvolution_of_keras_1_says_its_size(
        self, padding, n, size, k=3, order="tf", stride=2
    ):
        import tensorflow as tf

        kernel, bias = self.normal(k, k, 2, 4), self.normal(4)
        first = order == "th"
        config = layer(
            "Deconvolution2D",
            nb_filter=4,
            nb_row=k,
            nb_col=k,
            border_mode=padding,
            subsample=[stride, stride],
            dim_ordering=order,
            output_shape=[None, 4, *size] if first else [None, *size, 4],
            **self.first([2, n, n] if first else [n, n, 2]),
        )
        # (outputs, inputs, rows, columns) in the order "th".
        stored = kernel.transpose(3, 2, 0, 1) if first else kernel
        weights = {"a": [stored, bias]}
        write(self.path, sequential(config), weights, version="1.2.2")
        x = self.normal(2, n, n, 2)
        wanted = tf.nn.conv2d_transpose(
            *(x, kernel.swapaxes(2, 3), (2, *size, 4), stride),
            padding=padding.upper(),
        )
        wanted = np.asarray(wanted + bias)
        if first:
            x, wanted = (np.moveaxis(part, -1, 1) for part in (x, wanted))
        self.check(x, wanted)

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


if __name__ == "__main__":
    absltest.main()
