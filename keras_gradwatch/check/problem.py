"""A model at its present weights, on one batch, as a numerical problem."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_gradwatch.check.evaluation.evaluator import Evaluator
from keras_gradwatch.check.numerics.directions import Direction, Perturbation, scale_of
from keras_gradwatch.check.numerics.loss_at_point import NEARBY
from keras_gradwatch.check.numerics.noise import Noise
from keras_gradwatch.check.numerics.noise_measurement import noise_of
from keras_gradwatch.check.numerics.units import units_of
from keras_gradwatch.check.progress import SILENCE, Silence
from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.findings.notes import LossNotFinite, LossNotRepeatable
from keras_gradwatch.findings.place import Place
from keras_gradwatch.findings.raised import refused
from keras_gradwatch.framework.dtypes import lowest
from keras_gradwatch.framework.graphs import view
from keras_gradwatch.replica import diagnose
from keras_gradwatch.replica.cuts import Cut
from keras_gradwatch.replica.known import Known, assigned
from keras_gradwatch.replica.lift.alone import Alone
from keras_gradwatch.replica.lift.shares import Shares, Step
from keras_gradwatch.replica.lift.trace import Trace
from keras_gradwatch.replica.outline import Stage, outline
from keras_gradwatch.replica.places import distinct_names
from keras_gradwatch.replica.replica import Replica, Weight

logger = logging.getLogger("keras_gradwatch")

# Seconds of one call for losses: Ctrl-C gets through between calls, and a person waits
# that long. The fewest losses of a call: what is computed once for all of them must
# pay. Both chosen, not measured.
_CALL, _FEWEST = 2.0, 8
# Round-off of a gradient that cancels out, as a share of the largest entry of all: 450
# roundings in float64 (2.2e-16 each), 84 in float32 (1.2e-7), and only 13 in bfloat16
# and 20 in float16, where more would leave nothing to compare. Chosen, not measured.
_ROUNDOFF = {"float64": 1e-13, "float32": 1e-5, "bfloat16": 0.1, "float16": 0.02}
# Spacing of the points of the noise measurement, in units of a weight's scale: well
# above the rounding of a weight to that precision (80, 6 and 20 times the distance of
# neighbours at 1), and small enough for differences to vanish. Chosen, not measured.
_SPACING = {"float32": 1e-5, "bfloat16": 5e-2, "float16": 2e-2}
# A move of weights, as a share, that float64 shows, 450 roundings, and float32 doesn't.
_UNSEEN = 1e-13
# How far apart two losses of the same weights may be, as a share: a sum in another
# order is off by far less in float64, and what is random by far more. Chosen, not
# measured.
_SAME = 1e-9


class ReplicaProblem:
    """The training loss of a model at one point, as `numerics` asks for it.

    Args:
        evaluator: The `Evaluator` of the model's replica.
        batch: What `train_step` is handed.
        rng: Source of randomness.
        values: Weights to use instead of the live ones.
        progress: Is told which losses come next.

    Attributes:
        level: The loss, as it came with the gradient: the same up to round-off.
        gradients: Flat float64 arrays, None where the tape returned None, or
            something of another shape than the weight.
        misshapen: That other shape, by the position of the weight.
        peaks: The largest finite entry of each gradient, in size.
        values: The weights, a flat array each.
        sizes: Number of entries of each weight.
        scales: Typical size of the entries of each weight.
        roundoff: How far round-off may move an entry of the gradients.
        evaluations: How often the loss was evaluated so far.
        edges: What it raised at moved points.

    Raises:
        UncheckableError: If the loss can't be replayed, or raises at the very point.
    """

    def __init__(
        self, evaluator: Evaluator, batch, rng, values=None, progress: Silence = SILENCE
    ):
        self._evaluator, self._batch, self.rng = evaluator, batch, rng
        self._progress = progress
        replica = evaluator.replica
        self._states = replica.states()
        values = replica.values() if values is None else values
        self._values = [tf.cast(value, tf.float64) for value in values]
        arrays = list(map(view, self._values))
        self.values = [a.ravel() for a in arrays]
        self.sizes = [a.size for a in arrays]
        self.scales = [scale_of(a) for a in arrays]
        self.evaluations, self._spent = 0, 0.0
        self.edges: list[Exception] = []
        try:
            self.level, found = evaluator.gradient(self._values, self._states, batch)
        except Exception as error:  # of the model's own code, or of an operation
            if not self._is_of_the_point(error):
                raise
            raise evaluator.replica.unreplayable(error) from error
        self.misshapen = {
            k: gradient.shape
            for k, (gradient, weight) in enumerate(zip(found, arrays, strict=True))
            if gradient is not None and gradient.shape != weight.shape
        }
        self.gradients = [
            None if gradient is None or k in self.misshapen else gradient.ravel()
            for k, gradient in enumerate(found)
        ]
        for k, weight in enumerate(replica.weights):
            if weight.is_overwritten:  # that is no gradient: there is none
                self.gradients[k] = np.zeros(self.sizes[k])
        self.peaks = [0.0 if g is None else _peak(g) for g in self.gradients]
        self.roundoff = _ROUNDOFF[self.dtype] * max(self.peaks, default=0.0)

    @functools.cached_property
    def base(self) -> float:
        """The loss, to the last bit as the perturbed ones are evaluated."""
        return self._loss()

    @property
    def seconds(self) -> float:
        """How long one evaluation of the loss takes."""
        if not self.evaluations:
            if self._evaluator.seconds is not None:  # of an earlier check
                return self._evaluator.seconds
            self._loss()
        return self._spent / self.evaluations

    @property
    def weights(self) -> tuple[Weight, ...]:
        """The `Weight` of each checked variable."""
        return self._evaluator.replica.weights

    @property
    def target(self) -> str:
        """Name of the loss among those of the training step."""
        return self._evaluator.replica.objective.name

    @functools.cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The layers in the order in which the loss goes through them."""
        return outline(self._evaluator.replica, self.trace)

    @property
    def trace(self) -> Trace | None:
        """What the model's code was traced to; None of code that has no graph."""
        return None if self._lifted is None else self._lifted.trace

    @property
    def intended(self) -> tuple[Known, ...]:
        """What libraries do on purpose on the way to the loss."""
        return () if self._lifted is None else self._lifted.intended

    @property
    def assigned(self) -> list[Known]:
        """Where the loss depends on weights by what is assigned to a variable."""
        lifted = self._lifted
        return [] if lifted is None else assigned(lifted.trace, lifted.assigned)

    def name_of(self, layer: Any) -> str:
        """The name of a layer, distinct in the model; of none, `"the loss"`."""
        names = distinct_names(self._evaluator.replica.model)
        return names.get(id(layer), "the loss")

    def cut(self, variable: int) -> Cut | None:
        """What without a derivative stands between a weight and the loss.

        None if nothing does. Of code that has no graph, nothing is known of it.

        Args:
            variable: Position of the weight.
        """
        ways = self._graphs.ways
        return Cut("", None, is_whole=False) if ways is None else ways.cut(variable)

    def follower(self, variable: int) -> Place | None:
        """The layer that takes what the layer of a weight returns, if that is known.

        Args:
            variable: Position of the weight.
        """
        ways = self._graphs.ways
        return None if ways is None else ways.follower(variable)

    def cancels_out(self, variable: int) -> bool:
        """Whether terms that are not zero add up to the gradient of a weight.

        Args:
            variable: Position of the weight.
        """
        sums = self._graphs.sums
        return sums is not None and sums.cancel_out(self._flat(self._values), variable)

    @property
    def low_precision(self) -> dict[str, list[str]]:
        """Layers that compute in less than float64, by dtype."""
        return self._graphs.low_precision

    @property
    def rounded(self) -> tuple[str, ...]:
        """Layers whose backward pass has constants in half precision."""
        if self._lifted is None:
            return ()
        return diagnose.rounded(self._evaluator.replica, self._lifted)

    @property
    def switched_off(self) -> tuple[str, ...]:
        """Layers that draw at random while training, and do nothing here."""
        return diagnose.switched_off(self._evaluator.replica)

    @property
    def drawn_once(self) -> tuple[str, ...]:
        """Layers that draw at random, the same for each loss."""
        return diagnose.drawn_once(self._evaluator.replica, self._lifted)

    @property
    def _graphs(self):
        return self._evaluator.graphs_for(self._states, self._batch)

    @property
    def _lifted(self):
        """The lifted graphs; None of code that has none."""
        return self._graphs.lifted

    @property
    def dtype(self) -> str:
        """The lowest precision that the loss goes through."""
        return lowest(self.low_precision)

    def losses(self, perturbations: Sequence[Perturbation]) -> np.ndarray:
        """Losses with one weight or several moved by a step, for each perturbation."""
        if not perturbations:
            return np.empty(0)
        arguments = self._values, self._states, self._batch, perturbations
        self._evaluator.prepare(*arguments)
        started = time.perf_counter()
        found = self._tried(perturbations)
        self.evaluations += len(perturbations)
        self._spent += time.perf_counter() - started
        self._evaluator.seconds = self._spent / self.evaluations
        return found

    def _tried(self, perturbations):
        """The losses; NaN where the model raises."""
        arguments = self._values, self._states, self._batch, perturbations
        at_once, tell = self._in_one_call(), self._progress.comes_to
        try:
            return self._evaluator.losses(*arguments, at_once, tell)
        except Exception as error:  # of the model's own code, or of an operation
            if not self._is_of_the_point(error):
                raise
            if len(perturbations) == 1:
                logger.debug("The loss raised at a moved point.", exc_info=True)
                self.edges.append(error)
                return np.array([np.nan])
        half = len(perturbations) // 2
        parts = perturbations[:half], perturbations[half:]
        return np.concatenate([self._tried(part) for part in parts])

    def _is_of_the_point(self, error):
        """Whether an error may be none at other weights."""
        if self._lifted is None:  # Python code, which may raise what it likes
            return not isinstance(error, UncheckableError)
        return isinstance(error, tf.errors.InvalidArgumentError)

    @property
    def traced(self) -> tuple[Replica, Trace]:
        """The replica, and what its code was traced to."""
        return self._evaluator.replica, self._lifted.trace

    @property
    def shares(self) -> Shares | None:
        """What each operation adds to the error; None of code that has no graph."""
        return self._graphs.shares

    def alone(self, step: Step) -> Alone:
        """One operation of the loss, cut out."""
        return Alone(self._lifted, step, self._flat(self._values))

    def changes(
        self, shares: Shares, moves: Iterable[Sequence[np.ndarray]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """What each group of operations says of the change of the loss.

        Args:
            shares: The groups.
            moves: By what the weights are moved: for each a flat array, or more.
        """

        def moved(move):
            self.evaluations += 1
            change = zip(self._values, move, strict=True)
            return self._flat([v + np.reshape(u, v.shape) for v, u in change])

        return shares.changes(self._flat(self._values), map(moved, moves))

    def _flat(self, values):
        return self._lifted.flat(values, self._values, self._states, self._batch)

    def _in_one_call(self):
        """How many losses to ask for at once: between calls, Ctrl-C gets through."""
        price = self._evaluator.seconds
        return _FEWEST if price is None else max(_FEWEST, int(_CALL / price))

    def nearby(self) -> ReplicaProblem | None:
        """The same loss at weights moved at random, by a thousandth.

        Returns:
            A `ReplicaProblem`; None if the loss raises there.
        """
        draw = self.rng.standard_normal
        values = [
            v + NEARBY * tf.reshape(units_of(self, k), v.shape) * draw(v.shape)
            for k, v in enumerate(self._values)
        ]
        try:
            found = ReplicaProblem(
                self._evaluator, self._batch, self.rng, values, self._progress
            )
        except UncheckableError:
            logger.debug("There is no loss nearby.", exc_info=True)
            return None
        found.edges = self.edges
        return found

    @property
    def is_precise(self) -> bool:
        """Whether all of the loss is computed in float64."""
        return self.dtype == "float64"

    def noise(self, variables: Sequence[int]) -> list[Noise]:
        """A bound on the error of a loss value, for each weight.

        Args:
            variables: The weights that it is asked for.
        """
        if self.is_precise:
            few = sorted({0, len(self.sizes) - 1})
            return [noise_of(self, few, self.rng)] * len(self.sizes)
        spacing, unknown = _SPACING[self.dtype], Noise(np.inf)
        noise = [unknown] * len(self.sizes)
        for k in variables:
            noise[k] = noise_of(self, [k], self.rng, spacing)
        return noise

    def rounding(self) -> tuple[str, str] | None:
        """The type of an operation that rounds in secret, and its layer, if known."""
        if self._lifted is None:
            return None
        values = [
            v * (1 + _UNSEEN * self.rng.choice([-1.0, 1.0], v.shape))
            for v in self._values
        ]
        flat, moved = (
            self._lifted.flat(v, v, self._states, self._batch)
            for v in (self._values, values)
        )
        return diagnose.rounding(self._evaluator.replica, self._lifted, flat, moved)

    def assert_checkable(self) -> None:
        """Makes sure that differences of the loss mean something.

        Raises:
            UncheckableError: If the loss is not finite.
        """
        if not np.isfinite(self.level):
            raise refused(LossNotFinite(self.target, self.level))

    def assert_repeatable(self) -> None:
        """Makes sure that the loss is the same each time.

        Raises:
            UncheckableError: If it isn't.
        """
        again = self.level
        if self._differs(again):  # by another order of rounding, perhaps
            again = self._loss()
        if self._differs(again):
            raise refused(LossNotRepeatable(self.target, self.base, again))

    def _loss(self):
        return float(self.losses([(Direction(0, entry=0), 0.0)])[0])

    def _differs(self, loss):
        return abs(self.base - loss) > _SAME * abs(self.base)


def _peak(gradient):
    peak = max(np.max(gradient, initial=0.0), -np.min(gradient, initial=0.0))
    if not np.isfinite(peak):
        peak = np.max(np.abs(gradient), initial=0.0, where=np.isfinite(gradient))
    return float(peak)
