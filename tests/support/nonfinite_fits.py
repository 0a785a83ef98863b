"""A model with a logarithm in it, and how it is trained."""

import keras
from keras import layers

from tests.support.plants import BATCH, Log


def logs_model(rate=0.0, **kwargs):
    model = keras.Sequential(
        [keras.Input((3,)), Log(name="log"), layers.Dropout(rate), layers.Dense(1)]
    )
    model.compile("adam", "mse", **{"jit_compile": False, **kwargs})
    return model


def fitted(model, data, *callbacks, **options):
    model.fit(
        *data,
        **{"batch_size": BATCH, "shuffle": False, "verbose": 0, **options},
        callbacks=list(callbacks),
    )


class Steps(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.count = 0

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1
