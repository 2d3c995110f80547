import os
import pathlib
import shutil

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.export.edit.replaced import esp_kernels
from tfprune.export.micro.arena import flat_ops
from tfprune_test.export import small_models
from tools import esp_nn
from tools import xtensa_core

# make test-all ESP_NN=../esp-nn
SOURCES = os.environ.get("ESP_NN")
# Sums of bytes: with a window of registers, and by plain calls around it.
SUM = """
    .global add_up
    .literal .start, 7
add_up: # (values, count)
    entry a1, 48
    l32r  a5, .start
    loopgtz a3, .Lend
    l8ui a4, a2, 0
    sext a4, a4, 7
    add.n a5, a5, a4
    addi.n a2, a2, 1
.Lend:
    mov.n a2, a5
    retw.n
"""
TWICE = """
    .global twice
twice:
    addi sp, sp, -16
    s32i a0, sp, 0
    s32i.n a12, sp, 4
    movi a12, 5   // kept by who is called
    call0 add_up
    add a2, a2, a12
    mull a2, a2, a12
    l32i a12, sp, 4
    l32i a0, sp, 0
    addi sp, sp, 16
    ret
"""
DOT = """
    .global dot
dot: # (aligned, unaligned, vectors)
    entry a1, 32
    ee.zero.accx
    ee.ld.128.usar.ip q0, a3, 16
    loopgtz a4, 1f
    ee.ld.128.usar.ip q2, a3, 16
    ee.vld.128.ip q1, a2, 16
    ee.src.q.qup q3, q0, q2
    ee.vmulas.s8.accx q3, q1
1:
    rur.accx_0 a2
    retw
"""
LANES = """
    .global lanes
lanes: # (bytes, to): each byte times the last, as sums of 40 bits
    entry a1, 32
    ee.zero.q q7
    ee.vld.l.64.ip q0, a2, 0
    ee.vcmp.lt.s8 q1, q0, q7
    ee.vzip.8 q0, q1
    ee.zero.qacc
    ee.vsmulas.s16.qacc q0, q0, 7
    ee.st.qacc_l.l.128.ip a3, 16
    ee.st.qacc_l.h.32.ip a3, 16
    ee.st.qacc_h.l.128.ip a3, 16
    ee.st.qacc_h.h.32.ip a3, 0
    retw
"""
ROUND = """
    .global rounded
rounded: # (value, factor, shift): a product's upper half, shifted
    entry a1, 32
    mulsh a5, a2, a3
    ssr a4
    sra a5, a5
    bgez a5, .Ldone
    neg a5, a5
.Ldone:
    call8 outside
    add a2, a5, a10
    retw
"""


def odd_shapes():
    """A network in which ESP-NN's assembly goes wrong in each of its ways."""
    layers = keras.layers
    inputs = keras.Input((9, 10, 6))
    x = layers.Conv2D(12, 3, 2, "same", activation="relu")(inputs)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    pooled = layers.AveragePooling2D((2, 1))(x)
    rows = layers.Reshape((18, 40))(layers.Conv2D(72, 1)(pooled))
    scores = layers.Softmax()(rows)
    pair = layers.Multiply()([rows, layers.Add()([rows, scores])])
    outputs = [pooled, scores, layers.Dense(5)(layers.Dense(18)(pair))]
    return keras.Model(inputs, [*outputs, layers.MaxPooling2D(2)(x)])


class CoreTest(parameterized.TestCase):
    def core(self, *texts, **library):
        texts = {f"{number}.s": text for number, text in enumerate(texts)}
        return xtensa_core.Core(texts, library, 1 << 18)

    def test_loops_and_counts(self):
        core = self.core(SUM)
        values = np.array([3, -128, 127, -1], "i1")
        at = core.allocate(values)
        self.assertEqual(core.run("add_up", at, 4), (7 + 1, 5 + 4 * 4))
        self.assertEqual(core.run("add_up", at, 0), (7, 5))

    def test_functions_of_both_conventions_call_each_other(self):
        core = self.core(TWICE, SUM)
        at = core.allocate(np.arange(10, dtype="i1"))
        found, _ = core.run("twice", at, 10)
        self.assertEqual(found, (45 + 7 + 5) * 5)

    def test_vectors_from_any_address(self):
        core = self.core(DOT)
        rng = np.random.default_rng(0)
        a, b = rng.integers(-128, 128, (2, 80)).astype("i1")
        at = core.allocate(a), core.allocate(b)
        for shift in (0, 3, 15):
            found, _ = core.run("dot", at[0], at[1] + shift, 4)
            wanted = a[:64].astype(int) @ b[shift : shift + 64].astype(int)
            self.assertEqual(found, wanted)

    def test_a_sum_for_each_lane(self):
        core = self.core(LANES)
        values = np.array([1, -2, 3, 100, -128, 127, 0, -7], "i1")
        to = core.allocate(bytes(80))
        core.run("lanes", core.allocate(values), to)
        data = bytes(core.memory[to : to + 80])
        # 128 and 32 bits of the first four, then of the others.
        wide = data[:20] + data[32:52]
        found = [
            int.from_bytes(wide[i : i + 5], "little", signed=True)
            for i in range(0, 40, 5)
        ]
        self.assertEqual(found, (values.astype(int) * -7).tolist())

    def test_a_function_of_the_library(self):
        core = self.core(ROUND, outside=lambda core, words: (1000, 50))
        found, count = core.run("rounded", -(1 << 20), 1 << 30, 3)
        self.assertEqual(found, (1 << 15) + 1000)
        self.assertEqual(count, 9 + 50)

    @parameterized.parameters(
        ("entry a1, 32\nee.unheard.of q0\nretw", "Received: ee.unheard.of"),
        ("entry a1, 32\ncall8 nobody\nretw", "Received: nobody"),
    )
    def test_what_is_unknown(self, text, message):
        with self.assertRaisesRegex(ValueError, message):
            self.core(f".global f\nf:\n{text}").run("f")

    def test_more_than_fits(self):
        with self.assertRaisesRegex(MemoryError, "304,096 bytes"):
            self.core(SUM).allocate(bytes(300_000))


class KernelsTest(parameterized.TestCase):
    def test_factors_of_integers(self):
        for real in (0.75, 0.1, 3.0, 1 - 2**-40, 0.0):
            part, shift = esp_nn.multiplier(real)
            self.assertLess(part, 1 << 31)
            self.assertAlmostEqual(part * 2.0 ** (shift - 31), real, delta=1e-9)

    def test_a_folder_without_sources(self):
        folder = self.create_tempdir().full_path
        with self.assertRaisesRegex(FileNotFoundError, "ESP-NN's sources"):
            esp_nn.Kernels(folder, folder)

    @pytest.mark.slow
    @pytest.mark.skipif(not SOURCES, reason="ESP_NN=FOLDER names its sources")
    @pytest.mark.skipif(
        not shutil.which(esp_nn.COMPILER), reason="needs a compiler for Xtensa"
    )
    def test_networks_of_odd_shapes(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        kernels = esp_nn.Kernels(SOURCES, folder / "build")
        path = folder / "model.tflite"
        model = odd_shapes()
        data = small_models.samples(model, 30)
        small_models.export(model, path, "int8", data)
        wrong = [run for run in kernels.ops(path) if run and run.by > 1]
        self.assertNotEmpty(wrong)
        path.write_bytes(esp_kernels.substituted(path.read_bytes())[0])
        (graph,) = flat_ops.read(path.read_bytes())
        ran = list(kernels.ops(path))
        self.assertLen(ran, len(graph.ops))
        self.assertLessEqual(max(run.by for run in ran if run), 1)
