"""While all is well, training with the locator is bitwise training without it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gradwatch as kgw
from tests.support.fits import (
    digits,
    everything_after_fit,
    recurrent,
    subclassed,
)

pytestmark = pytest.mark.long


class Tied(keras.callbacks.Callback):
    """Another callback that writes weights between steps, as a constraint would."""

    def on_train_batch_end(self, batch, logs=None):
        weights = self.model.get_weights()
        self.model.set_weights([np.clip(w, -2, 2) for w in weights])


RAGGED = {"validation_split": 0.25}


@pytest.mark.parametrize(
    ("build", "compiled", "fitted", "others"),
    [
        (digits, {}, {}, []),
        (digits, {"jit_compile": True}, {}, []),
        (digits, {"run_eagerly": True}, {}, []),
        (digits, {"steps_per_execution": 3}, RAGGED, []),
        (subclassed, {}, {}, [kgw.GradientCheck]),
        (subclassed, {"steps_per_execution": 3}, {}, [kgw.GradientCheck]),
        (recurrent, {}, RAGGED, []),
    ],
)
def test_training_is_bitwise_untouched(build, compiled, fitted, others):
    others = [kind(warmup_steps=2, check_freq=4, verbose=0) for kind in others]
    check = kgw.NonFiniteLocator(on_failure="raise")
    without = everything_after_fit(build, compiled, fitted, [Tied()])
    callbacks = [*others, check, Tied()]
    with_check = everything_after_fit(build, compiled, fitted, callbacks)
    assert check.findings == []
    assert without.keys() == with_check.keys()
    for name, values in without.items():
        np.testing.assert_equal(with_check[name], values, err_msg=name)


def ways_to_hand_data():
    """Data of an unknown number of batches, with weights or None, as a dict."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(22, 4)).astype("float32")
    y = rng.integers(0, 3, 22)
    plain = tf.data.Dataset.from_tensor_slices((x, y))

    def batches():
        for k in range(0, 20, 5):
            yield x[k : k + 5], y[k : k + 5]

    def without_weights():
        return ((*batch, None) for batch in batches())

    return {
        "unknown size": plain.filter(lambda x, y: True).batch(5),
        "generator": batches,
        "weights": plain.map(lambda x, y: (x, y, 1.0)).batch(5),
        "no weights": plain.map(lambda x, y: (x, y, None)).batch(5),
        "generator, no weights": without_weights,
        "an optional input": plain.map(lambda x, y: ({"a": x, "b": None}, y)).batch(5),
        "dict": plain.map(lambda x, y: ({"a": x}, y)).batch(5),
        "repeated": plain.repeat().batch(5),
    }


class TakesAll(keras.Model):
    def __init__(self):
        super().__init__()
        self.out = keras.layers.Dense(3)

    def call(self, x):
        return self.out(x["a"] if isinstance(x, dict) else x)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("steps", [1, 3])
def test_all_data_reaches_the_training(steps):
    for name, data in ways_to_hand_data().items():
        left = []
        options = {"on_failure": "raise", "verbose": 0}
        often = {"warmup_steps": 0, "check_freq": 2, **options}
        all_three = [
            kgw.NonFiniteLocator(**options),
            kgw.GradientCheck(**often),
            kgw.GradientStats(**often),
        ]
        for callbacks in ([], all_three):
            keras.utils.set_random_seed(0)
            model = TakesAll()
            model.compile(
                "adam",
                keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                steps_per_execution=steps,
            )
            history = [
                model.fit(
                    data() if callable(data) else data,
                    steps_per_epoch=6 if name == "repeated" else None,
                    epochs=1 if callable(data) else 2,
                    shuffle=False,
                    verbose=0,
                    callbacks=callbacks,
                ).history
                for _ in range(2)
            ]
            left.append((history, model.get_weights(), int(model.optimizer.iterations)))
        assert all_three[1].reports, name
        assert all_three[2].readings, name
        np.testing.assert_equal(left[1], left[0], err_msg=name)
