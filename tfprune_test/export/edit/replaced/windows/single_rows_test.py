import pathlib

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.export.edit.replaced.windows import single_rows
from tfprune.export.micro.arena import flat_ops
from tfprune.export.run import interpreter
from tfprune_test.export import small_models

LAYERS = keras.layers


def by_hand(width, kernel, stride, places, same):
    """Whether CMSIS-NN's copies of the row and its padding are right.

    The loops of `arm_convolve_1_x_n_s8`, on the positions of the values.
    """
    padding = (places - 1) * stride + kernel - width
    before = max(0, padding) // 2 if same else 0
    odd = int(np.fmod(padding, 2))
    if before * 2 + odd != padding:
        return False
    last = max(1, -(-(before + odd) // stride)) if before + odd else 0
    first = max(1, -(-before // stride)) if before else 0
    middle = max(places - first - last, 0)
    if first + middle + last != places:
        return True
    start = stride * (first + middle) - before
    row = [*range(start, start + kernel - 1)]
    row += [None] * (last if odd else before)
    for place in range(last):
        wanted = [
            i if i < width else None
            for i in range(
                start + place * stride, start + place * stride + kernel
            )
        ]
        if row[place * stride : place * stride + kernel] != wanted:
            return False
    return True


class ConvolutionsTest(parameterized.TestCase):
    def test_what_the_kernel_gets_wrong(self):
        for width in range(2, 14):
            for kernel in range(2, 7):
                for stride in range(1, 5):
                    for same in (True, False):
                        over = 0 if same else kernel - 1
                        if width <= over:
                            continue
                        places = -(-(width - over) // stride)
                        case = width, kernel, stride, places, same
                        with self.subTest(case):
                            self.assertEqual(
                                single_rows._goes_wrong(*case),
                                not by_hand(*case),
                            )

    @parameterized.parameters(
        (16, 5, 2, "same", True),
        (9, 4, 2, "valid", True),
        (16, 5, 1, "same", False),
        (8, 4, 2, "valid", False),
    )
    def test_it_becomes_a_column(self, width, kernel, stride, padding, column):
        inputs = keras.Input((width, 4))
        layer = LAYERS.Conv1D(3, kernel, stride, padding)
        model = keras.Model(inputs, layer(inputs))
        path = pathlib.Path(self.create_tempdir().full_path, "model.tflite")
        data = small_models.samples(model, 30)
        small_models.export(model, path, "int8", data)
        (graph,) = flat_ops.read(path.read_bytes())
        (op,) = (op for op in graph.ops if op.kind == "CONV_2D")
        self.assertEqual(op.inputs[0].shape[2] == 1, column)
        self.assertEqual(op.inputs[0].shape[1] == 1, not column)
        (wanted,) = small_models.predictions(model, data)
        found = interpreter.run(path, data, "micro")
        np.testing.assert_allclose(found, wanted, atol=0.03 * np.ptp(wanted))
