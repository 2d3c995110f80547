"""What a result is told from others by."""

from unittest import mock

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune.deploy import latency
from tfprune.pipeline import channel_choice
from tfprune.pipeline import preparation
from tfprune.pipeline.request import wishes
from tfprune.pipeline.result import measured
from tfprune_test.pipeline import small_tasks


class ReachTest(absltest.TestCase):
    def resolve(self, **limits):
        """Asks for limits, where files have half the bytes of predictions."""
        ready = preparation.Preparation(
            small_tasks.request(
                wish=wishes.Wish(tfprune.Budget(**limits)), runtime="micro"
            )
        )

        def export(model, path, job):
            self.assertEqual(job.runtime, "micro")
            self.exported += 1
            return {measured.FLASH: tfprune.cost(model).flash_bytes // 2}

        self.exported = 0
        with mock.patch.object(measured, "export", export):
            ready.resolve(None)
        return self.exported

    def test_the_file_of_the_smallest_network_tells(self):
        model = small_tasks.request().model
        dense = tfprune.cost(model).flash_bytes
        graph = tfprune.channel_graph(model)
        keep = channel_choice.smallest(graph, {})
        least = tfprune.cost(model, keep).flash_bytes
        self.assertEqual(self.resolve(flash_bytes=least), 0)
        self.assertEqual(self.resolve(flash_bytes=least - 1), 1)
        self.assertEqual(self.resolve(flash_bytes=least // 2), 1)
        with self.assertRaisesRegex(
            ValueError,
            f"within reach.*flash_bytes={least // 2 - 1:,}. The file of the "
            f"smallest network that pruning can leave needs {least // 2:,} ",
        ):
            self.resolve(flash_bytes=least // 2 - 1)
        # A fraction is of the file of the dense network, which is half, too.
        with self.assertRaisesRegex(ValueError, "within reach"):
            self.resolve(flash_bytes=0.9 * least / dense)
        self.assertEqual(self.exported, 2)
        with self.assertRaisesRegex(ValueError, "within reach.*macs"):
            self.resolve(flash_bytes=least - 1, macs=1)


class KeyTest(absltest.TestCase):
    def key(self, **changes):
        return preparation.Preparation(small_tasks.request(**changes)).key()

    def differences(self, one, other):
        return {name for name in one | other if one[name] != other[name]}

    def test_other_weights_of_losses(self):
        keys, net = [], small_tasks.two_heads()
        data = small_tasks.two_heads_data(20, 0)
        for weight in (0.5, 0.25, 0.5):
            net.compile(
                "sgd",
                dict(net.loss),
                loss_weights={"kind": 1.0, "size": weight},
            )
            keys.append(
                self.key(model=net, train=data, validation=data, mode="min")
            )
        self.assertEqual(self.differences(*keys[:2]), {"loss_weights"})
        self.assertEqual(keys[0], keys[2])

    def test_another_activation_whatever_layers_are_called(self):
        digests = []
        for activation in ("relu", "relu6", "relu"):
            layer = keras.layers.Dense(2, activation, name="conv_10x4")
            inputs = keras.Input((3,), name="in")
            model = keras.Model(inputs, layer(inputs), name="net")
            layer.kernel.assign(np.ones((3, 2)))
            digests.append(preparation._digest(model))
        self.assertNotEqual(digests[0], digests[1])
        self.assertEqual(digests[0], digests[2])

    def test_another_table_of_latencies(self):
        def key(whole):
            table = latency.LatencyTable("int8", whole, {"first": (1, 2, 3, 4)})
            budget = tfprune.Budget(latency=0.5, latency_table=table)
            return self.key(model=net, wish=wishes.Wish(budget))

        net = small_tasks.classifier(small_tasks.blobs(48, 0), epochs=1)
        first = key(10.0)
        self.assertEqual(first, key(10.0))
        self.assertEqual(self.differences(first, key(20.0)), {"latency table"})

    def test_another_function_of_the_same_name(self):
        def score(x, y, outputs):
            return (outputs.argmax(-1) == y).mean()

        first = self.key(monitor=score, mode="max")
        self.assertEqual(first, self.key(monitor=score, mode="max"))

        def score(x, y, outputs):
            return (outputs.argmin(-1) == y).mean()

        second = self.key(monitor=score, mode="max")
        self.assertEqual(self.differences(first, second), {"monitor"})

    def test_batches_of_other_values_or_another_number(self):
        x, y = small_tasks.blobs(24, 1)
        keys = [
            self.key(validation=batches)
            for batches in (
                [(x, y)],
                [(x, (y + 1) % 3)],
                [(x, y), (x, y)],
            )
        ]
        self.assertEqual(self.differences(*keys[:2]), {"validation"})
        self.assertIn("samples", self.differences(keys[0], keys[2]))


class SizedTest(parameterized.TestCase):
    def check(self, model, shape, given):
        sized = preparation.sized(model, shape)
        self.assertIs(type(sized), type(model))
        self.assertTrue(sized.compiled)
        np.testing.assert_array_equal(sized(given), model(given))
        self.assertIs(preparation.sized(sized, shape), sized)
        return [tuple(x.shape) for x in sized.inputs]

    @parameterized.named_parameters(
        ("functional", keras.Model), ("sequential", keras.Sequential)
    )
    def test_open_sizes_are_filled_in(self, kind):
        inputs = keras.Input((None, None, 1))
        conv = keras.layers.Conv2D(4, 3)
        model = keras.Sequential([inputs, conv])
        if kind is keras.Model:
            model = keras.Model(inputs, model(inputs))
        model.compile(loss="mse")
        shapes = self.check(model, (5, 6, 1), np.ones((2, 5, 6, 1)))
        self.assertEqual(shapes, [(None, 5, 6, 1)])
        with self.assertRaisesRegex(ValueError, "what the model leaves open"):
            preparation.sized(preparation.sized(model, (5, 6, 1)), (6, 6, 1))

    def test_a_block_of_the_users_own(self):
        class Block(keras.layers.Layer):
            def __init__(self, **kwargs):
                super().__init__(**kwargs)
                self.dense = keras.layers.Dense(4)

            def call(self, x):
                return self.dense(x)

        inputs = keras.Input((None, 1))
        model = keras.Model(inputs, Block()(inputs))
        model.compile(loss="mse")
        shapes = self.check(model, (5, 1), np.ones((2, 5, 1)))
        self.assertEqual(shapes, [(None, 5, 1)])

    def test_inputs_with_names_keep_them(self):
        steps = keras.Input((None, 3), name="steps")
        more = keras.Input((4,), name="more")
        mean = keras.layers.GlobalAveragePooling1D()(steps)
        outputs = keras.layers.Concatenate()([mean, more])
        model = keras.Model({"steps": steps, "more": more}, outputs)
        model.compile(loss="mse")
        shape = [x.shape[1:] for x in model.inputs]
        shape[shape.index((None, 3))] = (5, 3)
        given = {"steps": np.ones((2, 5, 3)), "more": np.ones((2, 4))}
        self.check(model, shape, given)


if __name__ == "__main__":
    absltest.main()
