"""Data for a model with a logarithm in it."""

import numpy as np
import pytest

from tests.support.plants import BAD


@pytest.fixture
def data():
    x = np.random.default_rng(0).uniform(0.5, 2, size=(40, 3)).astype("float32")
    return x, x[:, :1].copy()


@pytest.fixture
def bad_data(data):
    data[0][BAD, 1] = -1.0
    return data
