"""More ways of fitting in which training is bitwise what it is without a check."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gradwatch as kgw
from tests.support.fits import digits, left_behind, recurrent, subclassed

pytestmark = pytest.mark.long

OPTIONS = {"batch_size": 8, "epochs": 2, "verbose": 0}


def plain(model, x, y, callbacks, **options):
    return [model.fit(x, y, callbacks=callbacks(), **{**OPTIONS, **options})]


def class_weight(model, x, y, callbacks):
    return plain(model, x, y, callbacks, class_weight={0: 2.0, 1: 0.5})


def sample_weight(model, x, y, callbacks):
    return plain(model, x, y, callbacks, sample_weight=np.linspace(0.1, 2, len(x)))


def generator_of_unknown_length(model, x, y, callbacks):
    def endless():
        while True:
            for start in range(0, 40, 8):
                yield x[start : start + 8], y[start : start + 8]

    options = {"epochs": 2, "verbose": 0, "shuffle": False, "steps_per_epoch": 4}
    return [model.fit(endless(), callbacks=callbacks(), **options)]


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 5

    def __getitem__(self, i):
        return self.x[8 * i : 8 * i + 8], self.y[8 * i : 8 * i + 8]


def py_dataset(model, x, y, callbacks):
    options = {"epochs": 2, "verbose": 0}
    return [model.fit(Batches(x, y), callbacks=callbacks(), **options)]


def tf_data_with_steps_per_epoch(model, x, y, callbacks):
    data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(40, seed=2).batch(8)
    options = {"epochs": 3, "verbose": 0, "shuffle": False, "steps_per_epoch": 3}
    return [model.fit(data.repeat(), callbacks=callbacks(), **options)]


def second_fit(model, x, y, callbacks):
    used = callbacks()
    return [model.fit(x, y, callbacks=used, **OPTIONS) for _ in range(2)]


def recompiled_and_frozen(model, x, y, callbacks):
    used = callbacks()
    first = model.fit(x, y, callbacks=used, **OPTIONS)
    model.layers[0].trainable = False
    model.compile("sgd", model.loss, metrics=["accuracy"])
    return [first, model.fit(x, y, callbacks=used, **OPTIONS)]


def backup_and_restore(model, x, y, callbacks, directory):
    model(x[:1])
    backup = keras.callbacks.BackupAndRestore(directory / "backup", save_freq=2)
    used = [*callbacks(), Unplugged(), backup]
    with pytest.raises(OSError, match="unplugged"):
        model.fit(x, y, callbacks=used, **{**OPTIONS, "epochs": 3})
    return [model.fit(x, y, callbacks=used, **{**OPTIONS, "epochs": 3})]


class Unplugged(keras.callbacks.Callback):
    """Ends the first fit in its second epoch."""

    seen = 0

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1
        if self.seen == 8:
            raise OSError("unplugged")


def steps_on_batches(model, x, y, callbacks):
    used = keras.callbacks.CallbackList(callbacks(), model=model)
    used.on_train_begin()
    logs = []
    for start in range(0, 40, 8):
        used.on_train_batch_begin(start // 8)
        part = slice(start, start + 8)
        logs.append(model.train_on_batch(x[part], y[part]))
        used.on_train_batch_end(start // 8)
    used.on_train_end()
    return logs


def everything_after(way, build, callbacks, compiled):
    """All that training leaves behind, as plain NumPy values."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    model, x, y = build(np.random.default_rng(0))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, metrics=["accuracy"], **compiled)
    done = way(model, x, y, callbacks)
    return left_behind(model, [getattr(one, "history", one) for one in done])


CASES = [
    (class_weight, digits, {}),
    (class_weight, subclassed, {"jit_compile": True}),
    (sample_weight, recurrent, {}),
    (generator_of_unknown_length, digits, {}),
    (generator_of_unknown_length, subclassed, {"steps_per_execution": 3}),
    (py_dataset, recurrent, {}),
    (tf_data_with_steps_per_epoch, digits, {"steps_per_execution": 2}),
    (tf_data_with_steps_per_epoch, subclassed, {}),
    (second_fit, subclassed, {}),
    (second_fit, subclassed, {"run_eagerly": True}),
    (recompiled_and_frozen, recurrent, {}),
    (recompiled_and_frozen, subclassed, {}),
    (backup_and_restore, digits, {}),
    (backup_and_restore, subclassed, {"steps_per_execution": 2}),
    (steps_on_batches, subclassed, {}),
    (steps_on_batches, recurrent, {}),
]


# Each way with the first of its models; the others are long.
FIRST = {way: number for number, (way, *_) in reversed([*enumerate(CASES)])}


@pytest.mark.parametrize(
    ("way", "build", "compiled"),
    [
        pytest.param(
            way,
            build,
            compiled,
            marks=[] if FIRST[way] == number else pytest.mark.long,
            id="-".join([way.__name__, build.__name__, *compiled]),
        )
        for number, (way, build, compiled) in enumerate(CASES)
    ],
)
def test_training_is_bitwise_untouched(way, build, compiled, tmp_path):
    used = []

    def all_three():
        if not used:
            logs = tmp_path / "logs"
            often = {"check_freq": 2, "verbose": 0}
            used.append(kgw.GradientCheck(logs, warmup_steps=0, **often))
            used.append(kgw.GradientStats(logs, **often))
            used.append(kgw.NonFiniteLocator(logs, verbose=0))
        return used

    results = []
    for name, callbacks in (("without", list), ("with", all_three)):
        if way is backup_and_restore:
            run = functools.partial(way, directory=tmp_path / name)
        else:
            run = way
        results.append(everything_after(run, build, callbacks, compiled))
    without, with_checks = results
    check, stats, locator = used
    assert len(check.reports) >= 2
    assert {r.verdict for r in check.reports} == {"PASS"}
    assert len(stats.readings) >= 2
    assert stats.alerts == [] == locator.findings
    assert without.keys() == with_checks.keys()
    for name, values in without.items():
        np.testing.assert_equal(with_checks[name], values, err_msg=name)
