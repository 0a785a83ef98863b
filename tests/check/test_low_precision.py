"""Models that compute in less than float64, healthy and with a gradient off by half."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gradwatch as kgw
from tests.support.marks import first, pairs, some

layers = keras.layers


@tf.custom_gradient
def halved(x):
    """The identity, whose gradient is off by half."""
    return tf.identity(x), lambda dy: 0.5 * dy


@keras.saving.register_keras_serializable("low_precision")
class Cast(layers.Layer):
    """Casts to float32 in the middle, whatever comes."""

    def call(self, x):
        return tf.tanh(tf.cast(x, tf.float32))


class Constant(layers.Layer):
    """Mixes a float32 constant in, which takes no other precision."""

    def call(self, x):
        return x * tf.constant([0.5, 1.5, 2.5, 3.5]) + tf.ones([4])


class Nested(layers.Layer):
    """Casts inside a layer that it holds."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = Cast(name="culprit")
        self.dense = layers.Dense(4)

    def call(self, x):
        return self.dense(self.inner(x))


class InLoop(layers.Layer):
    """Casts to float32 in the body of a loop."""

    def call(self, x):
        def body(i, y):
            return i + 1, tf.cast(tf.tanh(tf.cast(y, tf.float32)), y.dtype)

        return tf.while_loop(lambda i, y: i < 2, body, (0, x))[1]


def _volume(layer):
    return [
        keras.Input((4, 4, 4, 2)),
        layers.Conv3D(2, 2),
        layer,
        layers.Flatten(),
    ]


def _image(layer):
    return [keras.Input((4, 4, 2)), layers.Conv2D(2, 2), layer, layers.Flatten()]


def _vector(layer):
    return [keras.Input((4,)), layers.Dense(4, "tanh"), layer]


CASES = {
    "max_pooling_3d": lambda: _volume(layers.MaxPooling3D(name="culprit")),
    "average_pooling_3d": lambda: _volume(layers.AveragePooling3D(2, name="culprit")),
    "adaptive_pooling_3d": lambda: _volume(
        layers.AdaptiveAveragePooling3D(2, name="culprit")
    ),
    "bilinear_upsampling": lambda: _image(
        layers.UpSampling2D(interpolation="bilinear", name="culprit")
    ),
    "bilinear_resizing": lambda: _image(layers.Resizing(5, 5, name="culprit")),
    "bicubic_resizing": lambda: _image(
        layers.Resizing(5, 5, interpolation="bicubic", name="culprit")
    ),
    "cast": lambda: _vector(Cast(name="culprit")),
    "constant": lambda: _vector(Constant(name="culprit")),
    "nested": lambda: _vector(Nested()),
    "in_loop": lambda: _vector(InLoop(name="culprit")),
    "lambda": lambda: _vector(
        layers.Lambda(lambda x: tf.cast(x, "float32") ** 2, name="culprit")
    ),
}


def _model(case, wrong, seed):
    keras.utils.set_random_seed(seed)
    stack = CASES[case]()
    if wrong:
        stack.append(layers.Lambda(halved, name="wrong"))
    model = keras.Sequential([*stack, layers.Dense(3, "softmax", name="last")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(6, *model.input_shape[1:]))
    return model, x, rng.integers(0, 3, 6)


@pytest.mark.parametrize("seed", first([0, 1, 2], other=pytest.mark.slow))
@pytest.mark.parametrize("case", some(CASES, 2))
def test_healthy(case, seed):
    report = kgw.check_gradients(*_model(case, False, seed))
    assert (report.verdict, report.dtype) == ("PASS", "float64"), str(report)


@pytest.mark.parametrize("seed", first([0, 1, 2], other=pytest.mark.slow))
@pytest.mark.parametrize("case", some(CASES, 2, 1))
def test_off_by_half(case, seed):
    report = kgw.check_gradients(*_model(case, True, seed))
    assert report.verdict == "FAIL", str(report)
    assert not any(v.path.startswith("last") for v in report.failures)


@pytest.mark.parametrize(
    ("policy", "wrong"),
    pairs(["mixed_float16", "mixed_bfloat16", "float16"], [False, True]),
)
def test_mixed_precision(policy, wrong, rng):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, "gelu", dtype=policy),
            layers.LayerNormalization(dtype=policy),
            *([layers.Lambda(halved, dtype=policy)] if wrong else ()),
            layers.Dense(3, dtype=policy),
            layers.Activation("softmax", dtype="float32"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    report = kgw.check_gradients(model, rng.normal(size=(8, 4)), rng.integers(0, 3, 8))
    assert report.verdict == ("FAIL" if wrong else "PASS"), str(report)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("wrong", [False, True])
def test_hard_cast_to_half_precision(dtype, wrong, rng):
    def call(x):
        y = tf.cast(x, dtype)
        y = tf.cast(tf.tanh(y), x.dtype)
        return halved(y) if wrong else y

    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6),
            layers.Lambda(call, name="culprit"),
            layers.Dense(3),
        ]
    )
    model.compile("sgd", "mse")
    report = kgw.check_gradients(
        model, rng.normal(size=(8, 4)), rng.normal(size=(8, 3))
    )
    assert report.verdict == ("FAIL" if wrong else "PASS"), str(report)
    assert report.dtype == "float64"


