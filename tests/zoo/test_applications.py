"""One small-input model of each family of keras.applications."""

import keras
import numpy as np
import pytest

import keras_gradwatch as kgw
from tests.support.sandwich import integers, numbers

# The smallest model of each family, and the smallest input that it takes.
FAMILIES = {
    "convnext": ("ConvNeXtTiny", 32),
    "densenet": ("DenseNet121", 32),
    "efficientnet": ("EfficientNetB0", 32),
    "efficientnet_v2": ("EfficientNetV2B0", 32),
    "inception_resnet_v2": ("InceptionResNetV2", 75),
    "inception_v3": ("InceptionV3", 75),
    "mobilenet": ("MobileNet", 32),
    "mobilenet_v2": ("MobileNetV2", 32),
    "mobilenet_v3": ("MobileNetV3Small", 32),
    "nasnet": ("NASNetMobile", 32),
    "resnet": ("ResNet50", 32),
    "resnet_v2": ("ResNet50V2", 32),
    "vgg16": ("VGG16", 32),
    "vgg19": ("VGG19", 32),
    "xception": ("Xception", 71),
}
NO_FAMILIES = {"imagenet_utils": "helpers", "resnet50": "another name of resnet"}


def test_every_family_is_here():
    found = {n for n in dir(keras.applications) if n.islower() and n[0] != "_"}
    assert found - set(NO_FAMILIES) == set(FAMILIES)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_application(family, record_property):
    name, size = FAMILIES[family]
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(size, size, 3), classes=3
    )
    model.compile(
        keras.optimizers.SGD(0.01),
        "sparse_categorical_crossentropy",
        jit_compile=False,
    )
    # Of two examples, batch normalisation makes +1 and -1, whatever they are.
    x, y = numbers((4, size, size, 3), 0), integers((4,), 0, 3)
    # Pixels as the models expect them, some of which rescale by themselves.
    x = np.clip(127 + 60 * x, 0, 255)
    for trained in (False, True):
        if trained:
            model.train_on_batch(x, y)
        report = kgw.check_gradients(
            model, x, y, samples=1, directions=1, time_budget=10
        )
        record_property("zoo", [report.verdict, report.dtype])
        assert report.verdict != "FAIL", str(report)
        assert report.dtype == "float64"
        assert report.passed, str(report)
