from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy.layers import keras_1


class Keras1Test(parameterized.TestCase):
    @parameterized.parameters(
        ("Convolution2D", {}, True),
        ("Dense", {"output_dim": 3}, True),
        ("LSTM", {"inner_activation": "tanh"}, True),
        ("Dropout", {"p": 0.5}, True),
        ("BatchNormalization", {"mode": 0}, True),
        # Settings that Keras 2 has by the same name.
        ("Embedding", {"output_dim": 3, "input_dim": 9}, False),
        ("Dense", {"units": 3, "use_bias": True}, False),
        ("UpSampling1D", {"size": 2}, False),
    )
    def test_what_keras_1_wrote(self, name, config, expected):
        self.assertEqual(keras_1.is_keras_1(name, config), expected)

    @parameterized.parameters(
        (
            "Convolution2D",
            {
                "nb_filter": 8,
                "nb_row": 3,
                "nb_col": 5,
                "subsample": [2, 2],
                "border_mode": "same",
                "dim_ordering": "th",
                "init": "uniform",
                "bias": True,
            },
            "Conv2D",
            {
                "filters": 8,
                "kernel_size": [3, 5],
                "strides": [2, 2],
                "padding": "same",
                "data_format": "channels_first",
                "kernel_initializer": "random_uniform",
                "use_bias": True,
            },
        ),
        (
            "GRU",
            {
                "output_dim": 4,
                "inner_activation": "hard_sigmoid",
                "consume_less": "cpu",
                "dropout_W": 0.1,
            },
            "GRU",
            {
                "units": 4,
                "recurrent_activation": "hard_sigmoid",
                "consume_less": "cpu",
                "dropout": 0.1,
                "reset_after": False,
            },
        ),
        (
            "Embedding",
            {"input_dim": 9, "output_dim": 3, "init": "one", "dropout": 0.0},
            "Embedding",
            {"input_dim": 9, "output_dim": 3, "embeddings_initializer": "ones"},
        ),
        ("SpatialDropout2D", {"p": 0.3}, "SpatialDropout2D", {"rate": 0.3}),
        ("GaussianNoise", {"sigma": 0.3}, "GaussianNoise", {"stddev": 0.3}),
        (
            "Deconvolution2D",
            {"nb_filter": 8, "output_shape": [None, 9, 9, 8]},
            "Conv2DTranspose",
            {"filters": 8},
        ),
        *(
            (
                "Deconvolution2D",
                {
                    **{"nb_row": k, "nb_col": k, "subsample": [s, s]},
                    **{"border_mode": padding, "dim_ordering": order},
                    "output_shape": shape,
                },
                "Conv2DTranspose",
                {
                    **{"kernel_size": [k, k], "strides": [s, s]},
                    **{"padding": padding, "data_format": data_format},
                    **more,
                },
            )
            for order, data_format, shape, k, s, padding, more in (
                # As Keras 2 has it: 4 or 5 lines from 4 or 2.
                ("tf", "channels_last", [None, 8, 8, 3], 3, 2, "same", {}),
                ("th", "channels_first", [None, 3, 5, 5], 3, 2, "valid", {}),
                ("tf", "channels_last", [None, 4, 4, 3], 2, 2, "same", {}),
                (
                    *("tf", "channels_last", [None, 7, 8, 3], 3, 2, "same"),
                    {"output_padding": [0, 1]},
                ),
                (
                    *("th", "channels_first", [None, 3, 6, 5], 3, 2, "valid"),
                    {"output_padding": [1, 0]},
                ),
            )
        ),
        (
            "Dense",
            {
                "W_regularizer": {"name": "WeightRegularizer", "l2": 0.1},
                "b_constraint": {"name": "MaxNorm", "m": 2},
            },
            "Dense",
            {
                "kernel_regularizer": {
                    "class_name": "L1L2",
                    "config": {"l2": 0.1},
                },
                "bias_constraint": {
                    "class_name": "MaxNorm",
                    "config": {"max_value": 2},
                },
            },
        ),
    )
    def test_settings_by_their_new_names(self, name, config, new, expected):
        self.assertEqual(keras_1.translate(name, config), (new, expected))


if __name__ == "__main__":
    absltest.main()
