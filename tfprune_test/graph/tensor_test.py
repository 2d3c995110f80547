import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.graph import tensor


class TensorTest(parameterized.TestCase):
    def test_channels_along_one_axis(self):
        made = tensor.Tensor((None, 8, 6, 3), tensor.on_axis([7, 8, 9], 4, -1))
        self.assertEqual(made.rank, 4)
        self.assertEqual(made.labels.shape, (1, 1, 1, 3))
        self.assertEqual(made.varying, (3,))
        self.assertEqual([a.tolist() for a in made.axes], [[7, 8, 9]])
        self.assertEqual(made.other_size, 48)

    def test_channels_along_two_axes(self):
        # Two heads of three channels each: the label is their sum.
        labels = (10 * np.arange(2)[:, None] + np.arange(3))[None, None]
        made = tensor.Tensor((None, 5, 2, 3), labels)
        self.assertEqual(made.varying, (2, 3))
        self.assertEqual([a.tolist() for a in made.axes], [[0, 10], [0, 1, 2]])
        self.assertEqual(made.other_size, 5)

    def test_one_channel_alone_is_no_axis(self):
        made = tensor.Tensor((None, 4), tensor.on_axis([7], 2, 1))
        self.assertEqual(made.varying, ())
        self.assertEqual(made.axes, ())
        self.assertEqual(made.other_size, 4)

    def test_a_size_that_is_not_known_counts_as_one(self):
        made = tensor.Tensor((None, None, 3), tensor.on_axis([0, 1, 2], 3, 2))
        self.assertEqual(made.other_size, 1)

    def test_the_batch_does_not_count(self):
        made = tensor.Tensor((16, 5, 3), tensor.on_axis([0, 1, 2], 3, 2))
        self.assertEqual(made.other_size, 5)

    def test_a_scalar_for_each_sample(self):
        made = tensor.Tensor((None,), np.array([4]))
        self.assertEqual((made.rank, made.other_size), (1, 1))

    def test_a_changed_one_is_another_one(self):
        made = tensor.Tensor((None, 2), np.array([[0, 1]]), "int8")
        other = made.replace(labels=np.array([[2, 3]]))
        self.assertEqual(other.dtype, "int8")
        self.assertEqual(made.labels.tolist(), [[0, 1]])
        self.assertEqual(other.labels.tolist(), [[2, 3]])

    @parameterized.parameters((0, (2, 1, 1)), (1, (1, 2, 1)), (2, (1, 1, 2)))
    def test_labels_on_an_axis(self, axis, shape):
        found = tensor.on_axis([5, 6], 3, axis)
        self.assertEqual(found.shape, shape)
        self.assertEqual(found.ravel().tolist(), [5, 6])


if __name__ == "__main__":
    absltest.main()
