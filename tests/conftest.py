"""What every test needs: quiet TensorFlow, a known start, a small model."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest

import keras_gradwatch
from keras_gradwatch.check.progress import Progress
from tests.support.summary import pytest_terminal_summary  # noqa: F401

# `pytester` forgets the modules that are first imported while it runs, and a second
# copy of them has other classes: so all of ours are imported before.
for _name in keras_gradwatch.__all__:
    getattr(keras_gradwatch, _name)

# What was imported stays: looking through it for garbage time and again took a fifth of
# the time of these tests, which make many small graphs.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 10, 10)


@pytest.fixture(autouse=True)
def _known_start():
    """Each test begins with the same seeds and the same layer names."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _no_check_is_long(monkeypatch):
    """What is printed does not depend on how fast the machine is."""
    monkeypatch.setattr(Progress, "AFTER", 1e6)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
