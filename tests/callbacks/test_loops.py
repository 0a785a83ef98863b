"""Training in other ways than one plain `fit`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from tests.support.marks import pairs
from tests.support.small_models import small_model, unbuilt


@pytest.fixture
def data(rng):
    x = rng.normal(size=(24, 4)).astype("float32")
    return x, rng.integers(0, 3, 24)


def each(frequency, **arguments):
    # With time for each check, so that none has to wait.
    return kgw.GradientCheck(
        warmup_steps=0, check_freq=frequency, time_budget=30, verbose=0, **arguments
    )


def by_hand(model, callbacks, step, epochs=2, tell_epochs=True):
    """A loop of the user's own, as Keras' guide shows it."""
    callbacks = keras.callbacks.CallbackList(callbacks, model=model)
    callbacks.on_train_begin()
    for epoch in range(epochs):
        if tell_epochs:
            callbacks.on_epoch_begin(epoch)
        for batch in range(3):
            callbacks.on_train_batch_begin(batch)
            logs = step(batch)
            callbacks.on_train_batch_end(batch, logs)
        if tell_epochs:
            callbacks.on_epoch_end(epoch, {})
    callbacks.on_train_end()


@pytest.mark.basic
@pytest.mark.parametrize(
    ("frequency", "compiled"), pairs([2, "epoch"], [{}, {"run_eagerly": True}])
)
def test_train_on_batch(data, frequency, compiled):
    x, y = data
    finals = []
    for checks in ([], [each(frequency)], [each(frequency), each(frequency, seed=1)]):
        keras.utils.clear_session()
        keras.utils.set_random_seed(1)
        model = small_model(**compiled)

        def step(batch, model=model):
            part = slice(8 * batch, 8 * batch + 8)
            return model.train_on_batch(x[part], y[part], return_dict=True)

        by_hand(model, checks, step)
        finals.append(
            [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
        )
        for check in checks:
            steps = [0, 2, 4] if frequency == 2 else [0, 3]
            assert [(r.step, r.verdict) for r in check.reports] == [
                (step, "PASS") for step in steps
            ]
    np.testing.assert_equal(finals[1], finals[0])
    np.testing.assert_equal(finals[2], finals[0])


def test_train_on_batch_with_a_model_that_it_builds_and_without_epochs(data):
    model, check = unbuilt(), each("epoch")
    for _ in range(2):
        by_hand(
            model,
            [check],
            lambda _: model.train_on_batch(*data, return_dict=True),
            tell_epochs=False,
        )
    # Before the first step there are no weights to check.
    assert [(r.step, r.verdict) for r in check.reports] == [(1, "PASS"), (6, "PASS")]


def test_batch_hooks_alone_are_enough(data):
    model, check = small_model(), each(2)
    check.set_model(model)
    for batch in range(4):
        check.on_train_batch_begin(batch)
        model.train_on_batch(*data)
    assert [(r.step, r.verdict) for r in check.reports] == [(0, "PASS"), (2, "PASS")]


def custom_step(model, x, y):
    def step(_):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x, y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply(gradients, model.trainable_variables)

    return step


def test_a_loop_without_a_training_function_is_told_what_to_do(data):
    model, check = small_model(), each(2)
    with pytest.warns(kgw.GradwatchWarning, match="as `data`"):
        by_hand(model, [check], custom_step(model, *data))
    assert model.train_function is None
    assert check.reports == []
    fixed = each(2, data=data)
    by_hand(model, [fixed], custom_step(model, *data))
    assert [(r.step, r.verdict) for r in fixed.reports] == [
        (step, "PASS") for step in (6, 8, 10)
    ]


class Stop(Exception):
    """Stands for a machine that is taken away."""


class StopAt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.step:
            raise Stop


@pytest.mark.parametrize(("frequency", "same"), pairs([3, "epoch"], [True, False]))
def test_backup_and_restore(data, tmp_path, frequency, same):
    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    model, check = small_model(), each(frequency)
    options = {"batch_size": 6, "epochs": 4, "verbose": 0}
    with pytest.raises(Stop):
        model.fit(*data, callbacks=[backup(), check, StopAt(10)], **options)
    before = [r.step for r in check.reports]
    # Two epochs of four steps are kept; the third is trained again.
    model = small_model()
    check = check if same else each(frequency)
    model.fit(*data, callbacks=[backup(), check], **options)
    steps = [r.step for r in check.reports]
    assert int(model.optimizer.iterations) == 16
    assert {r.verdict for r in check.reports} == {"PASS"}
    again = [8, 9, 12, 15] if frequency == 3 else [8, 12]
    assert before == ([0, 3, 6, 9] if frequency == 3 else [0, 4, 8])
    assert steps == (before if same else []) + again


def test_one_on_the_live_batch_and_one_on_data(data):
    x, y = data
    live, fixed = each(2), each(2, data=(x[:5], y[:5]))
    small_model().fit(*data, batch_size=6, verbose=0, callbacks=[fixed, live])
    for check in (live, fixed):
        assert [(r.step, r.verdict) for r in check.reports] == [
            (0, "PASS"),
            (2, "PASS"),
        ]
    losses = {r.loss for r in live.reports} & {r.loss for r in fixed.reports}
    assert not losses


def of_unknown_length(x, y):
    def batches():
        for start in range(0, 24, 5):
            yield x[start : start + 5], y[start : start + 5]

    signature = (
        tf.TensorSpec((None, 4), tf.float32),
        tf.TensorSpec((None,), tf.int64),
    )
    return tf.data.Dataset.from_generator(batches, output_signature=signature)


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
@pytest.mark.parametrize(("steps_per_execution", "known"), pairs([1, 2], [True, False]))
def test_uneven_and_unknown_numbers_of_batches(data, steps_per_execution, known):
    source = of_unknown_length(*data)
    if known:
        source = source.apply(tf.data.experimental.assert_cardinality(5))
    done, check = [], each(1)
    for checks in ([], [check]):
        keras.utils.set_random_seed(1)
        model = small_model(steps_per_execution=steps_per_execution)
        model.fit(source, shuffle=False, verbose=0, callbacks=checks)
        done.append([v.numpy() for v in model.variables])
    np.testing.assert_equal(done[1], done[0])
    steps = range(0, 5, steps_per_execution)
    assert [(r.step, r.verdict) for r in check.reports] == [(s, "PASS") for s in steps]


@pytest.mark.filterwarnings("ignore:Your input ran out of data:UserWarning")
def test_a_check_that_meets_the_end_of_the_data_is_due_again(data):
    model, check = small_model(steps_per_execution=2), each(5)
    source = of_unknown_length(*data)
    model.fit(source, epochs=2, shuffle=False, verbose=0, callbacks=[check])
    assert [(r.step, r.verdict) for r in check.reports] == [(0, "PASS"), (5, "PASS")]


def test_data_that_runs_out_does_so_as_ever(data):
    x, y = data

    def batches():
        for _ in range(3):
            yield x[:6], y[:6]

    check = each(1)
    with pytest.warns(UserWarning, match="ran out of data"):
        small_model().fit(
            batches(),
            shuffle=False,
            steps_per_epoch=2,
            epochs=3,
            verbose=0,
            callbacks=[check],
        )
    assert len(check.reports) >= 3
    assert {r.verdict for r in check.reports} == {"PASS"}


def test_trainable_changed_without_compiling_again(data):
    model, check = small_model(), each(4)
    model.fit(*data, batch_size=6, verbose=0, callbacks=[check])
    model.get_layer("first").trainable = False
    model.compile("adam", model.loss)
    model.fit(*data, batch_size=6, verbose=0, callbacks=[check])
    model.get_layer("first").trainable = True
    model.compile("adam", model.loss)
    model.fit(*data, batch_size=6, verbose=0, callbacks=[check])
    assert [len(r.variables) for r in check.reports] == [4, 2, 4]
    assert all(r.passed for r in check.reports)


class Thaw(keras.callbacks.Callback):
    """Lets all layers train from the second epoch on, as fine-tuning does."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            for layer in self.model.layers:
                layer.trainable = True
            self.model.make_train_function(force=True)


