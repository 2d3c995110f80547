"""SavedModels of Keras 2, put together by hand."""

import json
import pathlib

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.legacy import loading


def field(number, data):
    """A field of a protocol buffer: bytes, or a message."""
    size, length = len(data), []
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + data


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="writes a checkpoint"
)
class SavedModelsTest(parameterized.TestCase):
    def folder(self, metadata, of_tensorflow_2_4):
        import tensorflow as tf

        folder = pathlib.Path(self.create_tempdir().full_path)
        text = json.dumps(metadata).encode()
        if of_tensorflow_2_4:
            # SavedModel > MetaGraphDef > SavedObjectGraph > SavedObject >
            # SavedUserObject > metadata.
            message = field(3, text)
            for number in (4, 1, 7, 2):
                message = field(number, message)
            (folder / "saved_model.pb").write_bytes(message)
        else:
            (folder / "saved_model.pb").write_bytes(b"")
            data = field(1, field(5, text))
            (folder / "keras_metadata.pb").write_bytes(data)
        rng = np.random.default_rng(0)
        self.kernel = rng.normal(size=(3, 2)).astype("float32")
        self.bias = rng.normal(size=2).astype("float32")
        kept = [tf.Variable(self.kernel), tf.Variable(self.bias)]
        checkpoint = tf.train.Checkpoint(variables=kept)
        checkpoint.write(str(folder / "variables" / "variables"))
        return folder

    @parameterized.parameters(True, False)
    def test_where_the_layers_are_described(self, of_tensorflow_2_4):
        dense = {
            "class_name": "Dense",
            "config": {
                "name": "a",
                "units": 2,
                "activation": "hard_sigmoid",
                "batch_input_shape": {
                    "class_name": "__tuple__",
                    "items": [None, 3],
                },
            },
        }
        metadata = {
            "class_name": "Sequential",
            "config": {"name": "old", "layers": [dense]},
        }
        folder = self.folder(metadata, of_tensorflow_2_4)
        with pytest.warns(UserWarning, match="hard_sigmoid is that of Keras 2"):
            model = loading.load_model(folder)
        x = np.random.default_rng(1).normal(size=(4, 3)).astype("float32")
        wanted = np.clip(0.2 * (x @ self.kernel + self.bias) + 0.5, 0, 1)
        np.testing.assert_allclose(model(x), wanted, rtol=1e-5, atol=1e-6)

    def test_a_class_of_ones_own(self):
        folder = self.folder({"class_name": "Mine"}, True)
        with self.assertRaisesRegex(ValueError, "and so no layers"):
            loading.load_model(folder)
        folder = self.folder({"class_name": "Mine", "config": {}}, True)
        with self.assertRaisesRegex(ValueError, "class_name='Mine'"):
            loading.load_model(folder)

    def test_damaged_folders(self):
        dense = {"class_name": "Dense", "config": {"name": "a", "units": 2}}
        metadata = {
            "class_name": "Sequential",
            "config": {"name": "old", "layers": [dense]},
        }
        for name, data in (
            ("variables/variables.index", b"\xff" * 100),
            ("variables/variables.data-00000-of-00001", b"short"),
            ("keras_metadata.pb", b"\x0a\xff\xff"),
        ):
            folder = self.folder(metadata, False)
            (folder / name).write_bytes(data)
            with self.assertRaisesRegex(
                ValueError, "^The file is damaged: "
            ) as caught:
                loading.load_model(folder)
            self.assertNotIn("\n", str(caught.exception))


if __name__ == "__main__":
    absltest.main()