@pytest.mark.parametrize("wrong", first([True, False]))
def test_ctc(wrong, rng):
    model = keras.Sequential(
        [
            keras.Input((8, 3)),
            layers.LSTM(4, return_sequences=True),
            *([layers.Lambda(halved)] if wrong else ()),
            layers.Dense(5),
        ]
    )
    model.compile("sgd", keras.losses.CTC())
    y = rng.integers(1, 5, (4, 3))
    report = kgw.check_gradients(model, rng.normal(size=(4, 8, 3)), y)
    assert report.verdict == ("FAIL" if wrong else "PASS"), str(report)
    assert report.dtype == "float64"


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.RandomFlip(),
        lambda: layers.RandomRotation(0.2),
        lambda: layers.RandomZoom(0.2),
        lambda: layers.RandomTranslation(0.2, 0.2),
        lambda: layers.RandomContrast(0.2),
        lambda: layers.RandomBrightness(0.2, value_range=(0, 1)),
    ],
)
@pytest.mark.parametrize("dropout", ["bypass", "freeze"])
def test_augmentation_at_the_input_leaves_float64(layer, dropout, rng):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layer(),
            layers.Conv2D(2, 3, activation="tanh"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    model.compile("sgd", "mse")
    report = kgw.check_gradients(
        model, rng.random((4, 8, 8, 1)), rng.normal(size=(4, 2)), dropout=dropout
    )
    assert report.passed, str(report)
    assert report.dtype == "float64"


@pytest.mark.parametrize("wrong", [False, True])
def test_float32_inside_an_op_that_takes_float64(wrong, rng):
    # Between weights: TensorFlow interpolates in float32 and says float64.
    def shift(x):
        row = tf.constant([[1.0, 0, 0.25, 0, 1, 0.0, 0, 0]])
        warped = tf.raw_ops.ImageProjectiveTransformV3(
            images=x,
            transforms=row,
            output_shape=tf.constant([6, 6]),
            fill_value=0.0,
            interpolation="NEAREST",
        )
        return halved(warped) if wrong else warped

    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(2, 3, padding="same"),
            layers.Lambda(shift),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    model.compile("sgd", "mse")
    x, y = rng.random((4, 6, 6, 1)), rng.normal(size=(4, 2))
    report = kgw.check_gradients(model, x, y)
    assert report.verdict == ("FAIL" if wrong else "PASS"), str(report)


class Branches(layers.Layer):
    """Looks at values, so that it only runs eagerly."""

    def call(self, x):
        return x if float(keras.ops.sum(x)) < 1e9 else -x

    def compute_output_shape(self, shape):
        return shape


@pytest.mark.parametrize(("branches", "cast"), pairs([False, True], [False, True]))
def test_models_that_run_eagerly(cast, branches, rng):
    stack = [layers.Dense(4, activation="tanh")]
    stack += [Cast()] if cast else []
    stack += [Branches()] if branches else []
    model = keras.Sequential([keras.Input((4,)), *stack, layers.Dense(2)])
    model.compile("sgd", "mse", run_eagerly=True)
    x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 2))
    report = kgw.check_gradients(model, x, y)
    assert report.verdict == "PASS", str(report)
    assert report.dtype == ("float32" if branches else "float64")


@pytest.mark.parametrize("wrong", [False, True])
def test_an_operation_that_has_no_double_is_named(wrong, rng):
    stack = [
        keras.Input((4, 4, 2)),
        layers.Conv2D(2, 2),
        *([layers.Lambda(halved)] if wrong else ()),
        layers.Lambda(tf.nn.local_response_normalization, name="culprit"),
        layers.Flatten(),
        layers.Dense(3),
    ]
    model = keras.Sequential(stack)
    model.compile("sgd", "mse", jit_compile=False)
    x, y = rng.normal(size=(6, 4, 4, 2)), rng.normal(size=(6, 3))
    report = kgw.check_gradients(model, x, y)
    assert report.verdict == ("FAIL" if wrong else "PASS"), str(report)
    assert report.dtype == "float32"
    assert any("float32" in n and "culprit" in n for n in report.notes), report.notes


class Scaled(layers.Layer):
    """Scales by a number, on the way back by one that is rounded to bfloat16."""

    def call(self, x):
        @tf.custom_gradient
        def scaled(x):
            rounded = tf.cast(tf.constant(0.3, tf.bfloat16), x.dtype)
            return x * 0.3, lambda upstream: upstream * rounded

        return scaled(x)


def test_constants_that_only_a_backward_pass_rounds_are_named(rng):
    stack = [layers.Dense(4, "tanh"), Scaled(name="culprit"), layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), *stack])
    model.compile("sgd", "mse", jit_compile=False)
    x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 2))
    report = kgw.check_gradients(model, x, y)
    assert report.verdict == "FAIL"  # by 0.26 %
    assert any("rounds to half precision" in n and "culprit" in n for n in report.notes)


def test_a_nested_sequential_does_not_leave_float64(rng):
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="tanh")])
    stack = [layers.Dense(4, activation="tanh"), inner, layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), *stack])
    model.compile("sgd", "mse")
    x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 2))
    report = kgw.check_gradients(model, x, y)
    assert (report.verdict, report.dtype) == ("PASS", "float64")
