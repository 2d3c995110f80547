"""Batches of data of every kind."""

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.datasets import samples

X = np.arange(10, dtype="float32").reshape(5, 2)
Y = np.arange(5)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(2 * index, 2 * index + 2)
        return X[rows], Y[rows]


class Lists(Batches):
    def __getitem__(self, index):
        return list(super().__getitem__(index))


def loader():
    """Something like a DataLoader of PyTorch, whose batches are lists."""
    place = {"__module__": "torch.utils.data.dataloader"}
    kind = type("DataLoader", (), place)
    kind.__iter__ = lambda self: (Lists()[i] for i in range(3))
    return kind()


class Iterable:
    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


class Endless(Batches):
    @property
    def num_batches(self):
        return None


class Column:
    """A column of a table of pandas: brackets take the labels of its rows."""

    def __init__(self, values, labels):
        self.values, self.labels = values, labels
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, 1

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return self.values.astype(dtype or self.dtype)

    def __getitem__(self, rows):
        rows = [np.flatnonzero(self.labels == row)[0] for row in rows]
        return Column(self.values[rows], self.labels[rows])


def tf_dataset():
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(2)


def generator():
    return (Batches()[i] for i in range(3))


def model(*shapes):
    inputs = [keras.Input(s, name=f"in{i}") for i, s in enumerate(shapes)]
    parts = [keras.layers.Dense(1)(x) for x in inputs]
    out = keras.layers.Add()(parts) if len(parts) > 1 else parts[0]
    return keras.Model(inputs, out)


KINDS = {
    "arrays": lambda: (X, Y),
    "batches_with_weights": lambda: [(*Batches()[i], 1) for i in range(3)],
    "list_of_batches": lambda: list(generator()),
    "py_dataset": Batches,
    "py_dataset_of_lists": Lists,
    "loader": loader,
    "tf_dataset": tf_dataset,
    "generator": generator,
}


