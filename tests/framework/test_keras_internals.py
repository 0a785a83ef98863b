"""Each private Keras name that the package uses, by itself.

When a new Keras breaks one of these, the failing test names it; it is used
only in `keras_gradwatch/framework/keras_internals.py`.
"""

import keras
import numpy as np
import pytest
from keras import layers
from keras.src.backend.common import global_state

from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.patches import applied

pytestmark = pytest.mark.basic


@pytest.fixture
def model():
    inner = keras.Sequential([layers.Dense(3), layers.RNN(layers.LSTMCell(2))])
    model = keras.Sequential([keras.Input((4, 5)), inner, layers.Dense(2)])
    model.compile("sgd", "mse")
    return model


def test_flatten_layers_and_functional(model):
    names = {type(layer).__name__ for layer in internals.all_layers(model)}
    assert {"Sequential", "Functional", "Dense", "RNN", "LSTMCell"} <= names


def test_compile_loss_is_built_from_data_without_the_optimizer(model):
    batch = (np.ones((2, 4, 5)), np.ones((2, 2)))
    assert len(internals.loss_objects(model)) == 1
    internals.build_losses(model, batch)
    assert len(internals.loss_objects(model)) == 2
    assert all(isinstance(x, keras.Loss) for x in internals.loss_objects(model))
    assert not model.optimizer.built
    model.fit(*batch, verbose=0)


def test_the_loss_of_compile_is_not_built_before_there_is_data(model):
    assert not internals.losses_are_built(model)
    model.train_on_batch(np.ones((2, 4, 5)), np.ones((2, 2)))
    assert internals.losses_are_built(model)


def test_training_loss_is_what_train_step_logs(model):
    x, y = np.ones((2, 4, 5), "float32"), np.ones((2, 2), "float32")
    loss = float(internals.training_loss(model, (x, y)))
    assert loss == pytest.approx(model.train_on_batch(x, y), rel=1e-6)


def test_policy_of_a_layer():
    policies = keras.dtype_policies.DTypePolicyMap(default_policy="mixed_float16")
    plain, mapped = layers.Dense(2), layers.Dense(2, dtype=policies)
    assert internals.inner_policy(plain).compute_dtype == "float32"
    assert internals.inner_policy(mapped).compute_dtype == "float16"
    with applied([internals.set_policy(mapped, keras.DTypePolicy("float64"))]):
        assert mapped.compute_dtype == "float64"
    assert mapped.compute_dtype == "float16"


def test_dtype_of_a_variable_a_loss_and_an_input():
    variable = keras.Variable(1.0)
    assert internals.stored_dtype(variable) == "float32"
    loss = keras.losses.MeanSquaredError()
    inputs = keras.Input((2,))
    functional = keras.Model(inputs, layers.ReLU()(inputs))
    (symbolic,) = internals.symbolic_inputs(functional)
    for thing in (variable, loss, symbolic):
        with applied([internals.set_dtype(thing, "float64")]):
            assert thing.dtype == "float64"
        assert thing.dtype == "float32"


def test_value_behind_a_variable():
    variable = keras.Variable(1.0)
    with keras.StatelessScope([(variable, 2.0)]):
        assert float(variable.value) == 2.0
        assert float(internals.raw_value(variable)) == 1.0


def test_state_of_the_whole_process():
    keras.utils.clear_session(free_memory=False)
    first = layers.Dense(1).name
    with internals.same_global_state():
        inside = layers.Dense(1).name
        keras.random.uniform(())
        assert global_state.get_global_attribute("global_seed_generator") is not None
    assert layers.Dense(1).name == inside != first
    assert global_state.get_global_attribute("global_seed_generator") is None


def test_state_of_the_draws_without_a_seed():
    keras.utils.clear_session(free_memory=False)
    with internals.same_global_state():
        assert internals.global_seed_state() is None
        keras.random.uniform(())
        before = internals.global_seed_state().numpy()
        keras.random.uniform(())
        assert (internals.global_seed_state().numpy() != before).any()


