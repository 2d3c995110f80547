import pathlib

import keras
from absl.testing import parameterized

from tfprune.export.micro.arena import arena_need
from tfprune.export.micro.arena import measured_arena
from tfprune_test import conftest
from tfprune_test.export import small_models

# The least arenas of published ResNet-8 on emulated cores, found by halving.
RESNET_8 = (
    ("reference", "cortex-m4", 54_352),
    ("cmsis-nn", "cortex-m4", 55_008),
    ("cmsis-nn", "cortex-m55", 55_040),
)


def recurrent():
    inputs = keras.Input((5, 3))
    x = keras.layers.LSTM(4, unroll=True)(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def depthwise():
    """A depthwise layer, whose buffers differ most between cores."""
    inputs = keras.Input((8, 8, 16))
    x = keras.layers.DepthwiseConv2D(5, padding="same")(inputs)
    x = keras.layers.AveragePooling2D(2)(x)
    return keras.Model(inputs, keras.layers.Conv2D(3, 3)(x))


class ArenaNeedTest(parameterized.TestCase):
    def file(self, build, quantize="int8"):
        path = pathlib.Path(self.create_tempdir().full_path, "net.tflite")
        model = build()
        samples = small_models.samples(model) if quantize != "float32" else ()
        small_models.export(model, path, quantize, *[samples] * bool(samples))
        return path

    @parameterized.parameters(*RESNET_8)
    def test_the_need_is_what_emulated_cores_were_seen_to_need(
        self, kernels, core, measured
    ):
        path = conftest.shared_path(
            "data", "tinyml", "pretrainedResnet_quant.tflite"
        )
        need = arena_need.of(path, kernels, core)
        self.assertBetween(need.bytes, measured, 1.01 * measured)

    @parameterized.product(
        build=(
            small_models.residual,
            small_models.squeeze_and_excite,
            small_models.two_in_two_out,
            recurrent,
            depthwise,
        ),
        quantize=("int8", "int16x8", "float32"),
    )
    def test_activations_lie_where_the_interpreter_puts_them(
        self, build, quantize
    ):
        path = self.file(build, quantize)
        measured = measured_arena.arena(path)
        plan = arena_need.of(path, "reference").plan
        self.assertEqual(plan.shared_bytes, measured.shared_bytes)
        self.assertLessEqual(plan.bytes, measured.required_bytes + 16)

    def test_buffers_of_a_depthwise_layer_by_core(self):
        path = self.file(depthwise)
        found = {
            core: {
                (b.name, b.bytes)
                for b in arena_need.of(path, "cmsis-nn", core).plan.buffers
                if b.scratch
            }
            for core in ("cortex-m0", "cortex-m4", "cortex-m55")
        }
        columns = 2 * 2 * 3 * 3 * 16
        self.assertEqual(found["cortex-m0"], {("CONV_2D", columns)})
        self.assertEqual(
            found["cortex-m4"],
            {
                ("DEPTHWISE_CONV_2D", 2 * 16 * 5 * 5),
                ("AVERAGE_POOL_2D", 4 * 16),
                ("CONV_2D", columns),
            },
        )
        self.assertEqual(
            found["cortex-m55"],
            {
                ("DEPTHWISE_CONV_2D", 4 * 124 * 5 * 5),
                ("CONV_2D", 4 * 16 * 9),
            },
        )

    def test_without_a_core_the_largest_of_all_cortex_m(self):
        path = self.file(depthwise)
        need = arena_need.of(path)
        self.assertEqual(need.worst, ("cmsis-nn", "mve"))
        single = [
            arena_need.of(path, core=core).bytes
            for core in ("cortex-m3", "Cortex-M7", "cortex-m85")
        ]
        self.assertEqual(need.bytes, max(single))
        self.assertEqual(single, sorted(single))

    @parameterized.parameters(
        ("Xtensa LX7", "esp-nn", "vector"),
        ("esp32-c3", "esp-nn", "plain"),
        ("Cortex-M0+", "cmsis-nn", "plain"),
    )
    def test_cores_by_their_makers_names(self, core, kernels, extension):
        need = arena_need.of(self.file(small_models.dense), core=core)
        self.assertIn((kernels, extension), need.plans)
