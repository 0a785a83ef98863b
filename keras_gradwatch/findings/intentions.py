"""What libraries are known to intend, and what TensorFlow is known to get wrong.

Two tables: what is found is named by a key. `replica/known.py` finds it in a model by
the identity of layers, operations and variables, not by names.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Intention:
    """What a library does to a gradient on purpose.

    Args:
        what: What it does, to end the sentence "Layer 'a' ...".
        source: Who says so.
        operations: The operations of TensorFlow that do it.
        dtypes: The types of what they return; empty for any.
        layer: Name of the class of `keras.layers` that makes them; empty for any.
        attribute: What is true of that layer; empty for nothing.
        variable: What is true of a variable whose gradient it is.
        is_left_out: Whether the losses that are compared do without it, and so show
            whether all the rest is right: what is stopped stands still in them, what
            is rounded is not.
    """

    what: str
    source: str
    operations: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    layer: str = ""
    attribute: str = ""
    variable: str = ""
    is_left_out: bool = False


RENORM, FLOAT8, OVERWRITTEN = "renorm", "float8", "overwritten"
QUANTISED, FAKE_QUANTISED = "quantised", "fake quantised"
INTENTIONS = {
    RENORM: Intention(
        what="takes its corrections r and d as constants",
        source="Ioffe, 2017, Batch renormalization; BatchNormalization(renorm=True)",
        operations=("StopGradient",),
        layer="BatchNormalization",
        attribute="renorm",
        is_left_out=True,
    ),
    FLOAT8: Intention(
        what="rounds to float8, and passes the gradient straight through",
        source="Micikevicius et al., 2022, FP8 formats for deep learning",
        operations=("Cast",),
        dtypes=("float8_e4m3fn", "float8_e5m2"),
        attribute="quantization_mode",
        is_left_out=True,
    ),
    OVERWRITTEN: Intention(
        what="hands on its next value in the place of a gradient",
        source="Keras, add_weight(overwrite_with_gradient=True); Micikevicius et al., "
        "2022, FP8 formats for deep learning",
        variable="overwrite_with_gradient",
    ),
    QUANTISED: Intention(
        what="rounds, and passes the gradient straight through",
        source="Bengio, Leonard & Courville, 2013, Estimating or propagating gradients "
        "through stochastic neurons; Keras, Layer.quantize",
        operations=("Round",),
        attribute="quantization_mode",
    ),
    FAKE_QUANTISED: Intention(
        what="rounds, and passes the gradient straight through",
        source="Jacob et al., 2018, Quantization and training of neural networks; "
        "tf.quantization",
        operations=(
            "FakeQuantWithMinMaxArgs",
            "FakeQuantWithMinMaxVars",
            "FakeQuantWithMinMaxVarsPerChannel",
            "QuantizeAndDequantizeV2",
            "QuantizeAndDequantizeV3",
            "QuantizeAndDequantizeV4",
        ),
    ),
}


@dataclass(frozen=True)
class Flaw:
    """A gradient that TensorFlow itself gets wrong.

    `tests/zoo/test_wrong_in_tensorflow.py` has the evidence.

    Args:
        name: What users call it.
        when: Where it is wrong.
        issue: Where it was reported; empty if that is not known.
    """

    name: str
    when: str
    issue: str = ""


# By the name of the operation.
FLAWS = {
    "Cumprod": Flaw(
        "tf.math.cumprod", "where its input has a zero", "tensorflow#119430"
    ),
    "HSVToRGB": Flaw(
        "tf.image.hsv_to_rgb", "everywhere: it has none", "tensorflow#21510"
    ),
    "ImageProjectiveTransformV3": Flaw(
        "a warp of images",
        "but for shifts by whole pixels: it is another warp",
        "tensorflow#127241",
    ),
    "TensorScatterUpdate": Flaw(
        "tf.tensor_scatter_nd_update", "where an index comes twice", "tensorflow#56961"
    ),
    "DynamicStitch": Flaw(
        "tf.dynamic_stitch", "where an index comes twice", "tensorflow#7397"
    ),
    "SelfAdjointEigV2": Flaw("tf.linalg.eigh", "where eigenvalues are equal"),
    "SoftmaxCrossEntropyWithLogits": Flaw(
        "tf.nn.softmax_cross_entropy_with_logits",
        "where the labels of an example do not add up to 1",
        "tensorflow#60314",
    ),
}
