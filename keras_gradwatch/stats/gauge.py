"""Statistics of the gradients of a training step, computed where they are.

A `Gauge` makes a dry run of the step, as `TrainingStep` of `check/` does. That one
wants each gradient whole, to hold it against a float64 one; here a few figures of each
leave the graph, and nothing is compared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_gradwatch.findings.reading import GradientReading, VariableStats
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.devices import local_value
from keras_gradwatch.framework.optimizers import optimizers
from keras_gradwatch.replica.dry_run import DryRun
from keras_gradwatch.replica.layer_outputs import Output, outputs
from keras_gradwatch.replica.lift import draws
from keras_gradwatch.replica.steps import Steps
from keras_gradwatch.replica.train_step import Objective
from keras_gradwatch.stats import activations

# As many as TensorBoard draws (`DEFAULT_BUCKET_COUNT` of its histogram plugin).
_BINS = 30
# Of a batch, this share is read by itself for the noise of the gradient: what a quarter
# of it costs on top buys an estimate that half of it would not make much better.
PART = 0.25


class Gauge:
    """Reads the gradients of a model's training step, and what the step then does.

    The step is run on a copy, in the precision of training, and only a few figures
    for each variable leave the graph.

    Args:
        steps: The `Steps` of the live model.
        dropout: `"freeze"`, for the very draw of training, or `"bypass"`.
        objectives: The losses that the step differentiates.
        histograms: Whether to make histograms, too.
        part: The share of the batch that is read by itself, too; 0 if none.
    """

    def __init__(
        self,
        steps: Steps,
        dropout: str,
        objectives: Sequence[Objective],
        histograms: bool,
        part: float = PART,
    ):
        self._model = steps.model
        # What is part of another loss trains nothing by itself.
        self._objectives = [o for o in objectives if not o.inner]
        self._variables = list(
            {id(v): v for o in self._objectives for v in o.variables}.values()
        )
        self._histograms = histograms
        # Of the innermost layer that holds it: it comes last.
        self._dtypes = {
            id(v): internals.inner_policy(layer).compute_dtype
            for layer in internals.all_layers(steps.model)
            for v in layer.trainable_variables
        }
        # By the order of what a dry run gives of them.
        self._outputs: list[Output] = []
        self._dry_run = DryRun(steps, dropout, self._wanted, more=self._more, part=part)
        self._copied: Callable | None = None
        self._moved: Callable | None = None

    def gradients(
        self, step: int, batch: Any, with_part: bool = False
    ) -> GradientReading:
        """Reads the gradients at the present weights.

        Args:
            step: Optimizer iterations done so far.
            batch: What `train_step` is handed, in the precision of training.
            with_part: Whether to read the part of the batch, too, if that can be.
        """
        draws.number().assign(step)
        tensors, about = self._dry_run.run(batch, with_part)
        losses, figures, histograms, layers, part = tensors
        present, scaled, outputs, sizes = about
        scale = _scale(scaled)
        losses = losses.numpy() / scale
        variables = [
            _stats(
                objective,
                variable,
                self._dtypes.get(id(variable)) or "",
                row,
                histogram,
                scale,
            )
            for (objective, variable), row, histogram in zip(
                present, figures.numpy(), histograms.numpy(), strict=True
            )
        ]
        names = [objective.name for objective in self._objectives]
        return GradientReading(
            step=step,
            losses=tuple(zip(names, map(float, losses), strict=True)),
            variables=tuple(variables),
            loss_scale=scale,
            layers=activations.stats(outputs, layers.numpy()),
            part=(*sizes, float(part[0]) / scale) if with_part and sizes else None,
        )

    def weights(self) -> list[tf.Tensor]:
        """The weights as they are now."""
        if self._copied is None:
            self._copied = _graph(self._copy)
        return self._copied()

    def with_update(
        self, reading: GradientReading, before: list[tf.Tensor], steps: int
    ) -> GradientReading:
        """Adds to a reading how large the weights were, and how far they moved.

        Args:
            reading: What `gradients` returned.
            before: What `weights` returned then.
            steps: How many steps were made since; 0 if none was seen.
        """
        if self._moved is None:
            self._moved = _graph(self._move, before)
        figures = self._moved(before).numpy()
        by_path = {
            variable.path: (float(size), _each(float(way), steps))
            for variable, (size, way) in zip(self._variables, figures, strict=True)
        }
        variables = []
        for stats in reading.variables:
            size, way = by_path[stats.path]
            variables.append(
                dataclasses.replace(stats, weight_norm=size, update_norm=way)
            )
        return dataclasses.replace(reading, variables=tuple(variables))

    def _wanted(self, recording):
        losses, figures, histograms, present = [], [], [], []
        for objective in self._objectives:
            call = recording.calls[objective.call or 0]
            losses.append(tf.reduce_sum(tf.cast(call.target, tf.float64)))
            for variable in objective.variables:
                gradient = call.gradients[id(variable)]
                if gradient is None:
                    continue
                present.append((objective, variable))
                entries, size = _entries(gradient)
                figures.append(_figures(entries, size))
                if self._histograms:
                    histograms.append(_histogram(entries, size))
                else:
                    histograms.append(tf.zeros([0], tf.float64))
        scaled = [o for _, o in optimizers(self._model) if id(o) in recording.scaled]
        pairs = zip(self._outputs, recording.outputs, strict=False)
        rows = [activations.figures(output, tensor) for output, tensor in pairs]
        stacked = [
            tf.stack(losses),
            _rows(figures, 6),
            _rows(histograms, 0),
            _rows(rows, activations.COLUMNS, tf.float32),
            self._of_part(recording),
        ]
        outputs = self._outputs[: len(rows)]
        part = recording.part
        sizes = (part.examples, part.of) if stacked[-1].shape[0] else ()
        return stacked, (present, scaled, outputs, sizes)

    def _more(self, trace):
        self._outputs = outputs(trace)
        return [output.tensor for output in self._outputs]

    def _of_part(self, recording):
        """The norm of all gradients of a part of the batch, if that was recorded."""
        # Of several losses there is not one noise.
        if recording.part is None or len(self._objectives) != 1:
            return tf.zeros([0], tf.float64)
        (objective,) = self._objectives

        def read():
            found = recording.part.run().calls[objective.call or 0].gradients
            known = [found[id(v)] for v in objective.variables]
            entries = [
                _entries(gradient)[0] for gradient in known if gradient is not None
            ]
            wide = [tf.cast(gradient, tf.float64) for gradient in entries]
            return tf.stack([tf.linalg.global_norm(wide)])

        return tf.cond(
            recording.part.is_wanted, read, lambda: tf.zeros([1], tf.float64)
        )

    def _copy(self):
        return [tf.identity(_read(v)) for v in self._variables]

    def _move(self, before):
        rows = []
        for variable, old in zip(self._variables, before, strict=True):
            now, old = tf.cast(_read(variable), tf.float64), tf.cast(old, tf.float64)
            rows.append(tf.stack([tf.norm(old), tf.norm(now - old)]))
        return tf.stack(rows)


def _graph(function, *arguments):
    """A graph by itself: of functions made anew in each `fit` TensorFlow warns."""
    return tf.function(function, autograph=False).get_concrete_function(*arguments)


def _each(way, steps):
    """How far each step went; None if none was seen.

    Nor where one of several lost the weights: it may have had other gradients.
    """
    is_lost = steps > 1 and not np.isfinite(way)
    return None if is_lost or not steps else way / steps


def _entries(gradient):
    """What of a gradient may differ from zero, and how many entries it has.

    Of an embedding only the rows that were looked up, each once.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient, tf.size(gradient, tf.int64)
    rows, which = tf.unique(gradient.indices)
    entries = tf.math.unsorted_segment_sum(gradient.values, which, tf.size(rows))
    shape = tf.cast(gradient.dense_shape, tf.int64)
    return entries, tf.reduce_prod(shape)


