import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune import zoo
from tfprune.costs import core_table
from tfprune.costs.core_steps import OpSize
from tfprune.graph import read
from tfprune.selection import cut

LSTM = "UNIDIRECTIONAL_SEQUENCE_LSTM"


class CoreTableTest(parameterized.TestCase):
    # What qemu counted for an inference of the int8 file.
    @parameterized.parameters(
        ("ds_cnn", "cortex-m3", 10_537_080),
        ("autoencoder", "cortex-m0plus", 1_608_080),
        ("resnet8", "cortex-m3", 41_851_440),
        ("ds_cnn", "cortex-m4", 7_702_800),
        ("ds_cnn", "cortex-m55", 1_818_812),
        ("autoencoder", "cortex-m4", 597_120),
        ("resnet8", "cortex-m33", 29_863_280),
        ("resnet8", "cortex-m55", 4_915_468),
        ("resnet8", "esp32-s3", 13_792_648),
        ("autoencoder", "esp32-s3", 1_857_677),
    )
    def test_whole_networks(self, name, core, counted):
        graph = read.channel_graph(zoo.build(name))
        predicted = core_table.of(core).predict(graph)
        self.assertAlmostEqual(predicted / counted, 1, delta=0.05)

    @parameterized.parameters("cortex-m4", "cortex-m55")
    def test_a_channel_more_never_costs_less(self, core):
        table = core_table.of(core)
        for kind, window in (("CONV_2D", 9), ("DEPTHWISE_CONV_2D", 9)):
            counts = [
                table.instructions(OpSize(kind, 64, window, n, n))
                for n in range(4, 65, 4)
            ]
            self.assertEqual(counts, sorted(counts))

    def test_vectors_that_are_full_in_part_cost_as_much(self):
        """Four more input channels are free within a vector of 16."""
        table = core_table.of("cortex-m55")

        def cost(reads):
            return table.instructions(OpSize("CONV_2D", 64, 1, reads, 16))

        within = cost(44) / cost(36)
        across = cost(52) / cost(44)
        self.assertLess(within, 1.1)
        self.assertGreater(across, within)

    def test_channels_between_those_of_a_vector_run_in_c(self):
        table = core_table.of("esp32-s3")

        def cost(reads, window):
            size = OpSize("CONV_2D", 125, window, reads, 48, columns=window)
            return table.instructions(size)

        self.assertGreater(cost(42, 1), 2 * cost(48, 1))
        self.assertLess(cost(42, 3), cost(48, 3))

    # What qemu counted for ops on maps of 12 x 12 x 24 and one gate a channel.
    @parameterized.parameters(
        ("cortex-m4", "ADD", 428_960),
        ("cortex-m4", "MUL", 186_680),
        ("cortex-m55", "ADD", 437_531),
        ("cortex-m55", "MUL", 184_937),
    )
    def test_broadcasts(self, core, kind, counted):
        table = core_table.of(core)
        size = OpSize(kind, 144, 1, 24, 24, broadcast=True)
        self.assertTrue(table.measured(size))
        predicted = table.instructions(size)
        self.assertAlmostEqual(predicted / counted, 1, delta=0.1)
        alike = OpSize(kind, 144, 1, 24, 24)
        self.assertLess(table.instructions(alike), predicted)

    def test_broadcasts_of_kinds_that_were_not_measured(self):
        table = core_table.of("cortex-m55")
        size = OpSize("MINIMUM", 144, 1, 24, 24, broadcast=True)
        self.assertFalse(table.measured(size))
        alike = OpSize("MINIMUM", 144, 1, 24, 24)
        self.assertLess(table.instructions(alike), table.instructions(size))

    # What qemu counted; TFLite Micro with CMSIS-NN.
    @parameterized.parameters(
        ("cortex-m4", OpSize("CONV_2D", 400, 9, 2, 12, groups=3), 1_046_280),
        ("cortex-m55", OpSize("CONV_2D", 400, 9, 2, 12, groups=3), 454_187),
        ("cortex-m4", OpSize("CONV_2D", 6, 3, 4, 4, way="row"), 4_400),
        ("cortex-m4", OpSize("TRANSPOSE_CONV", 289, 9, 3, 4, 4), 112_760),
        ("cortex-m55", OpSize("TRANSPOSE_CONV", 289, 9, 3, 4, 4), 76_281),
        ("cortex-m55", OpSize("TRANSPOSE_CONV", 144, 9, 4, 33), 825_156),
        ("cortex-m55", OpSize("DEPTHWISE_CONV_2D", 49, 9, 6, 18), 233_218),
        (
            "cortex-m4",
            OpSize("DEPTHWISE_CONV_2D", 81, 9, 40, 40, way="gaps"),
            865_040,
        ),
        ("cortex-m4", OpSize("REDUCE_MAX", 1, 64, 3, 3), 33_440),
        ("cortex-m55", OpSize(LSTM, 8, 1, 4, 6), 35_437),
    )
    def test_kinds_that_have_kernels_of_their_own(self, core, size, counted):
        predicted = core_table.of(core).instructions(size)
        self.assertAlmostEqual(predicted / counted, 1, delta=0.2)

    def test_a_core_without_measured_layers(self):
        with self.assertRaisesRegex(
            ValueError, "cortex-m0plus.*cortex-m55.*core='esp32-c3'"
        ):
            core_table.of("esp32-c3")
        with self.assertRaisesRegex(ValueError, "Received: core=\\['cortex"):
            core_table.of(["cortex-m4"])

    def test_a_budget_of_instructions(self):
        graph = read.channel_graph(zoo.build("ds_cnn"))
        table = core_table.of("cortex-m55")
        keep = cut.choose(graph, latency=0.6, target="cortex-m55").keep
        share = table.predict(graph, keep) / table.predict(graph)
        self.assertBetween(share, 0.45, 0.6)
        counts = [
            int(keep[g.labels].sum()) for g in graph.groups if not g.frozen
        ]
        self.assertLen(counts, 5)
        self.assertEqual({n % 8 for n in counts}, {0})
        more = cut.choose(
            graph,
            tfprune.Budget(latency=0.6, target="cortex-m55"),
            channel_multiple=1,
        ).keep
        self.assertFalse(np.array_equal(keep, more))


if __name__ == "__main__":
    absltest.main()
