import dataclasses
import itertools

import numpy as np
from absl.testing import parameterized

from tfprune.export.convert import calibration
from tfprune.export.convert import signature

IMAGE = signature.Input("image", (1, 2, 2, 1), "float32", "an image")
FLAG = signature.Input("flag", (1, 3), "int32", "flag")
X = np.arange(40, dtype="float32").reshape(10, 2, 2, 1)
F = np.arange(30, dtype="int64").reshape(10, 3)


def one(data, limit=10):
    (array,) = calibration.samples(data, (IMAGE,), limit)
    return array


def in_one_place(parts):
    """Yields the parts one after the other in the same array."""
    place = np.empty_like(parts[0])
    for part in parts:
        place[:] = part
        yield place


class OneInputTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("an_array", lambda: X),
        ("in_a_list", lambda: [X]),
        ("by_name", lambda: {"image": X}),
        ("by_name_in_the_model", lambda: {"an image": X}),
        ("a_list_of_samples", lambda: list(X)),
        ("batches", lambda: (X[i : i + 4] for i in (0, 4, 8))),
        ("batches_with_labels", lambda: ((X[i : i + 5], i) for i in (0, 5))),
        ("with_labels_and_weights", lambda: ((x, 1, 1.0) for x in X)),
        (
            "batches_by_name",
            lambda: ({"image": X[i : i + 2]} for i in range(0, 10, 2)),
        ),
        ("without_end", lambda: ((X, 0) for _ in itertools.count())),
        ("integers", lambda: X.astype("uint8")),
        ("samples_in_one_place", lambda: in_one_place(X)),
        (
            "batches_in_one_place",
            lambda: in_one_place(X.reshape(5, 2, 2, 2, 1)),
        ),
    )
    def test_every_form_gives_the_same_samples(self, data):
        samples = one(data())
        np.testing.assert_array_equal(samples, X)
        self.assertEqual(samples.dtype, np.float32)

    def test_a_long_array_is_sampled_at_even_distances(self):
        np.testing.assert_array_equal(one(X, limit=4), X[[0, 3, 6, 9]])

    def test_an_iterable_gives_its_first_samples(self):
        np.testing.assert_array_equal(one(iter([X[:3], X[3:]]), 5), X[:5])

    def test_no_more_is_read_than_needed(self):
        source = iter(X)
        one(source, limit=3)
        np.testing.assert_array_equal(next(source), X[3])

    @parameterized.named_parameters(
        (
            "channels_first",
            X.reshape(10, 1, 2, 2),
            r"\(N, 2, 2, 1\).*\(10, 1, 2, 2\)",
        ),
        (
            "a_single_sample",
            X[0],
            r"shape \(N, 2, 2, 1\). Received.* \(2, 2, 1\)",
        ),
        ("misshapen_batches", iter([X[:3], X[..., 0]]), r"\(10, 2, 2\)"),
        ("empty", X[:0], "samples"),
        ("a_used_up_generator", iter(()), "make a new one"),
        ("text", "images.npy", "str"),
        ("a_number", 3, "int"),
        ("dtype_text", X.astype(str), "dtype=<U"),
        ("dtype_complex", X.astype("complex64"), "complex64"),
        ("another_name", {"img": X}, r"\['an image'\]. Received: \['img'\]"),
    )
    def test_what_does_not_fit_is_refused(self, data, message):
        with self.assertRaisesRegex(ValueError, message):
            one(data)

    @parameterized.parameters(np.nan, np.inf, -np.inf, 1e39)
    def test_values_that_are_not_finite_are_found(self, value):
        data = X.astype("float64")
        data[7, 1, 0, 0] = value
        with self.assertRaisesRegex(ValueError, "1 of 10.*index 7"):
            one(data)

    def test_integers_that_would_wrap_around_are_refused(self):
        inputs = (signature.Input("x", (1, 3), "uint8", "x"),)
        data = np.full((5, 3), 255)
        (found,) = calibration.samples(data, inputs, 5)
        self.assertEqual(found.max(), 255)
        for other in (data + 1, -data):
            with self.assertRaisesRegex(ValueError, "must fit uint8.*25"):
                calibration.samples(other, inputs, 5)

    @parameterized.parameters(0, -1, 2.5, True)
    def test_the_limit_is_a_count(self, limit):
        with self.assertRaisesRegex(ValueError, "calibration_samples="):
            one(X, limit)


class SeveralInputsTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("a_tuple", lambda: (X, F)),
        ("a_list", lambda: [X, F]),
        ("by_name", lambda: {"flag": F, "image": X}),
        ("pairs", lambda: zip(X, F, strict=True)),
        (
            "pairs_with_labels",
            lambda: (((x, f), 0) for x, f in zip(X, F, strict=True)),
        ),
        (
            "batches_by_name",
            lambda: (({"image": X, "flag": F}, 0) for _ in range(1)),
        ),
    )
    def test_every_form_gives_the_same_samples(self, data):
        images, flags = calibration.samples(data(), (IMAGE, FLAG), 10)
        np.testing.assert_array_equal(images, X)
        np.testing.assert_array_equal(flags, F)
        self.assertEqual(flags.dtype, np.int32)

    @parameterized.parameters(
        {"pair": [X, F]},
        {"pair": {"a": X, "b": F}},
        ([{"pair": [x, f]} for x, f in zip(X, F, strict=True)],),
    )
    def test_inputs_in_a_structure(self, data=None, **named):
        specs = [
            dataclasses.replace(spec, key="pair") for spec in (IMAGE, FLAG)
        ]
        image, flag = calibration.samples(data or named, specs, 10)
        np.testing.assert_array_equal(image, X)
        np.testing.assert_array_equal(flag, F)

    def test_keys_of_the_model_come_before_names_in_the_file(self):
        swapped = (
            signature.Input("a", (1, 2), "float32", "b"),
            signature.Input("b", (1, 2), "float32", "a"),
        )
        data = {"a": np.zeros((3, 2)), "b": np.ones((3, 2))}
        first, second = calibration.samples(data, swapped, 10)
        np.testing.assert_array_equal(first, data["b"])
        np.testing.assert_array_equal(second, data["a"])

    @parameterized.named_parameters(
        ("one_is_missing", (X,), "2 input"),
        ("lengths_differ", (X, F[:9]), r"\[10, 9\]"),
        ("fractions_for_integers", (X, F + 0.5), "int32.*float64"),
        ("an_array", X, "2 input"),
    )
    def test_what_does_not_fit_is_refused(self, data, message):
        with self.assertRaisesRegex(ValueError, message):
            calibration.samples(data, (IMAGE, FLAG), 10)