def _figures(entries, size):
    """Norm, mean size, largest, share of zeros, idle units, and NaN or infinities."""
    size = tf.cast(size, tf.float64)
    # In float64: a square may be too large or too small for the gradient's own type.
    wide = tf.abs(tf.cast(entries, tf.float64))
    some = tf.cast(tf.math.count_nonzero(entries), tf.float64)
    idle = tf.constant(np.nan, tf.float64)
    if entries.shape.rank > 1:
        axes = list(range(entries.shape.rank - 1))
        busy = tf.reduce_any(entries != 0, axis=axes)
        idle = 1 - tf.reduce_mean(tf.cast(busy, tf.float64))
    finite = tf.math.count_nonzero(tf.math.is_finite(entries))
    return tf.stack(
        [
            tf.sqrt(tf.reduce_sum(tf.square(wide))),
            tf.reduce_sum(wide) / size,
            tf.reduce_max(tf.concat([[0.0], tf.reshape(wide, [-1])], 0)),
            1 - some / size,
            idle,
            tf.cast(tf.size(entries, tf.int64) - finite, tf.float64),
        ]
    )


def _histogram(entries, size):
    """Lowest and highest finite entry, and counts in bins of equal width."""
    wide = tf.float64 if entries.dtype == tf.float64 else tf.float32
    flat = tf.cast(tf.reshape(entries, [-1]), wide)
    finite = tf.math.is_finite(flat)
    low = tf.reduce_min(tf.where(finite, flat, np.inf))
    high = tf.reduce_max(tf.where(finite, flat, -np.inf))
    # The rows of an embedding that were not looked up are zeros.
    more = tf.cast(size - tf.size(entries, tf.int64), tf.int32)
    zero = tf.zeros([], wide)
    low = tf.where(more > 0, tf.minimum(low, zero), low)
    high = tf.where(more > 0, tf.maximum(high, zero), high)
    # If all are equal, one unit about them.
    half = 0.5 * tf.cast(high <= low, wide)
    low, high = low - half, high + half

    def bin_of(values):
        position = (values - low) / (high - low) * _BINS
        return tf.clip_by_value(tf.cast(position, tf.int32), 0, _BINS - 1)

    # What is not finite is counted as zero at first: leaving it out would copy all.
    counts = tf.math.bincount(bin_of(tf.where(finite, flat, 0)), maxlength=_BINS)
    counts = tf.pad(counts, [[0, _BINS - tf.size(counts)]])
    lost = tf.size(flat) - tf.cast(tf.math.count_nonzero(finite), tf.int32)
    counts += (more - lost) * tf.one_hot(bin_of(zero), _BINS, dtype=tf.int32)
    ends = tf.cast([low, high], tf.float64)
    return tf.concat([ends, tf.cast(counts, tf.float64)], 0)


def _rows(rows, width, dtype=tf.float64):
    return tf.stack(rows) if rows else tf.zeros([0, width], dtype)


def _stats(objective, variable, dtype, figures, histogram, scale):
    norm, mean, largest, zeros, idle, nonfinite = figures.tolist()
    return VariableStats(
        path=variable.path,
        layer=variable.path.rpartition("/")[0],
        target=objective.name,
        shape=tuple(variable.shape),
        norm=norm / scale,
        mean_size=mean / scale,
        largest=largest / scale,
        zeros=zeros,
        idle_units=None if np.isnan(idle) else idle,
        nonfinite=int(nonfinite),
        histogram=_edges(histogram, scale),
        dtype=dtype,
    )


def _edges(histogram, scale):
    if not histogram.size or not np.all(np.isfinite(histogram[:2])):
        return None
    low, high, *counts = histogram
    return np.linspace(low / scale, high / scale, len(counts) + 1), np.array(counts)


def _scale(scaled):
    """By what a loss was scaled: its gradients are as many times too large."""
    if not scaled:
        return 1.0
    return float(scaled[0].scale_loss(tf.constant(1.0)))


def _read(variable):
    return local_value(internals.raw_value(variable))
