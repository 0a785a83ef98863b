"""Which part of a large batch a check in training looks at."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.batch import batch_size


class Subset:
    """Takes some examples of a batch, and other ones the next time.

    A loss of fewer examples has a gradient of its own, and differences of it tell
    whether that is right as well as those of the whole loss, at a fraction of the
    price, and with fewer kinks nearby. What computes over the batch does so over the
    part. A quarter of the first batch is taken, from all over it, and as many of
    those that follow: one trace serves all. Where that does not work, the whole
    batch is checked:

    - if the model says that it wants a batch of one size, or keeps a state for each
      example;
    - if not all data are tensors with as many rows;
    - if dropout is to be drawn as for the whole batch;
    - and once `give_up` was called.

    Args:
        model: The live model.
        dropout: `"bypass"` or `"freeze"`, as for the check.
        first: Number of the part to begin with.
    """

    # A share of a batch: a quarter was measured to cost 0.21 to 0.66 of the whole. The
    # fewest examples, for fewer would cost a small model hardly less, and leave more
    # of its units dead; and the most, for a gradient is right or wrong for few as for
    # many, and kinks are rarer with few (CS231n's notes on gradient checks). These two
    # are chosen, not measured.
    SHARE, FEWEST, MOST = 1 / 4, 8, 32

    def __init__(self, model, dropout: str, first: int = 0):
        self._model, self._is_allowed = model, dropout != "freeze"
        self._next = first
        self._size: int = 0  # as long as no batch was seen

    def of(self, batch: Any) -> Any:
        """The part of a batch whose turn it is; None if all of it is to be checked.

        Args:
            batch: What `train_step` is handed, nested tensors.
        """
        count = batch_size(batch, ragged=False)
        if not self._is_allowed or count is None or count <= self.FEWEST:
            return None
        if _has_fixed_batch(self._model):
            return None
        if not self._size:
            size = np.clip(self.SHARE * count, self.FEWEST, self.MOST)
            # Some models halve their batch, and the halves again.
            self._size = int(size) // 4 * 4
        if count <= self._size:
            return None
        rows = self._rows(count)
        return tf.nest.map_structure(
            lambda leaf: None if leaf is None else tf.gather(leaf, rows), batch
        )

    def give_up(self) -> None:
        """Tells that a part can't be checked: from now on it is the whole batch."""
        self._is_allowed = False

    def _rows(self, count):
        """Examples all over the batch: it may be sorted. In turn, all of them."""
        turns = -(-count // self._size)
        turn = self._next % turns
        self._next += 1
        return (np.arange(self._size) * turns + turn) * count // (turns * self._size)


def _has_fixed_batch(model):
    return any(
        getattr(layer, "stateful", False)
        or (isinstance(layer, keras.layers.InputLayer) and layer.batch_shape[0])
        for layer in internals.all_layers(model)
    )