class SamplesTest(parameterized.TestCase):
    @parameterized.named_parameters(KINDS.items())
    def test_every_kind_gives_the_same_batches(self, make):
        found = list(samples.batches(make(), "a test", 2, labels=True))
        self.assertEqual([len(x) for x, _ in found], [2, 2, 1])
        np.testing.assert_array_equal(np.concatenate([x for x, _ in found]), X)
        np.testing.assert_array_equal(np.concatenate([y for _, y in found]), Y)
        self.assertIsInstance(found[0][0], np.ndarray)

    @parameterized.named_parameters(KINDS.items())
    def test_a_limit_cuts_the_last_batch(self, make):
        found = list(samples.batches(make(), "a test", 2, limit=3))
        self.assertEqual([len(x) for x, _ in found], [2, 1])
        self.assertEqual([len(y) for _, y in found], [2, 1])

    @parameterized.parameters(0, -5, 2.5, "9")
    def test_a_limit_leaves_samples(self, limit):
        with self.assertRaisesRegex(ValueError, f"limit={limit!r}"):
            list(samples.batches(np.zeros((9, 2)), "a test", limit=limit))

    def test_a_list_of_a_generator_holds_several_inputs(self):
        made = ([X, X[:, :1]] for _ in range(2))
        found = list(samples.batches(made, "a test", model=model((2,), (1,))))
        self.assertEqual([[a.shape for a in x] for x, _ in found][0][1], (5, 1))
        self.assertIsNone(found[0][1])

    def test_what_holds_no_arrays_is_told(self):
        x, y = np.zeros((9, 2)), np.zeros(9)
        for data, what in (
            ((x, y.tolist()), "a list of float"),
            ((x.tolist(), y), "a list of float"),
            ((x, list(y)), "a list of float64"),
            (x.tolist(), "a list of float"),
            ("data.npz", "data of type str"),
        ):
            with self.assertRaisesRegex(ValueError, f"Received: {what}"):
                list(samples.batches(data, "a test"))

    @parameterized.parameters(0, -4, 2.5, "8", None)
    def test_arrays_need_a_batch_size(self, batch_size):
        arrays = np.zeros((9, 2)), np.zeros(9)
        for read in (
            lambda: list(samples.batches(arrays, "a test", batch_size)),
            lambda: samples.for_fit(arrays, batch_size),
        ):
            with self.assertRaisesRegex(ValueError, f"={batch_size!r}\\."):
                read()
        self.assertLen(list(samples.batches([arrays], "a test", None)), 1)

    def test_an_endless_dataset_ends_at_the_limit(self):
        found = list(samples.batches(Endless(), "a test", limit=4))
        self.assertEqual([len(x) for x, _ in found], [2, 2])
        with self.assertRaisesRegex(ValueError, "Finite data"):
            next(samples.batches(Endless(), "a test"))
        with self.assertRaisesRegex(ValueError, "Finite data"):
            next(samples.batches(tf_dataset().repeat(), "a test"))

    def test_inputs_alone_have_no_labels(self):
        ((x, y),) = samples.batches(X, "a test")
        self.assertIsNone(y)
        np.testing.assert_array_equal(x, X)
        with self.assertRaisesRegex(ValueError, "Labels are needed for taylor"):
            next(samples.batches(X, "taylor", labels=True))

    def test_a_sequential_model_that_was_never_called(self):
        net = keras.Sequential(
            [keras.Input((2,), name="only"), keras.layers.Dense(1)]
        )
        given = {"only": np.zeros((4, 2))}
        ((x, _),) = samples.batches(given, "a test", model=net)
        self.assertLen(x, 1)
        with self.assertRaisesRegex(ValueError, "without \\['only'\\]"):
            list(samples.batches({"x": X}, "a test", model=net))

    def test_inputs_come_out_in_the_order_of_the_model(self):
        net = model((2,), (3,))
        given = {"in1": np.ones((4, 3)), "in0": np.zeros((4, 2)), "more": Y[:4]}
        ((x, _),) = samples.batches(given, "a test", model=net)
        self.assertEqual([part.shape for part in x], [(4, 2), (4, 3)])
        ((x, _),) = samples.batches(
            ([given["in0"], given["in1"]], Y[:4]), "a test", model=net
        )
        self.assertEqual([part.shape for part in x], [(4, 2), (4, 3)])

    @parameterized.named_parameters(
        ("none", None, r"Data are needed for a test"),
        ("empty", (X[:0], Y[:0]), "Samples are needed"),
        ("lengths", (X, Y[:3]), r"arrays of \[3, 5\] samples"),
        ("number", 7, "of type int"),
        ("used_generator", iter(()), "can be read only once"),
        ("rank", (X[..., None], Y), r"shapes .*\(2,\).*Received: \(2, 1\)"),
        ("too_many", ([X, X], Y), r"Received: \(2,\), \(2,\)"),
        ("name", ({"other": X}, Y), r"without \['in0'\]"),
        ("four", [(X, Y, Y, Y)], "a tuple of 4"),
    )
    def test_what_cannot_be_used_is_an_error(self, data, message):
        with self.assertRaisesRegex(ValueError, message):
            list(samples.batches(data, "a test", model=model((2,))))

    @parameterized.parameters(
        ([(X[0], Y[0])], True, "label for a test.* one sample, not a batch"),
        ([(X[0], Y[0])], False, "shapes.* one sample, not a batch"),
        ([X[0]], False, "shapes.* one sample, not a batch"),
        ([X[None]], False, r"shapes.*\(5, 2\) for a test\.$"),
        ([(X[:2], Y[:1])], True, r"label for a test.*\[1\]\.$"),
    )
    def test_a_sample_alone_is_no_batch(self, data, labels, message):
        net = None if labels else model((2,))
        data = iter(data)  # of which each is a batch
        with self.assertRaisesRegex(ValueError, message):
            list(samples.batches(data, "a test", labels=labels, model=net))

    def test_only_a_generator_cannot_be_read_twice(self):
        for make in (KINDS["arrays"], Batches, tf_dataset):
            samples.check_repeatable(make(), "thinet")
        with self.assertRaisesRegex(ValueError, "several times .* for thinet"):
            samples.check_repeatable(generator(), "thinet")

    def test_fit_gets_every_sample_once_in_an_order_of_each_epoch(self):
        for data in ((X, Y), [(X[i : i + 1], Y[i : i + 1]) for i in range(5)]):
            found = samples.for_fit(data, 2, seed=3)
            epochs = []
            for _ in range(3):
                parts = [found[i] for i in range(len(found))]
                x, y = (np.concatenate(p) for p in zip(*parts, strict=True))
                np.testing.assert_array_equal(x, X[y])
                epochs.append(y.tolist())
                found.on_epoch_begin()
            for epoch in epochs:
                self.assertCountEqual(epoch, range(5))
            self.assertLen({tuple(epoch) for epoch in epochs}, 3)
        again = samples.for_fit((X, Y), 5, seed=3)
        self.assertEqual(again[0][1].tolist(), epochs[0])
        again.epoch = 2  # as a backup does that is resumed
        self.assertEqual(again[0][1].tolist(), epochs[2])

    def test_fit_gets_several_inputs_and_tensors(self):
        net = model((1,), (1,))
        net.compile("sgd", "mse")
        x, y = np.ones((5, 1), "float32"), np.ones(5, "float32")
        tensors = [keras.ops.convert_to_tensor(x)] * 2
        for data in (
            ([x, x], y),
            (tensors, y, None),
            [([x, x], y)] * 2,
            [(tuple(tensors), y, None)] * 2,
        ):
            found = samples.for_fit(data, 2)
            net.fit(found, shuffle=False, verbose=0)

    def test_fit_gets_the_labels_of_its_samples_from_tables(self):
        order = np.array([3, 1, 4, 0, 2])
        x, y = samples.for_fit((order, Column(order, order)), 5)[0]
        np.testing.assert_array_equal(x, y)

    def test_fit_gets_data_sets_as_they_are(self):
        for data in (Batches(), tf_dataset()):
            self.assertIs(samples.for_fit(data), data)

    def test_fit_gets_the_batches_of_any_iterable(self):
        data = Iterable([(X[:2], Y[:2]), (X[2:], Y[2:], None)])
        net = model((2,))
        net.compile("sgd", "mse")
        history = net.fit(samples.for_fit(data), epochs=2, verbose=0)
        self.assertLen(history.history["loss"], 2)
        found = samples.for_fit(data)
        self.assertLen(found, 2)
        for _ in range(2):
            labels = np.concatenate([found[i][1] for i in range(2)])
            np.testing.assert_array_equal(labels, Y)
        # One that ends early begins again, for steps of one number.
        data.batches.pop()
        self.assertLen({len(found[i][1]) for i in range(2)}, 1)
