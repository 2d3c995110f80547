"""What arrives in another process is what was sent."""

import os
import pathlib
import pickle

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest

from tfprune.pipeline import parcel as parcel_lib
from tfprune.pipeline import preparation
from tfprune.pipeline.result import compressed
from tfprune_test.pipeline import small_tasks


class Few(keras.layers.Dense):
    """Takes less than what its config has."""

    def __init__(self, units):
        super().__init__(units)


class Rate(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that cannot be saved."""

    def __call__(self, step):
        return 0.01


class ParcelTest(absltest.TestCase):
    def test_a_model_that_cannot_be_saved_is_named(self):
        model = small_tasks.classifier(small_tasks.blobs(48, 2), epochs=1)
        model.compile(
            keras.optimizers.SGD(Rate()), "sparse_categorical_crossentropy"
        )
        sent = small_tasks.request(model=model)
        with self.assertRaisesRegex(
            ValueError, "model of type Functional.*Rate.*; or workers=1"
        ):
            parcel_lib.packed(sent, pickle)

    def test_what_arrives_is_what_was_sent(self):
        teacher = small_tasks.classifier(small_tasks.blobs(48, 2), epochs=1)
        sent = small_tasks.request(
            teacher=teacher,
            loss=keras.losses.SparseCategoricalCrossentropy(name="own"),
            metrics=[
                keras.metrics.SparseCategoricalAccuracy(name="own_accuracy")
            ],
        )
        parcel = pickle.loads(pickle.dumps(parcel_lib.packed(sent, pickle)))
        came = parcel_lib.unpacked(parcel, pickle)
        x = sent.train[0]
        np.testing.assert_array_equal(came.train[0], x)
        np.testing.assert_array_equal(came.model(x), sent.model(x))
        np.testing.assert_array_equal(came.teacher(x), teacher(x))
        self.assertEqual(came.loss.get_config(), sent.loss.get_config())
        self.assertEqual(came.metrics[0].name, "own_accuracy")
        self.assertEqual(came.wish, sent.wish)
        self.assertEqual(
            preparation.Preparation(came).key(),
            preparation.Preparation(sent).key(),
        )

    def test_layers_that_take_less_than_their_config(self):
        model = keras.Sequential([keras.Input((2,)), Few(4), Few(3)])
        model.compile("sgd", "sparse_categorical_crossentropy")
        sent = small_tasks.request(model=model)
        parcel = pickle.loads(pickle.dumps(parcel_lib.packed(sent, pickle)))
        came = parcel_lib.unpacked(parcel, pickle).model
        path = str(pathlib.Path(self.create_tempdir()) / "model.keras")
        model.save(path)
        read = keras.saving.load_model(path, compressed.custom_objects(model))
        for copy in (came, read):
            x = sent.train[0]
            np.testing.assert_array_equal(copy(x), model(x))

    def test_paths_do_not_depend_on_the_folder_of_a_worker(self):
        asked = small_tasks.request(
            train="a.npz", validation="tfds:digits:test"
        )
        fields = parcel_lib.packed(asked, pickle)["fields"]
        self.assertEqual(fields["train"], os.path.abspath("a.npz"))
        self.assertEqual(fields["validation"], "tfds:digits:test")

    def test_data_that_cannot_be_sent_are_named(self):
        data = tf.data.Dataset.from_tensor_slices(small_tasks.blobs(48, 0))
        with self.assertRaisesRegex(ValueError, "Received: train of type"):
            parcel_lib.packed(small_tasks.request(train=data.batch(8)), pickle)


if __name__ == "__main__":
    absltest.main()
