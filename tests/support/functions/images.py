"""Functions of `tf.image` and `tf.nn`."""

from __future__ import annotations

import functools

import tensorflow as tf

from tests.support.functions.arguments import (
    M,
    between,
    integers,
    normal,
    single,
    spread,
)

_part = functools.partial

FUNCTIONS = {
    "tf.image.adjust_brightness": (
        _part(tf.image.adjust_brightness, delta=0.1),
        [between(0, 1, 3, 3, 3)],
    ),
    "tf.image.adjust_contrast": (
        _part(tf.image.adjust_contrast, contrast_factor=1.5),
        [between(0, 1, 3, 3, 3)],
    ),
    "tf.image.adjust_gamma": (
        _part(tf.image.adjust_gamma, gamma=1.5),
        [between(0.1, 1, 3, 3, 3)],
    ),
    "tf.image.adjust_hue": (
        _part(tf.image.adjust_hue, delta=0.1),
        [between(0, 1, 2, 2, 3)],
    ),
    "tf.image.adjust_saturation": (
        _part(tf.image.adjust_saturation, saturation_factor=0.5),
        [between(0, 1, 2, 2, 3)],
    ),
    "tf.image.central_crop": (
        _part(tf.image.central_crop, central_fraction=0.5),
        [normal(4, 4, 1)],
    ),
    "tf.image.crop_and_resize": (
        _part(tf.image.crop_and_resize, box_indices=[0], crop_size=[3, 3]),
        [
            single(normal(1, 5, 5, 1)),
            single(between([[0, 0, 0.6, 0.6]], [[0.3, 0.3, 0.9, 0.9]], 1, 4)),
        ],
    ),
    "tf.image.extract_patches": (
        _part(
            tf.image.extract_patches,
            sizes=[1, 2, 2, 1],
            strides=[1, 1, 1, 1],
            rates=[1, 1, 1, 1],
            padding="VALID",
        ),
        [normal(1, 4, 4, 1)],
    ),
    "tf.image.flip_left_right": (tf.image.flip_left_right, [normal(3, 3, 1)]),
    "tf.image.grayscale_to_rgb": (tf.image.grayscale_to_rgb, [normal(3, 3, 1)]),
    "tf.image.image_gradients": (tf.image.image_gradients, [normal(1, 3, 3, 1)]),
    "tf.image.per_image_standardization": (
        tf.image.per_image_standardization,
        [normal(3, 3, 1)],
    ),
    "tf.image.psnr": (
        _part(tf.image.psnr, max_val=1.0),
        [between(0, 1, 3, 3, 1), between(0, 1, 3, 3, 1)],
    ),
    "tf.image.resize, area": (
        _part(tf.image.resize, size=[3, 3], method="area"),
        [normal(1, 6, 6, 1)],
    ),
    "tf.image.resize, bicubic": (
        _part(tf.image.resize, size=[5, 5], method="bicubic"),
        [normal(1, 3, 3, 1)],
    ),
    "tf.image.resize, bilinear": (
        _part(tf.image.resize, size=[5, 5]),
        [normal(1, 3, 3, 1)],
    ),
    "tf.image.resize, lanczos3": (
        _part(tf.image.resize, size=[5, 5], method="lanczos3"),
        [single(normal(1, 3, 3, 1))],
    ),
    "tf.image.resize, nearest": (
        _part(tf.image.resize, size=[5, 5], method="nearest"),
        [normal(1, 3, 3, 1)],
    ),
    "tf.image.rgb_to_grayscale": (tf.image.rgb_to_grayscale, [normal(2, 2, 3)]),
    "tf.image.rgb_to_hsv": (tf.image.rgb_to_hsv, [between(0.1, 0.9, 2, 2, 3)]),
    "tf.image.rgb_to_yiq": (tf.image.rgb_to_yiq, [normal(2, 2, 3)]),
    "tf.image.rgb_to_yuv": (tf.image.rgb_to_yuv, [normal(2, 2, 3)]),
    "tf.image.rot90": (tf.image.rot90, [normal(3, 4, 1)]),
    "tf.image.sobel_edges": (tf.image.sobel_edges, [normal(1, 4, 4, 1)]),
    "tf.image.ssim": (
        _part(tf.image.ssim, max_val=1.0),
        [between(0, 1, 1, 12, 12, 1), between(0, 1, 1, 12, 12, 1)],
    ),
    "tf.image.total_variation": (tf.image.total_variation, [normal(3, 3, 1)]),
    "tf.image.transpose": (tf.image.transpose, [normal(3, 4, 1)]),
    "tf.image.yuv_to_rgb": (tf.image.yuv_to_rgb, [normal(2, 2, 3)]),
    "tf.nn.conv2d": (
        _part(tf.nn.conv2d, strides=1, padding="SAME"),
        [normal(1, 4, 4, 2), normal(3, 3, 2, 2)],
    ),
    "tf.nn.depthwise_conv2d": (
        _part(tf.nn.depthwise_conv2d, strides=[1, 1, 1, 1], padding="SAME"),
        [normal(1, 4, 4, 2), normal(3, 3, 2, 1)],
    ),
    "tf.nn.dilation2d": (
        lambda x, f: tf.nn.dilation2d(x, f, [1, 1, 1, 1], "SAME", "NHWC", [1, 1, 1, 1]),
        [normal(1, 4, 4, 1), normal(2, 2, 1)],
    ),
    "tf.nn.fractional_avg_pool": (
        lambda x: tf.nn.fractional_avg_pool(x, [1, 1.5, 1.5, 1], seed=3)[0],
        [normal(1, 6, 6, 1)],
    ),
    "tf.nn.max_pool2d": (
        _part(tf.nn.max_pool2d, ksize=2, strides=2, padding="VALID"),
        [spread(1, 4, 4, 1)],
    ),
    "tf.nn.softmax_cross_entropy_with_logits": (
        lambda labels, logits: tf.nn.softmax_cross_entropy_with_logits(
            tf.nn.softmax(labels), logits
        ),
        [normal(*M), normal(*M)],
    ),
    "tf.nn.sparse_softmax_cross_entropy_with_logits": (
        tf.nn.sparse_softmax_cross_entropy_with_logits,
        [integers(4, 3), normal(*M)],
    ),
}
