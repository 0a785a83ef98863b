"""How many examples a batch has."""

import pytest
import tensorflow as tf

from keras_gradwatch.framework.batch import batch_size

RAGGED = tf.ragged.constant([[1.0, 2.0], [3.0]])


@pytest.mark.parametrize(
    ("batch", "size", "of_tensors"),
    [
        ((tf.ones((2, 3)), {"a": tf.ones(2), "b": None}), 2, 2),
        ((tf.ones((2, 3)), RAGGED), 2, None),
        ((tf.ones((2, 3)), tf.ones(3)), None, None),
        ((tf.ones((2, 3)), tf.constant(2.0)), None, None),
        ((tf.ones((2, 3)), 2), None, None),
        ((), None, None),
    ],
    ids=["equal", "ragged", "unequal", "a scalar", "no tensor", "empty"],
)
def test_the_first_axis_tells_if_all_have_the_same(batch, size, of_tensors):
    assert batch_size(batch) == size
    assert batch_size(batch, ragged=False) == of_tensors
