"""The training step as it runs: its gradients, and what optimizers get of them.

A dry run, as `Gauge` of `stats/` makes one for a few figures; `TracedReplay` of
`nonfinite/` runs a step that is over, node by node.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_gradwatch.framework import graphs
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.graphs import dense
from keras_gradwatch.framework.optimizers import optimizers, scales_loss
from keras_gradwatch.replica.dry_run import DryRun
from keras_gradwatch.replica.steps import Steps
from keras_gradwatch.replica.train_step import Objective


@dataclass(frozen=True)
class Trained:
    """What one run of the training step did with one of its losses.

    Args:
        loss: The loss, in the precision of training.
        gradients: A flat array for each variable of the loss, in float32 or float64,
            None where the tape returned None. Of the loss that is not scaled.
        handed: For each variable, what optimizers were handed for it, in the
            order of the step; None where that can't be told.
        siblings: For each variable, its gradients of the step's other losses.
    """

    loss: float
    gradients: list[np.ndarray | None]
    handed: list[list[np.ndarray | None] | None]
    siblings: list[list[np.ndarray]]


@dataclass(frozen=True)
class Scaling:
    """An optimizer whose loss scale is forgotten on one side.

    Args:
        optimizer: Name of the optimizer that scales.
        other: Name of another one that is handed its gradients, and divides by no
            scale. Empty if the loss is not scaled.
        paths: Of the variables whose gradients are too small, or too large.
    """

    optimizer: str
    other: str
    paths: tuple[str, ...]


class TrainingStep:
    """The model's whole training step, in the precision of training.

    Args:
        steps: The `Steps` of the live model.
        dropout: `"bypass"` or `"freeze"`, as for the check.
        objectives: The losses that the step differentiates.

    Attributes:
        dtype: The lowest precision in which a layer of the model computes.
    """

    def __init__(self, steps: Steps, dropout: str, objectives: Sequence[Objective]):
        self._model, self._objectives = steps.model, objectives
        self._dry_run = DryRun(steps, dropout, self._wanted, compiled=False)
        self._forgotten: tuple[Scaling, ...] = ()
        self.dtype = internals.lowest_compute_dtype(steps.model)

    @property
    def loss_scale(self) -> float | None:
        """By what the default step scales its loss; None if nothing is scaled."""
        scales = [
            float(optimizer.scale_loss(tf.constant(1.0)))
            for _, optimizer in optimizers(self._model)
            if scales_loss(optimizer)
        ]
        return max(scales, default=None)

    def is_ready_for(self, batch: Any) -> bool:
        """Whether there is a graph for this batch."""
        return self._dry_run.is_ready_for(batch)

    def run(self, batch: Any) -> tuple[Trained, ...]:
        """Runs the step on one batch; nothing is updated.

        Args:
            batch: What `train_step` is handed, in the precision of training.

        Returns:
            A `Trained` for each objective.
        """
        tensors, (plans, self._forgotten) = self._dry_run.run(batch)
        tensors = [t.numpy() for t in tensors]
        return tuple(self._read(plan, tensors, plans) for plan in plans)

    def left_out(self) -> list[str]:
        """Paths of trainable variables that the step takes no gradient for."""
        known = {id(v) for o in self._objectives for v in o.variables}
        return [v.path for v in self._model.trainable_variables if id(v) not in known]

    def forgotten(self) -> tuple[Scaling, ...]:
        """Loss scales that are forgotten, in the loss or afterwards."""
        return self._forgotten

    def _wanted(self, recording):
        tensors: list[tf.Tensor] = []
        plans = [_plan(objective, recording, tensors) for objective in self._objectives]
        return tensors, (plans, _forgotten(recording, self._model))

    def _read(self, plan, tensors, plans):
        scale = 1.0
        if plan.is_default and self._model.optimizer is not None:
            scale = float(self._model.optimizer.scale_loss(tf.constant(1.0)))

        @functools.cache  # mostly, an optimizer is handed the gradient itself
        def value(slot):
            if slot is None:
                return None
            array = tensors[slot]
            if array.dtype != np.float32 or scale != 1:
                array = array.astype(np.float64, copy=False)
            return array if scale == 1 else array / scale

        return Trained(
            loss=float(tensors[plan.loss]) / scale,
            gradients=[value(slot) for slot in plan.gradients],
            handed=[
                None if slots is None else [value(slot) for slot in slots]
                for slots in plan.handed
            ],
            siblings=[
                [
                    value(slot)
                    for other in plans
                    if other is not plan and not other.is_inner
                    for v, slot in zip(other.variables, other.gradients, strict=True)
                    if v is variable and slot is not None
                ]
                for variable in plan.variables
            ],
        )


@dataclass
class _Plan:
    """Where in the outputs of the step something of one objective is."""

    is_default: bool
    is_inner: bool
    variables: tuple
    loss: int
    gradients: list[int | None]
    handed: list[list[int | None] | None]


def _plan(objective, recording, tensors):
    """Puts what is wanted of one objective among the outputs."""
    call = recording.calls[objective.call or 0]
    slots: dict[int, int | None] = {id(None): None}

    def put(value):
        if id(value) not in slots:
            slots[id(value)] = len(tensors)
            tensors.append(tf.reshape(dense(value, None), [-1]))
        return slots[id(value)]

    def handed(variable):
        if objective.inner:  # it is part of another loss
            return None
        found = [
            gradient
            for update in recording.updates
            for gradient, target in zip(
                update.gradients, update.variables, strict=False
            )
            if target is variable
        ]
        by_hand = not found and id(variable) in recording.assigned
        if not recording.updates or not all(map(graphs.is_readable, found)) or by_hand:
            return None
        return [put(gradient) for gradient in found]

    tensors.append(call.target)
    return _Plan(
        is_default=objective.call is None,
        is_inner=objective.inner,
        variables=objective.variables,
        loss=len(tensors) - 1,
        gradients=[put(call.gradients[id(v)]) for v in objective.variables],
        handed=[handed(v) for v in objective.variables],
    )


def _forgotten(recording, model):
    """The loss scales that a step applies on one side only."""
    names = {id(optimizer): name for name, optimizer in optimizers(model)}

    def name_of(optimizer):
        return names.get(id(optimizer), optimizer.name)

    known = [o for _, o in optimizers(model)] + [u.optimizer for u in recording.updates]
    asked = [o for o in known if scales_loss(o) and id(o) in recording.scaled]
    scaled = {*map(id, asked), *recording.scaled_by_hand}
    served = {id(update.optimizer) for update in recording.updates}
    idle = [o for o in asked if id(o) not in served]
    found = []
    for update in recording.updates:
        optimizer, paths = update.optimizer, tuple(v.path for v in update.variables)
        if scales_loss(optimizer):
            if id(optimizer) not in scaled:
                found.append(Scaling(name_of(optimizer), "", paths))
        elif idle:
            found.append(Scaling(name_of(idle[0]), name_of(optimizer), paths))
    return tuple(dict.fromkeys(found))
