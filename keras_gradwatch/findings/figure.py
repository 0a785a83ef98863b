"""A report as a picture: the relative error of each comparison, beside the tolerance.

Errors have signs, on an axis that is linear up to the tolerance and logarithmic beyond.
So what is right lies on the line in the middle, an error bar that reaches the band can
be seen, and a mistake of a few percent stands far outside, as one of 100 % does. Shapes
and letters say all that colours do.
"""

from __future__ import annotations

import math
import os
import textwrap
import warnings
from collections.abc import Sequence
from typing import Any, TypeGuard

from keras_gradwatch.arguments import refuse
from keras_gradwatch.errors import MissingPackageError
from keras_gradwatch.findings.colours import MARKS
from keras_gradwatch.findings.text import plain
from keras_gradwatch.findings.variable import Comparison, VariableReport
from keras_gradwatch.findings.verdicts import FAIL

# Rows of a column, as many as fit on a screen; and how many columns there may be.
_ROWS, _COLUMNS = 50, 4
# Inches: of a row, of a column of the picture, and of what stands above and below.
_ROW, _WIDTH, _REST = 0.19, 6.5, 1.9
# Characters of a name beside its row, and of an inch of the headline.
_ROOM, _TITLE_ROOM = 40, 12
# Errors go up to 1; what has none, as where there is no gradient, stands apart.
_NONE = 3.0
_ENDS = -2.0, 6.0
# A mark for each word, by its shape.
_SHAPES = {
    "match": "o",
    "mismatch": "X",
    "kink": "^",
    "jump": "v",
    "noisy": "s",
    "zero": "d",
    "nonfinite": "*",
}


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
    columns = min(_COLUMNS, max(1, math.ceil(len(variables) / _ROWS)))
    rows = max(1, math.ceil(len(variables) / columns))
    size = (_WIDTH * columns if columns > 1 else 1.5 * _WIDTH, _ROW * rows + _REST)
    figure = Figure(figsize=size, layout="constrained")
    # Names are not mathematics, whatever dollars stand in them.
    lines = textwrap.wrap(plain(headline), int(_TITLE_ROOM * size[0]))
    title = "\n".join(lines[:3])
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, parse_math=False)
    for k, axes in enumerate(figure.subplots(1, columns, squeeze=False)[0]):
        _draw_rows(axes, variables[k * rows : (k + 1) * rows], rows, tolerance)
    figure.legend(
        handles=_legend(variables, tolerance),
        loc="outside lower left",
        ncols=min(4, 2 + columns),
        fontsize=8,
        frameon=False,
    )
    _save(figure, path)


def _draw_rows(
    axes: Any, variables: Sequence[VariableReport], rows: int, tolerance: float
) -> None:
    """A row for each variable, in the order of the model."""
    axes.set_xscale("symlog", linthresh=tolerance, linscale=0.5)
    axes.axvspan(-tolerance, tolerance, color="0.85", zorder=0)
    axes.axvline(0, color="0.5", linewidth=0.8, zorder=1)
    for row, variable in enumerate(variables):
        if variable.verdict == FAIL:
            axes.axhspan(row - 0.5, row + 0.5, color="0.4", alpha=0.12, lw=0, zorder=0)
        _draw_comparisons(axes, row, variable)
    labels = [f"{plain(v.label, _ROOM)}  {v.verdict}" for v in variables]
    axes.set_yticks(range(len(variables)), labels, fontsize=7, parse_math=False)
    for label, variable in zip(axes.get_yticklabels(), variables, strict=True):
        label.set_fontweight("bold" if variable.verdict == FAIL else "normal")
    axes.set_ylim(rows - 0.5, -0.5)
    decades = [10.0**k for k in range(math.ceil(math.log10(tolerance)), 1)]
    ticks = [-x for x in reversed(decades)] + [0.0] + decades
    labels = [*map(_tick, ticks), "none"]
    axes.set_xticks([*ticks, _NONE], labels, fontsize=7)
    axes.set_xlim(*_ENDS)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="0.9", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.set_xlabel(
        "relative error: to the left the gradient is too small, or its sign is wrong",
        fontsize=7,
    )


def _tick(value: float) -> str:
    return f"{100 * value:+g} %" if value else "0"


def _draw_comparisons(axes: Any, row: int, variable: VariableReport) -> None:
    """The marks of one variable, one below the other within its row."""
    compared = (*variable.coordinates, *variable.directions)
    colour = MARKS[variable.verdict]
    for k, comparison in enumerate(compared):
        y = row + 0.7 * ((k + 0.5) / len(compared) - 0.5)
        x, bar = _signed_error(comparison), _bar(comparison)
        if bar:
            ends = max(_ENDS[0], x - bar), min(_ENDS[1], x + bar)
            axes.plot(ends, (y, y), color=colour, linewidth=0.9, zorder=2)
        is_match = comparison.word == "match"
        axes.plot(
            x,
            y,
            _SHAPES.get(comparison.word, "P"),
            color=colour,
            markerfacecolor="white" if is_match else colour,
            markersize=3.5 if comparison.kind == "coordinate" else 5.5,
            markeredgewidth=0.8,
            zorder=3,
        )


def _signed_error(comparison: Comparison) -> float:
    """Below zero where the gradient is too small or has the wrong sign."""
    a, n, error = comparison.analytic, comparison.numerical, comparison.relative_error
    if not _is_finite(error) or not _is_finite(a) or not _is_finite(n):
        return _NONE
    return math.copysign(error, (a - n) * math.copysign(1.0, n))


def _bar(comparison: Comparison) -> float:
    """How far the error may be off because the difference is."""
    a, n, bar = comparison.analytic, comparison.numerical, comparison.error_bar
    if not (_is_finite(a) and _is_finite(n) and _is_finite(bar)):
        return 0.0
    error = comparison.relative_error
    # Along a direction it is a share of more than the slopes there.
    whole = abs(a - n) / error if error and _is_finite(error) else abs(a) + abs(n)
    return min(_ENDS[1], bar / whole) if whole else 0.0


def _legend(variables: Sequence[VariableReport], tolerance: float) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    words = {c.word for v in variables for c in (*v.coordinates, *v.directions)}
    handles: list[Any] = [Patch(color="0.85", label=f"tolerance, {tolerance:.1g}")]
    for word, shape in _SHAPES.items():
        if word in words:
            handles.append(
                Line2D(
                    [],
                    [],
                    marker=shape,
                    linestyle="",
                    color="black",
                    markerfacecolor="white" if word == "match" else "black",
                    label=word,
                )
            )
    for size, what in ((3.5, "small: one entry"), (5.5, "large: along a direction")):
        handles.append(
            Line2D([], [], marker="o", linestyle="", color="0.4", ms=size, label=what)
        )
    handles.append(Line2D([], [], color="0.4", label="error bar of the difference"))
    return handles


def _is_finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _save(figure: Any, path: str | os.PathLike[str]) -> None:
    known = figure.canvas.get_supported_filetypes()
    kind = os.path.splitext(os.fspath(path))[1].lstrip(".").lower()
    if kind and kind not in known:
        refuse("path", f"a file name that ends in one of {sorted(known)}", path)
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(path, dpi=110)
