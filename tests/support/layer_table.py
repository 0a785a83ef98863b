"""What the layers of keras.layers need to sit in a small model.

A layer of a new Keras that needs nothing special joins by itself; one that
does, and is not named here, fails the zoo until it is.
"""

import inspect

import keras

layers = keras.layers


def _cell(kind):
    return lambda: layers.RNN(kind(2))


# How to make a layer that needs arguments, by its name.
MAKE = {
    "Activation": lambda: layers.Activation("tanh"),
    "AdaptiveAveragePooling1D": lambda: layers.AdaptiveAveragePooling1D(2),
    "AdaptiveAveragePooling2D": lambda: layers.AdaptiveAveragePooling2D(2),
    "AdaptiveAveragePooling3D": lambda: layers.AdaptiveAveragePooling3D(2),
    "AdaptiveMaxPooling1D": lambda: layers.AdaptiveMaxPooling1D(2),
    "AdaptiveMaxPooling2D": lambda: layers.AdaptiveMaxPooling2D(2),
    "AdaptiveMaxPooling3D": lambda: layers.AdaptiveMaxPooling3D(2),
    "AlphaDropout": lambda: layers.AlphaDropout(0.3),
    "AveragePooling1D": lambda: layers.AveragePooling1D(2),
    "AveragePooling2D": lambda: layers.AveragePooling2D(2),
    "AveragePooling3D": lambda: layers.AveragePooling3D(2),
    "Bidirectional": lambda: layers.Bidirectional(layers.LSTM(2)),
    "CategoryEncoding": lambda: layers.CategoryEncoding(num_tokens=5),
    "CenterCrop": lambda: layers.CenterCrop(3, 3),
    "Conv1D": lambda: layers.Conv1D(2, 2),
    "Conv1DTranspose": lambda: layers.Conv1DTranspose(2, 2),
    "Conv2D": lambda: layers.Conv2D(2, 2),
    "Conv2DTranspose": lambda: layers.Conv2DTranspose(2, 2),
    "Conv3D": lambda: layers.Conv3D(2, 2),
    "Conv3DTranspose": lambda: layers.Conv3DTranspose(2, 2),
    "ConvLSTM1D": lambda: layers.ConvLSTM1D(2, 2),
    "ConvLSTM2D": lambda: layers.ConvLSTM2D(2, 2),
    "ConvLSTM3D": lambda: layers.ConvLSTM3D(2, 2),
    "Dense": lambda: layers.Dense(3),
    "DepthwiseConv1D": lambda: layers.DepthwiseConv1D(2),
    "DepthwiseConv2D": lambda: layers.DepthwiseConv2D(2),
    "Discretization": lambda: layers.Discretization([-0.5, 0.0, 0.5]),
    "Dot": lambda: layers.Dot(axes=1),
    "Dropout": lambda: layers.Dropout(0.3),
    "EinsumDense": lambda: layers.EinsumDense("ab,bc->ac", 3, bias_axes="c"),
    "Embedding": lambda: layers.Embedding(5, 3),
    "GRU": lambda: layers.GRU(2),
    "GRUCell": _cell(layers.GRUCell),
    "GaussianDropout": lambda: layers.GaussianDropout(0.3),
    "GaussianNoise": lambda: layers.GaussianNoise(0.3),
    "GroupNormalization": lambda: layers.GroupNormalization(groups=2),
    "GroupQueryAttention": lambda: layers.GroupQueryAttention(4, 2, 1),
    "HashedCrossing": lambda: layers.HashedCrossing(5),
    "Hashing": lambda: layers.Hashing(5),
    "IntegerLookup": lambda: layers.IntegerLookup(vocabulary=[1, 2, 3]),
    "LSTM": lambda: layers.LSTM(2),
    "LSTMCell": _cell(layers.LSTMCell),
    "Lambda": lambda: layers.Lambda(lambda x: x * x),
    "MelSpectrogram": lambda: layers.MelSpectrogram(
        fft_length=16, sequence_stride=8, num_mel_bins=4, sampling_rate=800
    ),
    "MultiHeadAttention": lambda: layers.MultiHeadAttention(2, 3, dropout=0.1),
    "Normalization": lambda: layers.Normalization(mean=0.3, variance=2.0),
    "Permute": lambda: layers.Permute((2, 1)),
    "Pipeline": lambda: layers.Pipeline([layers.Rescaling(0.5)]),
    "RNN": _cell(layers.SimpleRNNCell),
    "RandomBrightness": lambda: layers.RandomBrightness(0.3),
    "RandomColorDegeneration": lambda: layers.RandomColorDegeneration(0.5),
    "RandomColorJitter": lambda: layers.RandomColorJitter(
        brightness_factor=0.2, contrast_factor=0.2
    ),
    "RandomContrast": lambda: layers.RandomContrast(0.3),
    "RandomCrop": lambda: layers.RandomCrop(3, 3),
    "RandomHue": lambda: layers.RandomHue(0.3),
    "RandomPosterization": lambda: layers.RandomPosterization(4),
    "RandomRotation": lambda: layers.RandomRotation(0.2),
    "RandomSaturation": lambda: layers.RandomSaturation(0.3),
    "RandomSharpness": lambda: layers.RandomSharpness(0.3),
    "RandomShear": lambda: layers.RandomShear(0.2, 0.2),
    "RandomTranslation": lambda: layers.RandomTranslation(0.3, 0.3),
    "RandomZoom": lambda: layers.RandomZoom(0.3),
    "RepeatVector": lambda: layers.RepeatVector(2),
    "Rescaling": lambda: layers.Rescaling(0.5, 0.1),
    "Reshape": lambda: layers.Reshape((2, 2)),
    "Resizing": lambda: layers.Resizing(3, 3),
    "ReversibleEmbedding": lambda: layers.ReversibleEmbedding(5, 3),
    "STFTSpectrogram": lambda: layers.STFTSpectrogram(
        mode="magnitude", frame_length=8, frame_step=4, fft_length=8
    ),
    "SeparableConv1D": lambda: layers.SeparableConv1D(2, 2),
    "SeparableConv2D": lambda: layers.SeparableConv2D(2, 2),
    "SimpleRNN": lambda: layers.SimpleRNN(2),
    "SimpleRNNCell": _cell(layers.SimpleRNNCell),
    "SpatialDropout1D": lambda: layers.SpatialDropout1D(0.3),
    "SpatialDropout2D": lambda: layers.SpatialDropout2D(0.3),
    "SpatialDropout3D": lambda: layers.SpatialDropout3D(0.3),
    "SpectralNormalization": lambda: layers.SpectralNormalization(layers.Dense(3)),
    "StackedRNNCells": lambda: layers.RNN([layers.LSTMCell(2), layers.GRUCell(2)]),
    "StringLookup": lambda: layers.StringLookup(vocabulary=["a", "b", "c"]),
    "TextVectorization": lambda: layers.TextVectorization(
        vocabulary=["a", "b"], output_sequence_length=3
    ),
    "TimeDistributed": lambda: layers.TimeDistributed(layers.Dense(2)),
}

