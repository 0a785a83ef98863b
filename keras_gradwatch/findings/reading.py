"""What one reading of the gradients found: frozen data and its table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from keras_gradwatch.findings import html
from keras_gradwatch.findings.text import plain

_COLUMNS = ("variable", "norm", "mean size", "zeros", "update / weight")
_OF_LAYERS = ("layer puts out", "mean", "scale", "silent units", "saturated")


@dataclass(frozen=True)
class VariableStats:
    """The gradient of one loss for one trainable variable.

    Args:
        path: Path of the variable.
        layer: Path of the layer that holds it.
        target: Name of the loss, empty if the training step has only one.
        shape: Shape of the variable.
        norm: Euclidean norm of the gradient.
        mean_size: Mean of the absolute values of its entries.
        largest: Largest absolute value of its entries.
        zeros: Share of its entries that are exactly zero.
        idle_units: Share of the slices along the last axis (the units of a dense
            layer, the filters of a convolution) that are zero as a whole. None for
            a variable of less than two axes.
        nonfinite: How many entries are NaN or infinite.
        weight_norm: Euclidean norm of the variable before the step.
        update_norm: Euclidean norm of what the optimizer then changed it by, per
            step; None if no step was seen, or several of which one made it NaN.
        histogram: `(edges, counts)`, one edge more than counts; None if not asked
            for, or if the gradient has no finite entries.
        dtype: The precision in which its layer computes. Empty if that is not known.
    """

    path: str
    layer: str
    target: str
    shape: tuple[int, ...]
    norm: float
    mean_size: float
    largest: float
    zeros: float
    idle_units: float | None
    nonfinite: int
    weight_norm: float | None = None
    update_norm: float | None = None
    histogram: tuple | None = field(default=None, repr=False)
    dtype: str = ""

    @property
    def label(self) -> str:
        """The path, with the target where there are several."""
        return f"{self.path} ({self.target})" if self.target else self.path

    @property
    def update_ratio(self) -> float | None:
        """How far a step moves the variable, as a share of its own size."""
        return _ratio(self.update_norm, self.weight_norm)


@dataclass(frozen=True)
class LayerStats:
    """What a layer put out in a training step, for the first examples at least.

    Args:
        layer: Path of the layer.
        operation: The TensorFlow operation of its activation, such as `"Relu"`, if
            that rectifies or saturates; else empty.
        mean: Mean of its entries.
        scale: Their root mean square.
        silent_units: Of what rectifies: the share of its units (along the last axis)
            that are zero in all rows.
        saturated: Of what saturates: the share of its entries that are within 1 % of
            its range from an end of it.
        count: How many rows that is of: examples, of images and sequences places in
            them.
        has_kernel: Whether it has a trainable weight of two axes or more.
        is_last: Whether it is what the model puts out.
        may_saturate: Whether it may be at the ends of its range, as what the model or
            a model in it puts out, or as a gate, by which others are multiplied.
    """

    layer: str
    operation: str
    mean: float
    scale: float
    silent_units: float | None
    saturated: float | None
    count: int
    has_kernel: bool
    is_last: bool
    may_saturate: bool = False


@dataclass(frozen=True)
class NoiseScale:
    """How large a batch must be for its gradient to be more signal than noise.

    Args:
        value: The variance of the gradients of single examples, summed over all
            weights, over the squared norm of the true gradient: a number of examples.
        error: Its standard error.
        count: From how many readings that is.
    """

    value: float
    error: float
    count: int

    def __str__(self) -> str:
        return f"{self.value:.2g} +- {self.error:.1g} examples"


@dataclass(frozen=True)
class GradientReading:
    """The gradients of one training step.

    Args:
        step: Optimizer iterations done before the step.
        losses: Name and value of each loss that the step differentiates.
        variables: A `VariableStats` for each variable, loss by loss. Those that a
            loss has no gradient for are left out.
        loss_scale: By what training scaled the loss; all figures are of the loss that
            is not scaled.
        layers: A `LayerStats` for each layer with a kernel or an activation, in the
            order of the forward pass. Empty where the step has no graph.
        part: `(examples, of, norm)`: how many examples are a part of the batch, of how
            many, and the norm of all gradients of that part. None if it was not read.
        noise_scale: The `NoiseScale`, from this reading and those before; None if it
            was not read, or can't be told.
    """

    step: int
    losses: tuple[tuple[str, float], ...]
    variables: tuple[VariableStats, ...]
    loss_scale: float = 1.0
    layers: tuple[LayerStats, ...] = ()
    part: tuple[int, int, float] | None = None
    noise_scale: NoiseScale | None = None

    @property
    def loss(self) -> float:
        """The loss; of several, their sum."""
        return math.fsum(value for _, value in self.losses)

    @property
    def global_norm(self) -> float:
        """Euclidean norm over the gradients of all variables."""
        return norm(v.norm for v in self.variables)

    @property
    def update_ratio(self) -> float | None:
        """How far a step moves all weights, as a share of their size."""
        # A variable may be there for several losses.
        moved = {v.path: v for v in self.variables if v.update_norm is not None}
        if not moved:
            return None
        return _ratio(
            norm(v.update_norm or 0.0 for v in moved.values()),
            norm(v.weight_norm or 0.0 for v in moved.values()),
        )

    @property
    def headline(self) -> str:
        """The reading in one line."""
        noise = "" if self.noise_scale is None else f", noise scale {self.noise_scale}"
        return (
            f"Gradients at step {self.step}: global norm {_figure(self.global_norm)}, "
            f"loss {_figure(self.loss)}, update / weight {_figure(self.update_ratio)}"
            f"{noise}."
        )

    def _rows(self):
        return [
            (
                v.label,
                _figure(v.norm),
                _figure(v.mean_size),
                f"{100 * v.zeros:.0f}%",
                _figure(v.update_ratio),
            )
            for v in self.variables
        ]

    def _layer_rows(self):
        return [
            (
                one.layer,
                _figure(one.mean),
                _figure(one.scale),
                _share(one.silent_units),
                _share(one.saturated),
            )
            for one in self.layers
        ]

    def __str__(self) -> str:
        lines = [self.headline, *_table(_COLUMNS, self._rows())]
        if self.layers:
            lines += _table(_OF_LAYERS, self._layer_rows())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The tables of a notebook."""
        rows = [(html.name(name), *rest) for name, *rest in self._rows()]
        page = html.page(html.text(self.headline), (), _COLUMNS, rows)
        if not self.layers:
            return page
        rows = [(html.name(name), *rest) for name, *rest in self._layer_rows()]
        return page + html.page("", (), _OF_LAYERS, rows)

    def _overview_html_(self) -> dict[str, str]:
        """A row of a table of readings: HTML by the name of its column."""
        return {
            "step": html.text(self.step),
            "loss": _figure(self.loss),
            "global norm": _figure(self.global_norm),
            "update / weight": _figure(self.update_ratio),
        }


def norm(parts: Iterable[float]) -> float:
    """Euclidean norm of something whose parts have these norms."""
    return math.hypot(*parts)


def _ratio(part: float | None, whole: float | None) -> float | None:
    if part is None or whole is None:
        return None
    if not whole:
        return math.inf if part else 0.0
    return part / whole


def _table(columns: tuple[str, ...], found: Iterable[tuple[str, ...]]) -> list[str]:
    rows = [columns, *((plain(name), *rest) for name, *rest in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [
        (row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])) for row in rows
    ]
    return ["  ".join(row) for row in cells]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f}%"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2e}"


def idle_share(held: Sequence[VariableStats]) -> float:
    """The share of a layer's units that get no gradient at all.

    A kernel behind units that are dead gets none; if its bias does, its own units live.

    Args:
        held: The statistics of the layer's variables.
    """
    kernels = [v for v in held if v.idle_units is not None]
    if not kernels:
        return 0.0
    worst = max(kernels, key=lambda v: v.idle_units or 0.0)
    units = worst.shape[-1:]
    biases = (v.zeros for v in held if v.shape == units and v.target == worst.target)
    return min([worst.idle_units or 0.0, *biases])