def test_the_mask_of_a_tensor():
    masked = layers.Masking()(np.zeros((1, 2, 3), "float32"))
    other = keras.ops.zeros((1, 2, 3))
    assert internals.take_mask(masked, other) is other
    pooled = layers.GlobalAveragePooling1D()(other + 0.0)
    assert np.isfinite(pooled).all()
    assert (other._keras_mask.numpy() == masked._keras_mask.numpy()).all()
    assert not masked._keras_mask.numpy().any()


def test_an_optimizer_knows_its_variables(model):
    model.optimizer.build(model.trainable_variables)
    tracked = internals.tracked_by(model.optimizer)
    assert [v.path for v in tracked] == [v.path for v in model.trainable_variables]


@pytest.mark.parametrize(
    ("policies", "lowest"),
    [
        (("float32", "float32"), "float32"),
        (("float64", "float64"), "float64"),
        (("float64", "mixed_float16"), "float16"),
        (("mixed_bfloat16", "float32"), "bfloat16"),
    ],
)
def test_the_lowest_precision_is_that_of_layers_that_compute(policies, lowest):
    stack = [layers.Dense(2, dtype=policy) for policy in policies]
    model = keras.Sequential([keras.Input((4,)), *stack])
    assert internals.lowest_compute_dtype(model) == lowest


def test_path_of_a_variable():
    variable = keras.Variable(1.0)
    internals.set_path(variable, "inputs/0")
    assert variable.path == "inputs/0"


def test_building_a_layer_by_a_symbolic_call():
    layer = layers.Dense(2)
    internals.build_by_call(layer, (keras.KerasTensor((3, 4)),), {})
    assert layer.built
    assert layer.kernel.shape == (4, 2)
    assert not layer._inbound_nodes


def test_dropout_of_attention():
    x = np.random.default_rng(0).normal(size=(1, 5, 4)).astype("float32")
    layer = layers.MultiHeadAttention(1, 4, dropout=0.5)
    plain = layer(x, x)
    assert np.any(layer(x, x, training=True) != plain)
    for inside in (layer, *internals.children(layer)):
        if isinstance(inside, layers.Dropout):
            inside.rate = 0.0
    setattr(layer, internals.DROPOUT_OF_ATTENTION, 0.0)
    assert layer.get_config()["dropout"] == 0.0
    assert np.allclose(layer(x, x, training=True), plain, atol=1e-6)


def test_schedule_of_an_optimizer():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    wrapped = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(schedule))
    assert internals.schedule_of(keras.optimizers.SGD(schedule)) is schedule
    assert internals.schedule_of(wrapped) is schedule
    assert internals.schedule_of(keras.optimizers.SGD(0.1)) is None


def test_what_a_compiled_loss_is_called_with():
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile("sgd", entropy)
    model.train_on_batch(np.ones((2, 3)), np.ones((2, 1)))
    ((path, loss),) = internals.compiled_losses(model)
    assert path == ()
    assert internals.options_of(loss)["from_logits"]
    assert internals.has_default_loss(model)


def test_masks_are_given_on():
    x = keras.ops.ones((2, 3))
    assert internals.mask_of(x) is None
    internals.give_mask(x, keras.ops.ones((2,), "bool"))
    assert internals.mask_of(x).shape == (2,)


def test_a_frozen_normalisation_takes_no_statistics():
    norm, x = layers.BatchNormalization(), np.arange(6.0).reshape(3, 2)
    assert np.abs(norm(x, training=True)).max() < 2
    with applied([internals.frozen(norm)]):
        assert np.allclose(norm(x, training=True), norm(x, training=False))


@pytest.mark.parametrize(
    "name",
    [
        "categorical_crossentropy",
        "sparse_categorical_crossentropy",
        "binary_crossentropy",
    ],
)
def test_cross_entropies_go_through_one_module(name, monkeypatch):
    seen = []
    own = getattr(internals.backend_nn(), name)

    def call(target, output, from_logits=False, **options):
        seen.append(from_logits)
        return own(target, output, from_logits=from_logits, **options)

    monkeypatch.setattr(internals.backend_nn(), name, call)
    y = np.array([0, 1]) if name.startswith("sparse") else np.eye(2)
    getattr(keras.losses, name)(y, np.ones((2, 2)), from_logits=True)
    assert seen == [True]
