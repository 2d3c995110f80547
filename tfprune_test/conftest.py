"""What all tests share: quiet logs, fixed seeds, data beside the checkout."""

import os
import pathlib
import random
import sys

import hypothesis
import numpy as np
import pytest
from absl import flags
from absl.testing import absltest  # noqa: F401, defines --test_tmpdir

# Keras and TensorFlow read these once, on import.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

# A run must not fail by chance, nor because the machine was busy.
hypothesis.settings.register_profile(
    "repeatable", deadline=None, derandomize=True, database=None
)
hypothesis.settings.register_profile(
    "explore", deadline=None, max_examples=500, print_blob=True
)
hypothesis.settings.load_profile("repeatable")

SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared"


def shared_path(*parts):
    """A file or folder of the data folder `../shared`; skips without it.

    Args:
        *parts: `str`s, the path inside the folder:
            `shared_path("data", "weights")`.

    Returns:
        A `pathlib.Path` that exists.
    """
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no {'/'.join(('../shared', *parts))} by the checkout")
    return path


@pytest.fixture
def shared_dir():
    """The data folder `../shared`; skips where it is missing."""
    return shared_path()


@pytest.fixture(autouse=True, scope="session")
def _absl_flags(tmp_path_factory):
    """`create_tempdir` of absl's test cases works without `absltest.main`.

    Each run gets a folder of its own: absl's default would be shared by two
    runs on one machine.
    """
    flags.FLAGS.mark_as_parsed()
    flags.FLAGS.test_tmpdir = str(tmp_path_factory.mktemp("absl"))


@pytest.fixture(autouse=True)
def _fixed_seeds():
    """Each test draws the same numbers, whichever test ran before it."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)
    else:
        random.seed(0)
        np.random.seed(0)