# What a layer works on, where the end of its name ("1D", "2D", "3D") does not
# say it; "vector" if not named.
KIND = {
    "AdditiveAttention": "pair of sequences",
    "Add": "pair",
    "Attention": "pair of sequences",
    "AugMix": "picture",
    "AutoContrast": "picture",
    "Average": "pair",
    "Bidirectional": "sequence",
    "CategoryEncoding": "integers",
    "CenterCrop": "image",
    "Concatenate": "pair",
    "ContrastLimitedAdaptiveHistogramEqualization": "picture",
    "Conv1DTranspose": "sequence",
    "Conv2DTranspose": "image",
    "Conv3DTranspose": "volume",
    "ConvLSTM1D": "image",
    "ConvLSTM2D": "volume",
    "ConvLSTM3D": "film",
    "CutMix": "picture",
    "Discretization": "numbers",
    "Dot": "pair",
    "Embedding": "integers",
    "Equalization": "picture",
    "GRU": "sequence",
    "GRUCell": "sequence",
    "GroupNormalization": "vector",
    "GroupQueryAttention": "two sequences",
    "HashedCrossing": "two integers",
    "Hashing": "integers",
    "IntegerLookup": "integers",
    "LSTM": "sequence",
    "LSTMCell": "sequence",
    "Masking": "sequence",
    "Maximum": "pair",
    "MelSpectrogram": "sound",
    "Minimum": "pair",
    "MixUp": "picture",
    "MultiHeadAttention": "two sequences",
    "Multiply": "pair",
    "Permute": "sequence",
    "RNN": "sequence",
    "RandAugment": "picture",
    "Resizing": "image",
    "ReversibleEmbedding": "integers",
    "STFTSpectrogram": "sound",
    "SimpleRNN": "sequence",
    "SimpleRNNCell": "sequence",
    "Softmax": "vector",
    "Solarization": "picture",
    "StackedRNNCells": "sequence",
    "StringLookup": "strings",
    "Subtract": "pair",
    "TextVectorization": "text",
    "TimeDistributed": "sequence",
}

# Layers that can't sit in a model here, each with the reason.
EXCLUDED = {
    "FlaxLayer": "needs the JAX backend",
    "InputLayer": "holds no computation; every model of the zoo begins with one",
    "JaxLayer": "needs the JAX backend",
    "Layer": "a base class",
    "MaxNumBoundingBoxes": "pads labels; returns no numbers that a loss could use",
    "TFSMLayer": "reads a saved model from disk; see test_uncheckable.py",
    "TorchModuleWrapper": "needs the Torch backend",
    "Wrapper": "a base class",
}

# Layers that stand at the input of the model, before all weights, for the
# gradient with respect to what goes into them is not the derivative: here
# TensorFlow is wrong, and a check that alarms is right.
# tests/zoo/test_wrong_in_tensorflow.py holds the evidence.
_WARP = "ImageProjectiveTransformV3: its gradient is the inverse warp, not the adjoint"
_HUE = "tf.image.hsv_to_rgb has no gradient"
_TABLE = "looks grey levels up in a table: a staircase, whose derivative is zero"
AT_INPUT = {
    "AugMix": _WARP,
    "ContrastLimitedAdaptiveHistogramEqualization": _TABLE,
    "Equalization": _TABLE,
    "RandAugment": _WARP,
    "RandomHue": _HUE,
    "RandomPerspective": _WARP,
    "RandomPosterization": _TABLE,
    "RandomRotation": _WARP,
    "RandomSaturation": _HUE,
    "RandomShear": _WARP,
    "RandomTranslation": _WARP,
    "RandomZoom": _WARP,
}

# Layers behind which no weight can be proven in float64, each with the reason.
UNPROVEN = {
    "SpectralNormalization": "assigns to its trainable weight in the forward pass",
}


def layer_names():
    found = {
        thing: name
        for name, thing in sorted(vars(layers).items(), reverse=True)
        if inspect.isclass(thing) and issubclass(thing, layers.Layer)
    }  # under one name, where a class has several
    return sorted(name for name in found.values() if name not in EXCLUDED)


def kind_of(name):
    if name in KIND:
        return KIND[name]
    if name.startswith("Random"):
        return "picture"
    for end, kind in (("1D", "sequence"), ("2D", "image"), ("3D", "volume")):
        if name.endswith(end):
            return kind
    return "vector"
