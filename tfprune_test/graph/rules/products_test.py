import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.costs import counting
from tfprune.graph import read
from tfprune.surgery import shrinking
from tfprune_test import exactness
from tfprune_test import models

LAYERS = keras.layers
OPS = keras.ops
ONES = np.ones((5, 4), "float32")
STACK = np.ones((3, 6, 4), "float32")


def queries_and_keys(product):
    inputs = keras.Input((7, 5))
    query, key, value = (LAYERS.Dense(n)(inputs) for n in (6, 6, 8))
    return keras.Model(inputs, LAYERS.Dense(2)(product(query, key, value)))


def by_einsum(query, key, value):
    scores = OPS.einsum("btc,bsc->bts", query, key)
    return OPS.einsum("bts,bsv->btv", OPS.softmax(scores), value)


def by_matmul(query, key, value):
    scores = OPS.matmul(query, OPS.transpose(key, (0, 2, 1)))
    return OPS.matmul(OPS.softmax(scores), value)


def by_heads():
    inputs = keras.Input((7, 5))
    query, key, value = (
        LAYERS.EinsumDense("abc,cde->abde", (7, 3, 4), bias_axes="de")(inputs)
        for _ in range(3)
    )
    scores = OPS.softmax(OPS.einsum("bthd,bshd->bhts", query, key))
    x = OPS.einsum("bhts,bshd->bthd", scores, value)
    x = LAYERS.EinsumDense("abde,def->abf", (7, 8), bias_axes="f")(x)
    return keras.Model(inputs, LAYERS.Dense(2)(x))


