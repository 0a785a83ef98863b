"""What becomes of an exact gradient in the precision of training, and after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from keras_gradwatch.check.numerics.directions import norm_of
from keras_gradwatch.findings.handed import (
    ANOTHER_VALUE,
    INSTEAD_OF_NONFINITE,
    MULTIPLE,
    NOTHING,
    OF_ANOTHER,
    ONLY_OF_OTHER_LOSSES,
    PART_OF_SUM,
    UNRETURNED,
    ZEROS,
    Handed,
)

# How likely a chance may be that is ruled out. Two random directions of n entries are
# within an angle p of each other in about p^(n-1) of all cases: at 1e-4, two entries
# will do in float32, four in bfloat16.
_BY_CHANCE = 1e-4


@dataclass(frozen=True)
class Rounding:
    """How a gradient differs from the exact one.

    Args:
        error: `|g - a| / (|g| + |a|)`, norms over what is finite in both. None
            if nothing is, or if both are zero.
        vanished: Share of the entries above `floor` that are exactly zero in `g`.
        overflowed: Share of the finite entries that are not finite in `g`.
    """

    error: float | None
    vanished: float
    overflowed: float


def rounding(exact: np.ndarray, own: np.ndarray, floor: float) -> Rounding:
    """Compares a gradient with the exact one, entry by entry.

    Args:
        exact: Flat float64 gradient `a`.
        own: The gradient `g` as training computes it, same shape, perhaps in float32.
        floor: How far round-off may move an entry of `exact`.
    """
    finite = np.isfinite(exact)
    both = finite & np.isfinite(own)
    above = both & (np.abs(exact) > floor)
    a, g = (exact, own) if both.all() else (exact[both], own[both])
    scale = norm_of(g) + norm_of(a)
    known = above.any() and scale > 0
    return Rounding(
        error=norm_of(g - a) / scale if known else None,
        vanished=_share(above & (own == 0), above),
        overflowed=_share(finite & ~both, finite),
    )


def handed_on(
    gradient: np.ndarray | None,
    handed: Sequence[np.ndarray | None],
    others: Mapping[str, np.ndarray],
    precision: float,
    siblings: Sequence[np.ndarray] = (),
) -> Handed | None:
    """What an optimizer is handed instead of a gradient.

    Args:
        gradient: Flat gradient of one variable, None if the tape returned None.
        handed: What optimizers were handed for the variable, in order.
        others: Gradients of all variables that have the same size, by name.
        precision: Relative rounding error to allow for.
        siblings: Gradients of the same variable, of the step's other losses.

    Returns:
        What it is; None if the gradient itself is handed, and nothing that is no
        gradient.
    """
    given = [h for h in handed if h is not None]
    if gradient is None:
        values = list(map(_double, given))
        foreign_ones = (_of_another(value, others, precision) for value in values)
        other = next(filter(None, foreign_ones), Handed(UNRETURNED))
        return other if given else None
    if not given:
        return Handed(NOTHING)
    if not siblings and all(h is gradient for h in given):
        return None
    gradient, *given = map(_double, [gradient, *given])
    siblings = list(map(_double, siblings))
    # What another loss of the step accounts for is said of that loss.
    foreign = [h for h in given if not _is_multiple(h, siblings, precision)]
    found = [_describe(gradient, h, others, siblings, precision) for h in foreign]
    if not found:
        return Handed(ONLY_OF_OTHER_LOSSES) if siblings else None
    strange = list(dict.fromkeys(filter(None, found)))
    if None in found:
        return replace(strange[0], is_beside=True) if strange else None
    return next((h for h in strange if h.kind == MULTIPLE), strange[-1])


def _describe(
    gradient: np.ndarray,
    handed: np.ndarray,
    others: Mapping[str, np.ndarray],
    siblings: Sequence[np.ndarray],
    precision: float,
) -> Handed | None:
    """What one thing that was handed on is; None if it is the gradient."""
    if np.array_equal(handed, gradient, equal_nan=True):
        return None
    if not handed.any():
        is_finite = np.isfinite(gradient).all()
        return Handed(ZEROS if is_finite else INSTEAD_OF_NONFINITE)
    factor = _factor(gradient, handed, precision)
    if factor is not None:
        is_one = abs(factor - 1) <= precision
        return None if is_one else Handed(MULTIPLE, _digits(factor))
    of_another = _of_another(handed, others, precision)
    if of_another is not None:
        return of_another
    share = _share_of_sum(gradient, siblings, handed, precision)
    if share is not None:
        return Handed(PART_OF_SUM, _digits(share))
    if not np.isfinite(gradient).all():
        return Handed(INSTEAD_OF_NONFINITE)
    norm = norm_of(gradient)
    away = norm_of(handed - gradient) / norm if norm else np.inf
    return Handed(ANOTHER_VALUE, distance=float(away))


def _of_another(
    handed: np.ndarray, others: Mapping[str, np.ndarray], precision: float
) -> Handed | None:
    """Whose gradient it is; None if it is that of none of `others`."""
    if not handed.any():
        return None
    for path, other in others.items():
        double = _double(other)
        if np.array_equal(handed, double):
            return Handed(OF_ANOTHER, None, path)
        factor = _factor(double, handed, precision)
        if factor is not None and is_telling(handed.size, precision):
            is_one = abs(factor - 1) <= precision
            return Handed(OF_ANOTHER, None if is_one else _digits(factor), path)
    return None


def is_telling(size: int, precision: float) -> bool:
    """Whether so many entries are hardly a multiple of others by chance.

    Of a single entry, any value is a multiple of any other.

    Args:
        size: How many entries there are.
        precision: How far they may be off.
    """
    return precision ** (size - 1) <= _BY_CHANCE


def _digits(factor: float) -> float:
    """Three digits, so that variables of one factor are said in one sentence."""
    return float(f"{factor:.3g}")


def _is_multiple(
    handed: np.ndarray, gradients: Sequence[np.ndarray], precision: float
) -> bool:
    return any(_factor(g, handed, precision) is not None for g in gradients)


def _share_of_sum(
    gradient: np.ndarray,
    siblings: Sequence[np.ndarray],
    handed: np.ndarray,
    precision: float,
) -> float | None:
    """How often `gradient` is in a sum of gradients, None if it is no such sum."""
    terms = np.stack([gradient, *siblings], axis=-1)
    if not siblings or terms.shape[0] <= terms.shape[1] or not np.isfinite(terms).all():
        return None
    shares, *_ = np.linalg.lstsq(terms, handed, rcond=None)
    rest = norm_of(handed - terms @ shares)
    return float(shares[0]) if rest <= precision * norm_of(handed) else None


def _factor(gradient: np.ndarray, handed: np.ndarray, precision: float) -> float | None:
    """By what `handed` is a multiple of `gradient`, None if it is none."""
    square = float(np.einsum("i,i->", gradient, gradient))
    if not square or not np.isfinite(square) or not np.isfinite(handed).all():
        return None
    factor = float(np.einsum("i,i->", gradient, handed)) / square
    rest = norm_of(handed - factor * gradient)
    return factor if factor and rest <= precision * norm_of(handed) else None


def _double(gradient: np.ndarray) -> np.ndarray:
    return np.asarray(gradient, dtype=np.float64)


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    count = np.count_nonzero(whole)
    return float(np.count_nonzero(part) / count) if count else 0.0