def test_trainable_changed_in_the_middle_of_a_fit(data):
    model, check = small_model(), each("epoch")
    model.optimizer.build(model.trainable_variables)
    model.get_layer("first").trainable = False
    model.fit(*data, batch_size=6, epochs=2, verbose=0, callbacks=[Thaw(), check])
    assert [len(r.variables) for r in check.reports] == [2, 4]
    assert all(r.passed for r in check.reports)


@pytest.mark.parametrize("first", [True, False])
def test_beside_a_callback_that_is_called_from_another_thread(data, first):
    class Calm(keras.callbacks.Callback):
        async_safe = True
        seen = 0

        def on_train_batch_end(self, batch, logs=None):
            self.seen += 1

    calm, check = Calm(), each(1)
    callbacks = [calm, check] if first else [check, calm]
    small_model().fit(*data, batch_size=6, verbose=0, callbacks=callbacks)
    assert calm.seen == 4
    assert [r.verdict for r in check.reports] == ["PASS"] * 4


def test_a_model_inside_another_is_trained_by_itself(data):
    x, y = data
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, "tanh")])
    outer = keras.Sequential([inner, layers.Dense(3)])
    outer.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    inner.compile("sgd", "mse")
    one, other = each(2), each(2)
    outer.fit(x, y, batch_size=6, verbose=0, callbacks=[one])
    inner.fit(x, x, batch_size=6, verbose=0, callbacks=[other])
    for check in (one, other):
        assert [(r.step, r.verdict) for r in check.reports] == [
            (0, "PASS"),
            (2, "PASS"),
        ]