def drawn(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def split_first(x):
    x = OPS.transpose(OPS.reshape(x, (-1, 7, 3, 3, 4)), (2, 0, 3, 1, 4))
    return x[0], x[1], x[-1]


def swapped(x):
    x = OPS.swapaxes(OPS.reshape(x, (-1, 7, 3, 3, 4)), 1, 3)
    return OPS.unstack(OPS.moveaxis(x, 2, 0))


def split_and_squeezed(x):
    x = OPS.transpose(OPS.reshape(x, (-1, 7, 3, 3, 4)), (2, 0, 3, 1, 4))
    return [OPS.squeeze(part, 0) for part in OPS.split(x, 3)]


def split_after_heads(x):
    x = OPS.transpose(OPS.reshape(x, (-1, 7, 3, 3, 4)), (3, 0, 2, 1, 4))
    return [OPS.squeeze(part, 0) for part in OPS.split(x, [1, 2])]


def by_index(x):
    x = LAYERS.Reshape((7, 3, 3, 4))(x)
    return [LAYERS.Permute((2, 1, 3))(x[:, :, i]) for i in range(3)]


def unstacked(x):
    parts = OPS.unstack(OPS.reshape(x, (-1, 7, 3, 3, 4)), axis=2)
    return [OPS.transpose(part, (0, 2, 1, 3)) for part in parts]


def heads_first(x):
    x = OPS.reshape(x, (-1, 7, 3, 3, 4))
    return [OPS.transpose(x[..., i, :], (0, 2, 1, 3)) for i in range(3)]


def widths_first(x):
    x = OPS.reshape(x, (-1, 7, 4, 3, 3))
    return [OPS.transpose(x[..., i], (0, 3, 1, 2)) for i in range(3)]


SPLITS = (
    split_first,
    swapped,
    split_and_squeezed,
    split_after_heads,
    by_index,
    unstacked,
    heads_first,
    widths_first,
)


def split_by_hand(split, batch=None):
    """Attention of 3 heads whose queries, keys and values are one layer's."""
    inputs = keras.Input(batch_shape=(batch, 7, 5))
    query, key, value = split(LAYERS.Dense(36)(inputs))
    scores = OPS.matmul(query, OPS.swapaxes(key, 2, 3)) * 0.5
    x = OPS.transpose(OPS.matmul(OPS.softmax(scores), value), (0, 2, 1, 3))
    x = LAYERS.Dense(5)(OPS.reshape(x, (-1, 7, 12))) + inputs
    return keras.Model(inputs, LAYERS.Dense(2)(LAYERS.Dense(8)(x)))


def with_time_first():
    """Dense layers that see the batch on the second axis."""
    x = inputs = keras.Input((7, 5))
    x = OPS.transpose(LAYERS.Dense(6)(x), (1, 0, 2))
    x = LAYERS.Dense(4)(LAYERS.Dense(8, "relu")(x))
    x = LAYERS.Dense(3)(OPS.transpose(x, (1, 0, 2)))
    return keras.Model(inputs, LAYERS.Dense(2)(x))


class ProductsTest(exactness.ExactnessTestCase):
    @parameterized.named_parameters(
        ("an array", lambda x: OPS.einsum("abc,ce->abe", x, ONES), 7 * 5 * 4),
        ("dots", lambda x: OPS.einsum("...c,cd->...d", x, ONES), 7 * 5 * 4),
        ("no arrow", lambda x: OPS.einsum("abc,cd", x, ONES), 7 * 5 * 4),
        ("matmul", lambda x: OPS.matmul(x, ONES), 7 * 5 * 4),
        ("dot", lambda x: OPS.dot(x, ONES), 7 * 5 * 4),
        ("tensordot", lambda x: OPS.tensordot(x, ONES, 1), 7 * 5 * 4),
        ("inner of tensors", lambda x: OPS.inner(x, x), 7 * 7 * 5),
        ("tensors", lambda x: OPS.einsum("abc,aec->abe", x, x), 7 * 7 * 5),
    )
    def test_work_of_products(self, product, work):
        inputs = keras.Input((7, 5))
        graph = read.channel_graph(keras.Model(inputs, product(inputs)))
        self.assertEqual(counting.Meter(graph).macs(), work)

    @parameterized.parameters(by_einsum, by_matmul)
    def test_work_of_products_when_pruned(self, product):
        cut = exactness.half(queries_and_keys(product))
        of_products = 7 * 7 * 6 + 7 * 7 * 4
        dense = 7 * 5 * (6 + 6 + 4) + 7 * 4 * 2
        self.assertEqual(
            counting.Meter(cut.graph).macs(cut.keep), dense + of_products
        )
        small = shrinking.apply(cut)
        self.assertEqual(counting.cost(small).macs, dense + of_products)

    @parameterized.parameters(by_einsum, by_matmul)
    def test_products_of_tensors(self, product):
        found = self.assert_exact(queries_and_keys(product))
        # Only the values' channels come out alone.
        self.assertEqual(int(found.graph.removable.sum()), 8)

    def test_heads_of_a_product(self):
        found = self.assert_exact(by_heads())
        self.assertEqual(int(found.graph.removable.sum()), 3 + 8)

    @parameterized.parameters(*SPLITS)
    def test_heads_of_one_layer(self, split):
        model = split_by_hand(split)
        found = self.assert_exact(model)
        self.assertEqual(int(found.graph.removable.sum()), 3 + 8)
        cut = exactness.half(model)  # One head of three goes.
        small = shrinking.apply(cut)
        self.assertEqual(small.layers[1].units, 24)
        self.assertEqual(
            counting.cost(small).macs, counting.Meter(cut.graph).macs(cut.keep)
        )

    def test_costs_of_heads_do_not_depend_on_how_they_are_split(self):
        macs = {counting.cost(split_by_hand(split)).macs for split in SPLITS}
        self.assertLen(macs, 1)

    def test_heads_of_a_batch_of_known_size(self):
        found = self.assert_exact(split_by_hand(split_first, 3))
        self.assertEqual(int(found.graph.removable.sum()), 3 + 8)

    def test_a_batch_that_layers_see_on_another_axis(self):
        found = self.assert_exact(with_time_first())
        self.assertEqual(int(found.graph.removable.sum()), 8 + 3)
        reasons = {reason for *_, reason in found.graph.reasons}
        self.assertIn("a transpose that moves the batch axis", reasons)

    def test_a_slice_of_a_batch_on_another_axis(self):
        inputs = keras.Input((7, 5))
        x = OPS.transpose(LAYERS.Dense(6)(inputs), (1, 0, 2))[:, :1]
        x = LAYERS.Dense(4)(LAYERS.Dense(8)(x))
        found = read.channel_graph(keras.Model(inputs, x))
        self.assertEqual(int(found.removable.sum()), 8)

    @parameterized.named_parameters(
        ("of softmax", "bnk,bnd->bkd", "softmax", 6),
        ("of softmax, last", "bnk,bnd->bdk", "softmax", 6),
        ("of any", "bnk,bnd->bkd", None, 6),
    )
    def test_letters_that_cross(self, equation, activation, removable):
        inputs = keras.Input((7, 5))
        weights = LAYERS.Dense(3, activation)(inputs)
        x = OPS.einsum(equation, weights, LAYERS.Dense(6)(inputs))
        x = LAYERS.Dense(2)(LAYERS.Flatten()(x))
        found = self.assert_exact(keras.Model(inputs, x))
        self.assertEqual(int(found.graph.removable.sum()), removable)

    @parameterized.parameters(
        ("bnd,bne->bde", "bnd,bde->bne"), ("bnd,bne->bed", "bnd,bed->bne")
    )
    def test_linear_attention(self, first, second):
        model = queries_and_keys(
            lambda query, key, value: OPS.einsum(
                second, query, OPS.einsum(first, key, value)
            )
        )
        found = self.assert_exact(model)
        self.assertEqual(int(found.graph.removable.sum()), 8)

    @parameterized.named_parameters(
        ("matrix first", lambda x: OPS.matmul(drawn(4, 7), x), 6 + 8),
        (
            "matrix last",
            lambda x: OPS.matmul(OPS.transpose(x, (0, 2, 1)), drawn(7, 4)),
            6 + 8,
        ),
        ("channels summed", lambda x: OPS.matmul(x, drawn(6, 4)), 8),
        ("row first", lambda x: OPS.matmul(drawn(7), x), 6 + 8),
        ("stack first", lambda x: OPS.matmul(drawn(1, 4, 7), x), 6 + 8),
        (
            "stack last",
            lambda x: OPS.matmul(OPS.transpose(x, (0, 2, 1)), drawn(1, 7, 4)),
            6 + 8,
        ),
        (
            "row last",
            lambda x: OPS.matmul(OPS.transpose(x, (0, 2, 1)), drawn(7)),
            6 + 8,
        ),
        (
            "matrix for each channel",
            lambda x: OPS.matmul(
                OPS.transpose(x, (0, 2, 1))[:, :, None], drawn(6, 7, 4)
            ),
            6 + 8,
        ),
        ("channels summed by a row", lambda x: OPS.matmul(x, drawn(6)), 8),
        ("a stack that spreads", lambda x: OPS.matmul(x[:, None], STACK), 8),
        (
            "dots",
            lambda x: OPS.einsum("...tc,ts->...sc", x, drawn(7, 4)),
            6 + 8,
        ),
        (
            "dots alone",
            lambda x: OPS.einsum("...c,c->...c", x, drawn(6)),
            6 + 8,
        ),
        ("no arrow", lambda x: OPS.einsum("atc,st", x, drawn(4, 7)), 6 + 8),
        ("dots summed", lambda x: OPS.einsum("...c,cd", x, drawn(6, 4)), 8),
        (
            "steps",
            lambda x: OPS.einsum("btc,ts->bsc", x, drawn(7, 4)),
            6 + 8,
        ),
        (
            "array first",
            lambda x: OPS.einsum("ts,btc->bsc", drawn(7, 4), x),
            6 + 8,
        ),
        (
            "of each channel",
            lambda x: OPS.einsum("btc,tsc,c->bsc", x, drawn(7, 4, 6), drawn(6)),
            6 + 8,
        ),
        (
            "the same channels twice",
            lambda x: OPS.einsum("btc,cc->btc", x, drawn(6, 6)),
            6 + 8,
        ),
        ("sum", lambda x: OPS.einsum("btc,cs->bts", x, drawn(6, 4)), 8),
        ("dot", lambda x: OPS.dot(x, drawn(6, 4)), 8),
        (
            "dot of steps",
            lambda x: OPS.dot(OPS.transpose(x, (0, 2, 1)), drawn(7, 4)),
            6 + 8,
        ),
        (
            "dot by a row",
            lambda x: OPS.dot(OPS.transpose(x, (0, 2, 1)), drawn(7)),
            6 + 8,
        ),
        (
            "dot by a stack",
            lambda x: OPS.dot(OPS.transpose(x, (0, 2, 1)), drawn(2, 7, 4)),
            6 + 8,
        ),
        ("inner", lambda x: OPS.inner(x, drawn(4, 6)), 8),
        (
            "tensordot of steps",
            lambda x: OPS.tensordot(x, drawn(7, 4), axes=[[1], [0]]),
            6 + 8,
        ),
        (
            "tensordot by negative axes",
            lambda x: OPS.tensordot(x, drawn(4, 7), axes=([-2], [-1])),
            6 + 8,
        ),
        ("tensordot of all", lambda x: OPS.tensordot(x, drawn(7, 6, 3)), 8),
        ("outer", lambda x: OPS.tensordot(x, drawn(3), axes=0), 6 + 8),
    )
    def test_products_with_arrays(self, product, removable):
        inputs = keras.Input((7, 5))
        x = LAYERS.Flatten()(product(LAYERS.Dense(6)(inputs)))
        model = keras.Model(inputs, LAYERS.Dense(2)(LAYERS.Dense(8)(x)))
        found = self.assert_exact(model)
        self.assertEqual(int(found.graph.removable.sum()), removable)
        cut = exactness.half(model)
        self.assertEqual(
            counting.cost(shrinking.apply(cut)).macs,
            counting.Meter(cut.graph).macs(cut.keep),
        )

    def test_dots_in_attention(self):
        model = queries_and_keys(
            lambda query, key, value: OPS.einsum(
                "...qk,...kd->...qd",
                OPS.einsum("...qd,...kd->...qk", query, key),
                value,
            )
        )
        found = self.assert_exact(model)
        self.assertEqual(int(found.graph.removable.sum()), 8)

    def test_one_number_for_all_channels(self):
        inputs = keras.Input((7, 5))
        x = OPS.einsum("btc,tc->btc", LAYERS.Dense(6)(inputs), drawn(1, 1))
        cut = exactness.half(keras.Model(inputs, LAYERS.Dense(2)(x)))
        small = shrinking.apply(cut)
        self.assertEqual(small.layers[1].units, 3)
        work = [models.multiply_adds(cut.graph, "einsum", cut.keep)]
        work.append(models.multiply_adds(read.channel_graph(small), "einsum"))
        self.assertEqual(work, [7 * 3] * 2)

    def test_heads_turned_by_an_array(self):
        inputs = keras.Input((7, 5))
        x = OPS.reshape(LAYERS.Dense(12)(inputs), (-1, 7, 3, 4))
        x = OPS.reshape(OPS.matmul(x, drawn(4, 4)), (-1, 7, 12))
        found = self.assert_exact(keras.Model(inputs, LAYERS.Dense(2)(x)))
        self.assertEqual(int(found.graph.removable.sum()), 3)

    def test_attention_in_one_op(self):
        inputs = keras.Input((7, 5))
        split = [
            LAYERS.EinsumDense("abc,cde->abde", (7, 3, 4), bias_axes="de")
            for _ in range(3)
        ]
        x = OPS.dot_product_attention(*(layer(inputs) for layer in split))
        x = LAYERS.EinsumDense("abde,def->abf", (7, 8))(x)
        model = keras.Model(inputs, LAYERS.Dense(2)(x))
        found = self.assert_exact(model)
        self.assertEqual(int(found.graph.removable.sum()), 3 + 8)
        work = models.multiply_adds(found.graph, "dot_product_attention")
        self.assertEqual(work, 2 * 7 * 7 * 3 * 4)
        cut = exactness.half(model)  # One head of three, rounded up: two.
        for graph, keep in (
            (cut.graph, cut.keep),
            (read.channel_graph(shrinking.apply(cut)), None),
        ):
            work = models.multiply_adds(graph, "dot_product_attention", keep)
            self.assertEqual(work, 2 * 7 * 7 * 2 * 4)

    def test_heads_of_split_channels_in_one_op(self):
        inputs = keras.Input((7, 5))
        split = [
            OPS.reshape(LAYERS.Dense(12)(inputs), (-1, 7, 3, 4))
            for _ in range(3)
        ]
        x = OPS.dot_product_attention(*split)
        x = LAYERS.Dense(2)(OPS.reshape(x, (-1, 7, 12)))
        found = self.assert_exact(keras.Model(inputs, x))
        self.assertEqual(int(found.graph.removable.sum()), 3)

    def test_queries_of_channels_in_one_op(self):
        inputs = keras.Input((6, 2, 4))
        x = LAYERS.Dense(5)(LAYERS.Reshape((6, 8))(inputs))
        x = OPS.reshape(LAYERS.Permute((2, 1))(x), (-1, 5, 2, 3))
        keys = inputs[..., :3]
        x = OPS.dot_product_attention(x, keys, keys)
        model = keras.Model(inputs, LAYERS.Dense(2)(LAYERS.Flatten()(x)))
        self.assertFalse(read.channel_graph(model).removable.any())


if __name__ == "__main__":
    absltest.main()
