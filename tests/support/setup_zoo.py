"""Set-ups before their training, healthy ones: each a model and its data."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, losses, ops

HEALTHY = {}
LOGITS = losses.SparseCategoricalCrossentropy(from_logits=True)


def healthy(function):
    HEALTHY[function.__name__] = function
    return function


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def labels(x, count=3):
    flat = x.reshape(len(x), -1)
    return ((flat[:, 0] + flat[:, 1]) * 2).astype(int) % count


def stack(shape, *inner):
    return keras.Sequential([keras.Input(shape), *inner])


def dense(out=3, activation=None, width=8, **options):
    hidden = layers.Dense(16, "relu", **options)
    return stack((width,), hidden, layers.Dense(out, activation))


def compiled(model, loss=LOGITS, optimizer="adam", **options):
    model.compile(optimizer, loss, **options)
    return model


def pictures(count=64, side=12, channels=1):
    x = np.random.default_rng(0).random((count, side, side, channels)).astype("float32")
    return x, labels(x)


def sentences(count=64, length=7, words=20):
    x = np.random.default_rng(0).integers(1, words, (count, length))
    x[::3, -3:] = 0
    return x, (x[:, 0] > words // 2).astype("float32")


@healthy
def classes():
    x = numbers(200, 8)
    return compiled(dense()), x, labels(x)


@healthy
def classes_by_softmax():
    x = numbers(200, 8)
    loss = "sparse_categorical_crossentropy"
    return compiled(dense(3, "softmax"), loss), x, labels(x)


@healthy
def one_hot():
    x = numbers(200, 8)
    y = keras.utils.to_categorical(labels(x), 3)
    return compiled(dense(3, "softmax"), "categorical_crossentropy"), x, y


@healthy
def label_smoothing():
    x = numbers(200, 8)
    loss = losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    return compiled(dense(3), loss), x, keras.utils.to_categorical(labels(x), 3)


@healthy
def focal():
    x = numbers(200, 8)
    y = keras.utils.to_categorical(labels(x), 3)
    return compiled(dense(3, "softmax"), losses.CategoricalFocalCrossentropy()), x, y


@healthy
def binary_focal_of_a_function():
    def focal(y, p):
        p = ops.clip(p, 1e-6, 1 - 1e-6)
        own = y * p + (1 - y) * (1 - p)
        return ops.mean(-((1 - own) ** 2) * ops.log(own), axis=-1)

    x = numbers(200, 8)
    return compiled(dense(1, "sigmoid"), focal), x, (x[:, :1] > 0).astype("float32")


@healthy
def imbalanced():
    x = numbers(600, 8)
    y = (x[:, :1] > 1.9).astype("float32")
    return compiled(dense(1, "sigmoid"), "binary_crossentropy"), x, y


@healthy
def imbalanced_with_class_weights():
    x = numbers(600, 8)
    y = (x[:, 0] > 1.9).astype(int)
    model = compiled(dense(2, "softmax"), "sparse_categorical_crossentropy")
    return model, x, y, np.where(y, 20.0, 1.0)


@healthy
def many_labels():
    x = numbers(200, 8)
    y = (x[:, :5] > 0).astype("float32")
    return compiled(dense(5), losses.BinaryCrossentropy(from_logits=True)), x, y


@healthy
def regression():
    x = numbers(200, 8)
    return compiled(dense(1), "mse"), x, np.sin(x[:, :1])


@healthy
def regression_of_flat_targets():
    x = numbers(200, 8)
    return compiled(dense(1), "mae", "sgd"), x, np.sin(x[:, 0])


@healthy
def house_prices():
    """Targets in their own unit."""
    x = numbers(400, 8)
    y = 220_000 + 70_000 * x[:, :1] + 30_000 * x[:, 1:2]
    return compiled(dense(1), "mse", keras.optimizers.Adam(1.0)), x, y / 1000


@healthy
def hubers_of_several_targets():
    x = numbers(200, 8)
    return compiled(dense(4), losses.Huber()), x, 10 * x[:, :4] + 3


@healthy
def one_feature():
    """With fewer weights than most batches have examples."""
    x = numbers(200, 1)
    y = 0.3 * x + 1 + numbers(200, 1, seed=1)
    return compiled(stack((1,), layers.Dense(1)), "mse", "sgd"), x, y


@healthy
def raw_table_with_a_normalization():
    x = numbers(200, 4) * [1, 10, 1e3, 1e5] + [0, 40, 0, 3e5]
    normalise = layers.Normalization()
    normalise.adapt(x)
    model = stack((4,), normalise, layers.Dense(16, "relu"), layers.Dense(1))
    return compiled(model, "mse"), x, numbers(200, 1, seed=1)


@healthy
def sparse_table():
    """One-hot columns, some of them never set."""
    x = np.eye(40, dtype="float32")[np.random.default_rng(0).integers(0, 35, 200)]
    return compiled(dense(2, width=40)), x, (x.argmax(1) % 2)


@healthy
def convolutions():
    x, y = pictures()
    inner = layers.Conv2D(8, 3, activation="relu"), layers.BatchNormalization()
    pooled = layers.GlobalAveragePooling2D(), layers.Dropout(0.3), layers.Dense(3)
    return compiled(stack(x.shape[1:], *inner, *pooled)), x, y


@healthy
def raw_pictures_with_rescaling():
    x, y = pictures()
    x = np.round(255 * x)
    inner = layers.Rescaling(1 / 255), layers.Conv2D(8, 3, activation="relu")
    return (
        compiled(stack(x.shape[1:], *inner, layers.Flatten(), layers.Dense(3))),
        x.astype("uint8"),
        y,
    )


@healthy
def digits_with_empty_borders():
    x, y = pictures()
    x[:, :2] = x[:, -2:] = 0
    inner = layers.Flatten(), layers.Dense(16, "relu"), layers.Dense(3)
    return compiled(stack(x.shape[1:], *inner)), x, y


@healthy
def augmented():
    x, y = pictures()
    inner = layers.RandomFlip(), layers.RandomTranslation(0.1, 0.1), layers.Flatten()
    return compiled(stack(x.shape[1:], *inner, layers.Dense(3))), x, y


@healthy
def autoencoder():
    x, _ = pictures()
    inner = [
        layers.Conv2D(8, 3, 2, padding="same", activation="relu"),
        layers.Conv2DTranspose(8, 3, 2, padding="same", activation="relu"),
        layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
    ]
    return compiled(stack(x.shape[1:], *inner), "binary_crossentropy"), x, x


@healthy
def segmentation():
    x, _ = pictures()
    y = (x[..., 0] > 0.5).astype(int)
    inner = layers.Conv2D(8, 3, padding="same", activation="relu"), layers.Conv2D(2, 1)
    return compiled(stack(x.shape[1:], *inner)), x, y


@healthy
def lstm_with_masks():
    x, y = sentences()
    inner = layers.Embedding(20, 8, mask_zero=True), layers.LSTM(8)
    model = stack((None,), *inner, layers.Dense(1, "sigmoid"))
    return compiled(model, "binary_crossentropy"), x, y


@healthy
def tags_with_masks():
    """One target for each word that is there."""
    x, _ = sentences()
    inner = layers.Embedding(20, 8, mask_zero=True), layers.GRU(8, return_sequences=1)
    return compiled(stack((None,), *inner, layers.Dense(4))), x, x % 4


@healthy
def bidirectional_with_sample_weights():
    x, _ = sentences()
    inner = layers.Embedding(20, 8), layers.Bidirectional(layers.LSTM(4, dropout=0.2))
    weight = np.linspace(0, 2, len(x))
    model = compiled(stack((7,), *inner, layers.Dense(1)), "mse")
    return model, x, x[:, :1] / 10.0, weight


@healthy
def transformer():
    x, _ = sentences()
    words = keras.Input((7,), dtype="int32")
    h = layers.Embedding(20, 16)(words)
    h = h + layers.MultiHeadAttention(2, 8, dropout=0.1)(h, h, use_causal_mask=True)
    h = layers.LayerNormalization()(h)
    h = layers.LayerNormalization()(h + layers.Dense(16, "gelu")(h))
    model = keras.Model(words, layers.Dense(20)(h))
    return compiled(model, LOGITS, keras.optimizers.AdamW()), x, np.roll(x, -1, axis=1)


@healthy
def several_outputs():
    x = numbers(200, 8)
    inputs = keras.Input((8,))
    h = layers.Dense(16, "relu")(inputs)
    out = {
        "kind": layers.Dense(3, name="kind")(h),
        "size": layers.Dense(1, name="size")(h),
    }
    model = keras.Model(inputs, out)
    model.compile(
        "adam",
        {"kind": LOGITS, "size": "mse"},
        loss_weights={"kind": 1.0, "size": 0.2},
        metrics={"kind": "accuracy"},
    )
    return model, x, {"kind": labels(x), "size": x[:, :1]}


@healthy
def dict_of_inputs():
    data = {"table": numbers(100, 4), "word": sentences(100)[0][:, 0]}
    table = keras.Input((4,), name="table")
    word = keras.Input((), dtype="int32", name="word")
    h = layers.Concatenate()([table, layers.Embedding(20, 3)(word)])
    model = keras.Model({"table": table, "word": word}, layers.Dense(1)(h))
    return compiled(model, "mse"), data, data["table"][:, :1]


class Draws(layers.Layer):
    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(3)

    def call(self, inputs):
        mean, spread = inputs
        noise = keras.random.normal(ops.shape(mean), seed=self.seeds)
        rest = ops.square(mean) + ops.exp(spread) - spread - 1
        self.add_loss(0.1 * ops.mean(ops.sum(rest, axis=-1)))
        return mean + ops.exp(0.5 * spread) * noise


@healthy
def variational_autoencoder():
    x = numbers(100, 8)
    inputs = keras.Input((8,))
    h = layers.Dense(16, "relu")(inputs)
    code = Draws()([layers.Dense(2)(h), layers.Dense(2)(h)])
    outputs = layers.Dense(8)(layers.Dense(16, "relu")(code))
    return compiled(keras.Model(inputs, outputs), "mse"), x, x


@healthy
def regularised():
    x = numbers(200, 8)
    options = {"kernel_regularizer": "l2", "activity_regularizer": "l1"}
    return compiled(dense(**options)), x, labels(x)


@healthy
def mixed_precision():
    x = numbers(200, 8)
    hidden = layers.Dense(16, "relu", dtype="mixed_float16")
    model = stack((8,), hidden, layers.Dense(3, dtype="mixed_float16"))
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    return compiled(model, LOGITS, optimizer), x, labels(x)


@healthy
def bfloat16_with_batch_norm():
    x, y = pictures()
    inner = layers.Conv2D(8, 3, dtype="mixed_bfloat16"), layers.BatchNormalization()
    pooled = layers.GlobalMaxPooling2D(), layers.Dense(3, dtype="float32")
    return compiled(stack(x.shape[1:], *inner, *pooled)), x, y


@healthy
def begins_with_zeros():
    x = numbers(200, 8)
    last = layers.Dense(3, kernel_initializer="zeros")
    return compiled(stack((8,), layers.Dense(16, "relu"), last)), x, labels(x)


@healthy
def fine_tuned():
    """A frozen part, and a new head."""
    x = numbers(200, 8)
    body = dense(8, "relu")
    body.trainable = False
    return compiled(stack((8,), body, layers.Dense(3))), x, labels(x)


@healthy
def tiny_batch():
    x = numbers(2, 8)
    return compiled(dense(1), "mse"), x, x[:, :1]


@healthy
def dataset():
    x = numbers(200, 8)
    data = tf.data.Dataset.from_tensor_slices((x, labels(x))).shuffle(200).batch(32)
    return compiled(dense()), data


@healthy
def generator():
    x = numbers(200, 8)
    y = labels(x)
    batches = ((x[k : k + 20], y[k : k + 20]) for k in range(0, 200, 20))
    return compiled(dense()), batches


class Pairs(keras.utils.PyDataset):
    def __len__(self):
        return 5

    def __getitem__(self, index):
        x = numbers(20, 8, seed=index)
        return x, labels(x), np.ones(20)


@healthy
def py_dataset():
    return compiled(dense()), Pairs()


class OwnStep(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        own = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, own), own)
        return {"loss": loss}


@healthy
def own_train_step():
    x = numbers(200, 8)
    inputs = keras.Input((8,))
    out = layers.Dense(3)(layers.Dense(16, "relu")(inputs))
    return compiled(OwnStep(inputs, out)), x, labels(x)


class OwnLoss(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **_):
        return ops.mean(ops.square(y - y_pred))


@healthy
def own_compute_loss():
    x = numbers(200, 8)
    inputs = keras.Input((8,))
    out = layers.Dense(2)(layers.Dense(16, "relu")(inputs))
    return compiled(OwnLoss(inputs, out), None), x, x[:, :2]


class Adversaries(keras.Model):
    def __init__(self):
        super().__init__()
        self.maker = stack((4,), layers.Dense(16, "relu"), layers.Dense(2))
        self.judge = stack((2,), layers.Dense(16, "relu"), layers.Dense(1))
        self.seeds = keras.random.SeedGenerator(1)

    def compile(self, first, second):
        super().compile()
        self.first, self.second = first, second

    def train_step(self, real):
        entropy = losses.BinaryCrossentropy(from_logits=True)
        code = keras.random.normal((ops.shape(real)[0], 4), seed=self.seeds)
        with tf.GradientTape() as tape:
            mine = self.judge(self.maker(code))
            theirs = self.judge(real)
            loss = entropy(ops.zeros_like(mine), mine)
            loss += entropy(ops.ones_like(theirs), theirs)
        own = self.judge.trainable_weights
        self.first.apply(tape.gradient(loss, own), own)
        with tf.GradientTape() as tape:
            mine = self.judge(self.maker(code))
            fooled = entropy(ops.ones_like(mine), mine)
        own = self.maker.trainable_weights
        self.second.apply(tape.gradient(fooled, own), own)
        return {"judge": loss, "maker": fooled}


@healthy
def adversaries():
    model = Adversaries()
    model.compile(keras.optimizers.Adam(), keras.optimizers.Adam())
    model.maker(numbers(2, 4)), model.judge(numbers(2, 2))
    return model, numbers(100, 2)


@healthy
def ctc():
    x = numbers(32, 12, 6)
    y = np.random.default_rng(0).integers(1, 5, (32, 3))
    model = stack((12, 6), layers.GRU(16, return_sequences=True), layers.Dense(5))
    return compiled(model, losses.CTC()), x, y


@healthy
def ids_as_inputs():
    x = np.random.default_rng(0).integers(0, 500, (100, 1))
    inner = layers.Embedding(500, 4), layers.Flatten(), layers.Dense(1)
    return compiled(stack((1,), *inner), "mse"), x, (x % 7) / 3.0


@healthy
def divergence_of_distributions():
    x = numbers(100, 8)
    y = np.exp(x[:, :3]) / np.exp(x[:, :3]).sum(1, keepdims=True)
    return compiled(dense(3, "softmax"), "kl_divergence"), x, y


@healthy
def counts():
    x = numbers(200, 8)
    y = np.random.default_rng(0).poisson(np.exp(x[:, :1]))
    return compiled(dense(1, "softplus"), "poisson"), x, y.astype("float32")


@healthy
def hinge():
    x = numbers(200, 8)
    return compiled(dense(1), "hinge"), x, np.sign(x[:, :1])


class Likelihood(losses.Loss):
    """Of a normal distribution whose mean and spread the model gives."""

    def call(self, y, outputs):
        mean, spread = outputs[:, :1], outputs[:, 1:]
        return ops.mean(spread + 0.5 * ops.square((y - mean) / ops.exp(spread)), -1)


@healthy
def likelihood():
    x = numbers(200, 8)
    return compiled(dense(2), Likelihood()), x, x[:, :1]


@healthy
def contrast():
    """A loss that compares the examples of a batch, on purpose."""

    def contrasted(y, code):
        code = ops.normalize(code, axis=-1)
        alike = ops.matmul(code, ops.transpose(code)) / 0.1
        pairs = ops.cast(ops.equal(y, ops.transpose(y)), "float32")
        shares = pairs / ops.sum(pairs, axis=-1, keepdims=True)
        return -ops.sum(shares * ops.log_softmax(alike), axis=-1)

    x = numbers(200, 8)
    return compiled(dense(4), contrasted), x, labels(x)[:, None]


@healthy
def residual_of_an_equation():
    """Whose targets are all zero."""

    class Equation(layers.Layer):
        def __init__(self):
            super().__init__()
            self.network = stack((1,), layers.Dense(16, "tanh"), layers.Dense(1))

        def call(self, x):
            return self.network(x) - ops.cos(x)

    model = stack((1,), Equation())
    x = np.linspace(-1, 1, 64)[:, None]
    return compiled(model, lambda y, p: ops.square(p)), x, 0 * x


@healthy
def mobile_net():
    model = keras.applications.MobileNetV2((64, 64, 3), 0.35, weights=None, classes=4)
    x = 2 * np.random.default_rng(0).random((32, 64, 64, 3)).astype("float32") - 1
    return compiled(model, "sparse_categorical_crossentropy"), x, np.arange(32) % 4


@healthy
def efficient_net():
    """Which takes pictures of 0 to 255."""
    model = keras.applications.EfficientNetB0(
        input_shape=(48, 48, 3), weights=None, classes=4
    )
    x = np.random.default_rng(0).integers(0, 256, (32, 48, 48, 3)).astype("float32")
    return compiled(model, "sparse_categorical_crossentropy"), x, np.arange(32) % 4


@healthy
def compiled_by_xla():
    x = numbers(200, 8)
    return compiled(dense(), jit_compile=True), x, labels(x)


@healthy
def eager():
    x = numbers(200, 8)
    return compiled(dense(), run_eagerly=True), x, labels(x)


@healthy
def trained_before():
    x = numbers(200, 8)
    model = compiled(dense())
    model.fit(x, labels(x), epochs=2, verbose=0)
    return model, x, labels(x)


@healthy
def own_batch_normalisation():
    class Own(layers.Layer):
        def build(self, shape):
            self.mean = self.add_weight(shape=shape[-1:], trainable=False)

        def call(self, x, training=False):
            if training:
                mean = ops.mean(x, axis=0)
                self.mean.assign(0.9 * self.mean + 0.1 * mean)
                return x - mean
            return x - self.mean

    x = numbers(200, 8)
    return compiled(stack((8,), layers.Dense(8), Own(), layers.Dense(3))), x, labels(x)


@healthy
def own_step_with_its_own_entropy():
    class Own(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                code = self(x, training=True)
                loss = 0.1 * ops.mean(ops.square(code)) + LOGITS(y, code)
            own = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, own), own)
            return {"loss": loss}

    x = numbers(200, 8)
    inputs = keras.Input((8,))
    return compiled(Own(inputs, layers.Dense(3)(inputs)), None), x, labels(x)


@healthy
def one_graph():
    """Whose examples are the nodes: they can't be taken apart."""

    class Graph(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.last = layers.Dense(8, "relu"), layers.Dense(3)

        def call(self, inputs):
            edges, nodes = inputs
            return self.last(ops.matmul(edges, self.first(nodes)))

    x = numbers(40, 8)
    edges = np.eye(40, dtype="float32") + 0.1 * np.roll(np.eye(40), 1, axis=0)
    model = Graph()
    model([edges, x])
    return compiled(model), [edges, x], labels(x)


@healthy
def needs_values():
    class Asking(keras.Model):
        def __init__(self):
            super().__init__()
            self.last = layers.Dense(3)

        def call(self, x):
            return self.last(x if float(ops.sum(x)) < 1e9 else -x)

    x = numbers(200, 8)
    model = Asking()
    model(x[:2])
    return compiled(model, run_eagerly=True), x, labels(x)


@healthy
def words_as_strings():
    words = keras.Input((1,), dtype="string")
    ids = layers.StringLookup(vocabulary=["a", "b", "c"])(words)
    h = layers.Flatten()(layers.Embedding(5, 4)(ids))
    x = tf.constant([["a"], ["b"], ["c"], ["a"]] * 10)
    return (
        compiled(keras.Model(words, layers.Dense(2)(h))),
        x,
        np.array([0, 1, 1, 0] * 10),
    )


@healthy
def of_a_strategy():
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    with tf.distribute.MirroredStrategy(devices[:1]).scope():
        model = compiled(dense())
    x = numbers(200, 8)
    return model, x, labels(x)


@healthy
def shared_embedding():
    """Which is the last layer, too."""
    x, _ = sentences()
    words = keras.Input((7,), dtype="int32")
    both = layers.ReversibleEmbedding(20, 8)
    h = layers.Dense(8, "gelu")(both(words))
    return compiled(keras.Model(words, both(h, reverse=True))), x, np.roll(x, 1, axis=1)
