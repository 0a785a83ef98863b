"""A report as a picture: slopes against slopes, and the error of each variable."""

from __future__ import annotations

import math
import os
import warnings

from keras_gradwatch.arguments import refuse
from keras_gradwatch.errors import MissingPackageError
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.text import plain
from keras_gradwatch.findings.verdicts import EXPECTED, FAIL, INCONCLUSIVE, PASS, UNUSED

_COLOURS = {
    FAIL: "#c62828",
    EXPECTED: "#7a5fd6",
    INCONCLUSIVE: "#b98a1b",
    UNUSED: "#8a939c",
    PASS: "#2e8b4a",
}
# Errors and slopes beyond are drawn as these.
_SMALLEST = 1e-16
_LARGEST = 1e50
_ROOM = 45


def plot(report: GradientReport, path) -> None:
    """Draws a report into a file.

    Args:
        report: A `GradientReport`.
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
    height = max(5.0, 1.6 + 0.24 * len(report.variables))
    figure = Figure(figsize=(13, height), layout="constrained")
    # Names are not mathematics, whatever dollars stand in them.
    title = plain(report.headline, 150)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, parse_math=False)
    slopes, errors = figure.subplots(1, 2, width_ratios=(5, 7))
    _draw_slopes(slopes, report)
    _draw_errors(errors, report)
    _save(figure, path)


def _draw_slopes(axes, report):
    """All comparisons, sizes on logarithmic axes; crosses where signs differ."""
    pairs = [
        (c.numerical, c.analytic, v.verdict)
        for v in report.variables
        for c in (*v.coordinates, *v.directions)
        if _is_finite(c.numerical) and _is_finite(c.analytic)
    ]
    sizes = [_clipped(value) for *values, _ in pairs for value in values if value]
    # What is zero stands at the edge.
    low, high = min(sizes, default=0.1) / 10, max(sizes, default=1.0) * 3
    for flipped, marker, name in (
        (False, "o", "same sign"),
        (True, "x", "signs differ"),
    ):
        points = [p for p in pairs if (p[0] * p[1] < 0) == flipped]
        if points:
            x, y = ([max(low, _clipped(p[i])) for p in points] for i in (0, 1))
            colours = [_COLOURS[verdict] for *_, verdict in points]
            axes.scatter(x, y, s=22, c=colours, marker=marker, label=name)
    if pairs:
        axes.legend(loc="upper left")
    axes.plot([low, high], [low, high], color="gray", linestyle=":", zorder=0)
    axes.set(xscale="log", yscale="log", aspect="equal")
    limits = low / 2, high
    axes.set(xlim=limits, ylim=limits, xlabel="|numerical slope|")
    axes.set_ylabel("|analytic slope|")


def _draw_errors(axes, report):
    """A bar for each variable, in the order of the model."""
    rows = range(len(report.variables))
    errors = [
        max(_SMALLEST, v.relative_error if _is_finite(v.relative_error) else 0)
        for v in report.variables
    ]
    colours = [_COLOURS[v.verdict] for v in report.variables]
    axes.barh(rows, errors, left=_SMALLEST, color=colours)
    labels = [f"{plain(v.label, _ROOM)}  {v.verdict}" for v in report.variables]
    axes.set_yticks(rows, labels, fontsize=8, parse_math=False)
    axes.set(xscale="log", xlim=(_SMALLEST, 2), xlabel="relative error")
    axes.axvline(report.tolerance, color="black", linestyle="--", linewidth=1)
    axes.invert_yaxis()
    axes.set_title("dashed: the tolerance", fontsize=9)


def _is_finite(value):
    return value is not None and math.isfinite(value)


def _clipped(value):
    return min(_LARGEST, max(1 / _LARGEST, abs(value)))


def _save(figure, path):
    known = figure.canvas.get_supported_filetypes()
    kind = os.path.splitext(os.fspath(path))[1].lstrip(".").lower()
    if kind and kind not in known:
        refuse("path", f"a file name that ends in one of {sorted(known)}", path)
    with warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(path, dpi=100)
