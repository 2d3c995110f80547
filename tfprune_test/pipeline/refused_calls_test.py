"""What cannot be done is said in one clear line, before training starts."""

import json
import pathlib
import warnings

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

import tfprune
from tfprune_test.pipeline import compressing_test


class RefusedTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir().full_path)
        self.out = self.folder / "out"

    def refused(self, text, *args, error=ValueError, **kwargs):
        train, validation = compressing_test.data()
        train = kwargs.pop("train", train)
        validation = kwargs.pop("validation", validation)
        net = kwargs.pop("net", compressing_test.model())
        with self.assertRaisesRegex(error, text) as caught:
            tfprune.compress(
                net,
                train,
                validation,
                *args,
                **{"out": self.out, "export": False, "macs": 0.5, **kwargs},
            )
        self.assertNotIn("\n", str(caught.exception).strip())
        self.assertFalse((self.out.with_name("out.part")).exists())

    def test_data_that_do_not_fit_the_model(self):
        x, y = compressing_test.data()[0]
        self.refused(
            "shapes of the model's inputs.*\\(3,\\)", train=(x[:, [0, 0, 1]], y)
        )
        self.refused("same number of samples", validation=(x, y[:-1]))

    def test_labels_out_of_range(self):
        x, y = compressing_test.data()[0]
        for source in ("train", "validation"):
            bad = np.where(np.arange(len(y)) == 77, 3, y)
            self.refused("from 0 to 2.*: 3 at sample 77", **{source: (x, bad)})

    def test_numbers_that_are_not_finite(self):
        x, y = compressing_test.data()[0]
        x = x.copy()
        x[9, 1] = np.nan
        self.refused("finite for training.*sample 9", train=(x, y))

    def test_a_metric_that_is_not_computed(self):
        self.refused("accuracy.*monitor='auc'", monitor="auc")

    def test_a_budget_out_of_reach(self):
        self.refused(
            "within reach.*with every removable channel removed, the model "
            "still has {'macs': 6}",
            tfprune.Budget(macs=3),
            macs=None,
        )

    def test_a_board_that_nobody_knows(self):
        self.refused("Similar: nano-33-ble", macs=None, board="nano33ble")

    def test_nothing_or_too_much_is_asked_for(self):
        self.refused("Received: none", macs=None)
        self.refused("Received: macs, max_loss", max_loss=0.1)
        self.refused("minutes=1, epochs=1", minutes=1, epochs=1)

    def test_a_folder_of_something_else(self):
        self.out.mkdir()
        (self.out / "thesis.tex").write_text("")
        self.refused("holds thesis.tex", error=FileExistsError)
        self.assertTrue((self.out / "thesis.tex").exists())

    def test_data_that_can_be_read_once(self):
        self.refused(
            "read several times",
            train=(b for b in [compressing_test.data()[0]]),
        )

    def test_numbers_of_the_call(self):
        self.refused("`seed` must be an int.*seed=None", seed=None)
        self.refused("`epochs` must be a positive int.*epochs='2'", epochs="2")
        self.refused("`epochs` must be .*epochs=0", epochs=0)
        self.refused("`minutes` must be .*minutes=-1", minutes=-1)
        self.refused("finite number.*minutes=inf", minutes=float("inf"))
        self.refused(
            "`max_loss` must be 0 or more.*'x'", macs=None, max_loss="x"
        )

    def test_a_recipe_of_something_else(self):
        self.refused("a tfprune.pipeline.Recipe.*3", recipe=3, error=TypeError)

    def test_names_of_classes(self):
        for labels in (("a", "b"), "abc", (1, 2, 3)):
            self.refused("name the 3 classes of.*'classes'", labels=labels)

    def test_options_that_nobody_knows(self):
        self.refused("skip.*foo=3. Leave it out", foo=3, error=TypeError)
        self.refused(
            "Received: min_channel=3. Did you mean min_channels?",
            min_channel=3,
            error=TypeError,
        )
        self.refused("Did you mean minutes?", minute=3, error=TypeError)
        self.refused(
            "Received: mac=0.5. Did you mean macs?",
            macs=None,
            mac=0.5,
            error=TypeError,
        )

    def test_data_without_samples(self):
        self.refused("Samples are needed for training.*gives none", train=[])
        self.refused("Samples are needed for validation", validation=[])

    def test_labels_that_are_texts(self):
        x, y = compressing_test.data()[0]
        self.refused(
            "Labels must be numbers for val.*: .* <U21, such as \\['0'\\]",
            validation=(x, y.astype(str)),
        )

    @pytest.mark.slow  # A whole run.
    def test_a_model_that_is_not_trained_is_warned_of(self):
        net = keras.models.clone_model(compressing_test.model())
        net.compile(
            "adam", "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        x, _ = compressing_test.data()[1]
        with self.assertWarnsRegex(UserWarning, "at chance level"):
            tfprune.compress(
                net,
                compressing_test.data()[0],
                (x, np.random.default_rng(0).integers(0, 3, len(x))),
                macs=0.5,
                out=self.out,
                epochs=1,
                export=False,
                recipe=compressing_test.RECIPE,
                progress=False,
            )

    @pytest.mark.slow  # A whole run.
    def test_a_trained_model_is_not_warned_of(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            compressing_test.compress(self.out, macs=0.5, epochs=1)
        facts = json.loads((self.out / "result.json").read_text())
        self.assertEqual(
            facts["settings"]["samples"], {"training": 240, "validation": 120}
        )


if __name__ == "__main__":
    absltest.main()
