"""A report as a picture: slopes against slopes, and the error of each variable."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Sequence
from typing import Any, TypeGuard

from keras_gradwatch.arguments import refuse
from keras_gradwatch.errors import MissingPackageError
from keras_gradwatch.findings.colours import MARKS
from keras_gradwatch.findings.text import plain
from keras_gradwatch.findings.variable import VariableReport

# Errors below are drawn as this: float64 has none between it and zero (its epsilon is
# 2e-16).
_SMALLEST = 1e-16
# Slopes beyond this, or below its inverse, are drawn as these: limits of axes and their
# logarithms must stay finite.
_LARGEST = 1e50
# Characters of a name beside its bar, and of the headline: what fits into the picture.
_ROOM = 45
_TITLE_ROOM = 150


def draw(
    headline: str,
    variables: Sequence[VariableReport],
    tolerance: float,
    path: str | os.PathLike[str],
) -> None:
    """Draws a report into a file.

    Args:
        headline: Its finding in one line.
        variables: Its `VariableReport`s.
        tolerance: Largest relative error that counts as a match.
        path: Name of the file; its end says which kind of picture.

    Raises:
        MissingPackageError: If matplotlib is not installed.
        InvalidArgumentError: If matplotlib can't write this kind of file.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError(
            "Drawing a report needs matplotlib, which is not installed. To install "
            'it: pip install "keras-gradwatch[plot]", or pip install matplotlib. '
            f"Received: path={os.fspath(path)!r}"
        ) from error
    height = max(5.0, 1.6 + 0.24 * len(variables))
    figure = Figure(figsize=(13, height), layout="constrained")
    # Names are not mathematics, whatever dollars stand in them.
    title = plain(headline, _TITLE_ROOM)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, parse_math=False)
    slopes, errors = figure.subplots(1, 2, width_ratios=(5, 7))
    _draw_slopes(slopes, variables)
    _draw_errors(errors, variables, tolerance)
    _save(figure, path)


def _draw_slopes(axes: Any, variables: Sequence[VariableReport]) -> None:
    """All comparisons, sizes on logarithmic axes; crosses where signs differ."""
    pairs = [
        (c.numerical, c.analytic, v.verdict)
        for v in variables
        for c in (*v.coordinates, *v.directions)
        if _is_finite(c.numerical) and _is_finite(c.analytic)
    ]
    sizes = [_clipped(value) for x, y, _ in pairs for value in (x, y) if value]
    # What is zero stands at the edge.
    low, high = min(sizes, default=0.1) / 10, max(sizes, default=1.0) * 3
    for flipped, marker, name in (
        (False, "o", "same sign"),
        (True, "x", "signs differ"),
    ):
        points = [p for p in pairs if (p[0] * p[1] < 0) == flipped]
        if points:
            x = [max(low, _clipped(numerical)) for numerical, _, _ in points]
            y = [max(low, _clipped(analytic)) for _, analytic, _ in points]
            colours = [MARKS[verdict] for *_, verdict in points]
            axes.scatter(x, y, s=22, c=colours, marker=marker, label=name)
    if pairs:
        axes.legend(loc="upper left")
    axes.plot([low, high], [low, high], color="gray", linestyle=":", zorder=0)
    axes.set(xscale="log", yscale="log", aspect="equal")
    limits = low / 2, high
    axes.set(xlim=limits, ylim=limits, xlabel="|numerical slope|")
    axes.set_ylabel("|analytic slope|")


def _draw_errors(
    axes: Any, variables: Sequence[VariableReport], tolerance: float
) -> None:
    """A bar for each variable, in the order of the model."""
    rows = range(len(variables))
    errors = [
        max(_SMALLEST, v.relative_error if _is_finite(v.relative_error) else 0)
        for v in variables
    ]
    colours = [MARKS[v.verdict] for v in variables]
    axes.barh(rows, errors, left=_SMALLEST, color=colours)
    labels = [f"{plain(v.label, _ROOM)}  {v.verdict}" for v in variables]
    axes.set_yticks(rows, labels, fontsize=8, parse_math=False)
    axes.set(xscale="log", xlim=(_SMALLEST, 2), xlabel="relative error")
    axes.axvline(tolerance, color="black", linestyle="--", linewidth=1)
    axes.invert_yaxis()
    axes.set_title("dashed: the tolerance", fontsize=9)


def _is_finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _clipped(value: float) -> float:
    return min(_LARGEST, max(1 / _LARGEST, abs(value)))


def _save(figure: Any, path: str | os.PathLike[str]) -> None:
    known = figure.canvas.get_supported_filetypes()
    kind = os.path.splitext(os.fspath(path))[1].lstrip(".").lower()
    if kind and kind not in known:
        refuse("path", f"a file name that ends in one of {sorted(known)}", path)
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(path, dpi=100)
