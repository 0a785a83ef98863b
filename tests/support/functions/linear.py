"""Functions of `tf.linalg` and `tf.signal`."""

from __future__ import annotations

import functools

import tensorflow as tf

from tests.support.functions.arguments import (
    M,
    V,
    complex_normal,
    definite,
    inside,
    lower,
    normal,
    positive,
    regular,
)

_part = functools.partial


def _symmetric(function):
    """Takes the symmetric part first: such functions read one triangle only."""
    return lambda matrix: function((matrix + tf.linalg.adjoint(matrix)) / 2)


FUNCTIONS = {
    "tf.linalg.adjoint": (tf.linalg.adjoint, [normal(*M)]),
    "tf.linalg.band_part": (
        lambda x: tf.linalg.band_part(x, 1, 0),
        [normal(*M)],
    ),
    "tf.linalg.banded_triangular_solve": (
        lambda bands, rhs: tf.linalg.banded_triangular_solve(bands + 2.0, rhs),
        [positive(2, 4), normal(4, 2)],
    ),
    "tf.linalg.cholesky": (_symmetric(tf.linalg.cholesky), [definite(4)]),
    "tf.linalg.cholesky_solve": (
        tf.linalg.cholesky_solve,
        [lower(3), normal(3, 2)],
    ),
    "tf.linalg.cross": (tf.linalg.cross, [normal(2, 3), normal(2, 3)]),
    "tf.linalg.det": (tf.linalg.det, [regular(3)]),
    "tf.linalg.diag": (tf.linalg.diag, [normal(4)]),
    "tf.linalg.diag_part": (tf.linalg.diag_part, [normal(*M)]),
    "tf.linalg.eigh": (
        _symmetric(lambda a: tf.linalg.eigh(a)[1] ** 2),
        [definite(3)],
    ),
    "tf.linalg.eigvalsh": (_symmetric(tf.linalg.eigvalsh), [definite(4)]),
    "tf.linalg.einsum": (
        _part(tf.linalg.einsum, "ij,jk->ik"),
        [normal(2, 3), normal(3, 2)],
    ),
    "tf.linalg.expm": (tf.linalg.expm, [normal(3, 3)]),
    "tf.linalg.global_norm": (
        lambda a, b: tf.linalg.global_norm([a, b]),
        [normal(*M), normal(*V)],
    ),
    "tf.linalg.inv": (tf.linalg.inv, [regular(3, 2)]),
    "tf.linalg.logdet": (_symmetric(tf.linalg.logdet), [definite(3)]),
    "tf.linalg.logm": (
        lambda a: tf.math.real(tf.linalg.logm(tf.cast(a, tf.complex128))),
        [definite(3)],
    ),
    "tf.linalg.lstsq": (
        _part(tf.linalg.lstsq, l2_regularizer=0.1),
        [normal(5, 3), normal(5, 2)],
    ),
    "tf.linalg.lu": (lambda a: tf.linalg.lu(a)[0], [regular(3)]),
    "tf.linalg.matmul": (tf.linalg.matmul, [normal(3, 4), normal(4, 2)]),
    "tf.linalg.matrix_transpose": (tf.linalg.matrix_transpose, [normal(*M)]),
    "tf.linalg.matvec": (tf.linalg.matvec, [normal(3, 4), normal(4)]),
    "tf.linalg.norm": (tf.linalg.norm, [normal(*M)]),
    "tf.linalg.normalize": (lambda x: tf.linalg.normalize(x)[0], [normal(*M)]),
    "tf.linalg.pinv": (tf.linalg.pinv, [normal(4, 3)]),
    "tf.linalg.qr": (tf.linalg.qr, [normal(4, 3)]),
    "tf.linalg.set_diag": (tf.linalg.set_diag, [normal(3, 3), normal(3)]),
    "tf.linalg.slogdet": (lambda a: tf.linalg.slogdet(a)[1], [regular(3)]),
    "tf.linalg.solve": (tf.linalg.solve, [regular(3), normal(3, 2)]),
    "tf.linalg.sqrtm": (tf.linalg.sqrtm, [definite(3)]),
    "tf.linalg.svd": (_part(tf.linalg.svd, compute_uv=False), [normal(4, 3)]),
    "tf.linalg.svd, vectors": (
        lambda a: tf.matmul(tf.linalg.svd(a)[1], tf.linalg.svd(a)[2], adjoint_b=True),
        [normal(4, 3)],
    ),
    "tf.linalg.tensor_diag": (tf.linalg.tensor_diag, [normal(3)]),
    "tf.linalg.tensordot": (
        _part(tf.linalg.tensordot, axes=1),
        [normal(3, 4), normal(4, 2)],
    ),
    "tf.linalg.trace": (tf.linalg.trace, [normal(3, 3)]),
    "tf.linalg.triangular_solve": (
        tf.linalg.triangular_solve,
        [lower(3), normal(3, 2)],
    ),
    "tf.linalg.tridiagonal_matmul": (
        _part(tf.linalg.tridiagonal_matmul, diagonals_format="compact"),
        [normal(3, 4), normal(4, 2)],
    ),
    "tf.linalg.tridiagonal_solve": (
        lambda d, rhs: tf.linalg.tridiagonal_solve(
            d + tf.constant([[0.0], [4.0], [0.0]], d.dtype), rhs
        ),
        [inside(3, 4), normal(4, 2)],
    ),
    "tf.signal.dct": (tf.signal.dct, [normal(2, 6)]),
    "tf.signal.fft": (tf.signal.fft, [complex_normal(2, 6)]),
    "tf.signal.fft2d": (tf.signal.fft2d, [complex_normal(3, 4)]),
    "tf.signal.fft3d": (tf.signal.fft3d, [complex_normal(2, 3, 2)]),
    "tf.signal.fftshift": (tf.signal.fftshift, [normal(2, 6)]),
    "tf.signal.frame": (
        lambda x: tf.signal.frame(x, frame_length=4, frame_step=2),
        [normal(10)],
    ),
    "tf.signal.hamming_window": (
        lambda x: x * tf.signal.hamming_window(6, dtype=x.dtype),
        [normal(6)],
    ),
    "tf.signal.idct": (tf.signal.idct, [normal(2, 6)]),
    "tf.signal.ifft": (tf.signal.ifft, [complex_normal(2, 6)]),
    "tf.signal.ifft2d": (tf.signal.ifft2d, [complex_normal(3, 4)]),
    "tf.signal.irfft": (tf.signal.irfft, [complex_normal(2, 4)]),
    "tf.signal.irfft2d": (tf.signal.irfft2d, [complex_normal(3, 4)]),
    "tf.signal.mdct": (_part(tf.signal.mdct, frame_length=4), [normal(8)]),
    "tf.signal.overlap_and_add": (
        _part(tf.signal.overlap_and_add, frame_step=2),
        [normal(3, 4)],
    ),
    "tf.signal.rfft": (tf.signal.rfft, [normal(2, 6)]),
    "tf.signal.rfft2d": (tf.signal.rfft2d, [normal(3, 4)]),
    "tf.signal.stft": (
        lambda x: tf.signal.stft(x, frame_length=8, frame_step=4),
        [normal(16)],
    ),
    "tf.signal.inverse_stft": (
        lambda x: tf.signal.inverse_stft(x, frame_length=8, frame_step=4),
        [complex_normal(3, 5)],
    ),
}
