import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.datasets import class_indices

SCORES = np.zeros((3, 4))


class ClassIndicesTest(parameterized.TestCase):
    @parameterized.parameters(
        ([0, 3, 1],),
        ([[0], [3], [1]],),
        (np.array([0, 3, 1], "uint8"),),
        (np.array([0.0, 3.0, 1.0]),),
    )
    def test_of(self, y):
        found = class_indices.of(y, SCORES)
        self.assertEqual(found.shape, (3,))
        self.assertEqual(found.tolist(), [0, 3, 1])

    def test_of_each_place(self):
        y = np.array([[0, 1, 2], [3, 2, 1]])
        scores = np.zeros((2, 3, 4))
        np.testing.assert_array_equal(class_indices.of(y, scores), y)
        np.testing.assert_array_equal(class_indices.of(y[..., None], scores), y)

    def test_of_no_samples(self):
        found = class_indices.of(np.zeros(0, int), np.zeros((0, 4)))
        self.assertEqual(found.shape, (0,))

    @parameterized.parameters(
        ([0, 1],), ([0, 1, 2, 3],), (np.zeros((3, 3)),), (np.zeros((4, 3)),)
    )
    def test_one_label_for_each_score_vector(self, y):
        with self.assertRaisesRegex(
            ValueError, r"one-hot. Received: y of shape .* shape \(3, 4\)"
        ):
            class_indices.of(y, SCORES)

    @parameterized.parameters(
        ([0, 4, 1], "labels from 0 to 4"),
        ([-1, 3, 1], "labels from -1 to 3"),
        ([0, np.nan, 1], "labels from nan to nan"),
    )
    def test_a_label_that_has_no_score(self, y, message):
        with self.assertRaisesRegex(
            ValueError, f"0 to 3, as the file has 4 classes. .*{message}"
        ):
            class_indices.of(y, SCORES, "the file")

    def test_a_label_between_two_classes(self):
        with self.assertRaisesRegex(ValueError, "Received: 0.5 among them"):
            class_indices.of([0, 0.5, 1], SCORES)


if __name__ == "__main__":
    absltest.main()
