"""Many perturbed losses, by what is quicker than one call for each."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_gradwatch.check.evaluation.dataflow import Dataflow
from keras_gradwatch.check.evaluation.perturbations import (
    MOST,
    SPEC,
    Perturbation,
    chunks,
    loop,
    pack,
)
from keras_gradwatch.check.numerics.directions import Direction, Sweep, scale_of
from keras_gradwatch.replica.lift.lifted import Lifted

logger = logging.getLogger("keras_gradwatch")

# The most parts into which the weights are cut. In a chain of equal layers, p parts
# leave (p + 1) / 2p of the price of a loss: eight gain 7/8 of all there is to gain.
_PARTS = 8
# What may be kept of that which is computed once, in bytes: half a GiB. Chosen, not
# measured: a bound on memory.
_KEPT = 1 << 29
# A shortcut is proven by so large a move, relative to the scale of a weight: far more
# than rounding hides. By a smaller one where the loss raises so far away.
_PROOFS = (1e-3, 1e-6, 1e-9)
# The time that a proof takes, in plain losses: two moves, each by both ways.
_PROVEN = 4
# What a loop saves of a plain loss, at least: a share, as losses are computed side by
# side; of a small model, the call itself, in seconds (dense net of 16 units: 0.2 ms a
# loss, 0.02 in a loop).
_LOOPED, _CALL = 0.5, 2e-4
# Where fewer share the price of a call, it does not tell how long one takes. As many
# as `check/problem.py` asks for at least.
_ENOUGH = 8

Losses = Callable[..., np.ndarray]
# Values, states and batch: what a loss takes, but for the perturbations.
Arguments = tuple[Sequence[tf.Tensor], Sequence[tf.Tensor], Any]


@dataclass
class Route:
    """One way to a loss: all of the model, or what depends on some weights.

    Args:
        losses: `(values, states, batch, perturbations) -> losses`, an array.
        weights: Numbers of the weights that it can move; any, if None.
        share: About how much of the model it computes for each perturbation.
        enough: Fewer losses in a call do not tell how long one takes.
        seconds: How long one loss took, at best; None if that is not known yet.
    """

    losses: Losses
    weights: tuple[int, ...] | None = None
    share: float = 1.0
    enough: int = _ENOUGH
    seconds: float | None = None

    def takes(self, moved: set[int]) -> bool:
        """Whether it can move these weights."""
        return self.weights is None or moved <= set(self.weights)

    def __call__(
        self, arguments: Arguments, perturbations: Sequence[Perturbation]
    ) -> np.ndarray:
        """Losses of as many perturbations as one call takes."""
        began = time.perf_counter()
        found = self.losses(*arguments, perturbations)
        seconds = (time.perf_counter() - began) / len(perturbations)
        if len(perturbations) >= self.enough:
            self.seconds = min(self.seconds or seconds, seconds)
        return found


class Shortcuts:
    """Perturbed losses of one model on batches of one signature.

    At first, each is one call of the model's lifted loss. Once a loop in a graph would
    have paid for itself by the perturbations so far, that is made.

    Then weights are put in parts by the order in which the loss uses them. While only
    weights of one part move, all that depends on none of them is computed once for
    many perturbations. What depends on what is read off the traced graph, so this holds
    for any model whose graph changes nothing when it runs. A part gets a loop of
    its own once that would have paid for itself, too. Each loop is proven: if one does
    not give what the plain calls give, no more are made. And it is used only for as
    long as it is faster.

    Args:
        lifted: The `Lifted` whose loss it is; None of code that has no graph.
        plain: `(values, states, batch, perturbations) -> losses`, one by one.
        price: Seconds that it takes to make a loop. Infinite if there are to be none.
        tolerance: How far a loss may be off by the order of rounding, as a share.

    Attributes:
        price: The same; infinite also where it turns out that there can be none.
    """

    def __init__(
        self,
        lifted: Lifted | None,
        plain: Losses,
        price: float = math.inf,
        tolerance: float = 0.0,
    ):
        self._lifted, self.price, self._tolerance = lifted, price, tolerance
        self._plain = Route(plain, enough=1)
        self._loop: Route | None = None
        self._alone = self._together = 0  # perturbations so far, by what they move
        self._parts: list[Route] = []
        self._whole: list[Route] = []
        # Of the parts, and of perturbations by then.
        self._share, self._planned = 1.0, 0
        self._flow: Dataflow | None = None
        self._plans: list[tuple[float, list[tuple[int, ...]]]] = []

    @property
    def routes(self) -> list[Route]:
        """The ways there are by now, the one that computes the least first."""
        routes = sorted([*self._parts, *self._whole], key=lambda route: route.share)
        looped = [] if self._loop is None else [self._loop]
        return [*routes, *looped, self._plain]

    def prepare(
        self, arguments: Arguments, perturbations: Sequence[Perturbation]
    ) -> None:
        """Makes the shortcuts that would have paid for themselves by now.

        Args:
            arguments: Values, states and batch.
            perturbations: The perturbations to come.
        """
        alone = sum(len(_moved(way)) == 1 for way, _ in perturbations)
        self._alone += alone
        self._together += len(perturbations) - alone
        try:
            if self._loop is None:
                self._look_for_loop(arguments)
            if self._loop is None:
                return
            if self._alone >= 2 * self._planned and self._gain(self._alone) > 0:
                self._cut_up(arguments)
            if not self._whole and self._gain(self._together) > 0:
                self._cut_off(arguments)
        except Exception:  # ours or TensorFlow's: losses are as right without, but slow
            logger.warning(
                "Shortcuts could not be made for this model: its checks take longer.",
                exc_info=True,
            )
            self.price = math.inf

    def losses(
        self,
        arguments: Arguments,
        perturbations: Sequence[Perturbation],
        at_once: int = MOST,
        tell: Callable[[Sequence[Perturbation]], None] = lambda perturbations: None,
    ) -> np.ndarray:
        """The loss for each perturbation, each by the shortest way.

        Args:
            arguments: Values, states and batch.
            perturbations: Pairs of a direction or sweep, and a signed step along it.
            at_once: The most in one call of a graph.
            tell: Called with the perturbations of each call, before it.
        """
        found = np.empty(len(perturbations))
        left = [(i, _moved(way)) for i, (way, _) in enumerate(perturbations)]
        for route in self.routes:
            if self._is_slow(route):
                continue
            own = [i for i, moved in left if route.takes(moved)]
            left = [(i, moved) for i, moved in left if not route.takes(moved)]
            for chunk in chunks([perturbations[i] for i in own], at_once):
                tell(chunk)
                found[own[: len(chunk)]] = route(arguments, chunk)
                own = own[len(chunk) :]
        return found

    def _gain(self, saved, graphs=1):
        """Seconds that graphs gain where they save so many plain losses."""
        seconds = self._seconds
        if seconds is None or self.price == math.inf:
            return -math.inf
        return saved * seconds - graphs * (self.price + _PROVEN * seconds)

    @property
    def _seconds(self):
        """How long one loss takes by all of the model; None if that is not known."""
        routes = [self._plain] if self._loop is None else [self._plain, self._loop]
        return min((r.seconds for r in routes if r.seconds), default=None)

    def _is_slow(self, route):
        """Whether another way is known to be faster."""
        whole = self._seconds
        return bool(whole and route.seconds and route.seconds > whole)

    def _look_for_loop(self, arguments):
        """Makes the loop over all of the model, if that pays."""
        seconds = self._seconds or math.inf
        saved = max(_LOOPED, min(1.0, _CALL / seconds))
        if self._gain(saved * (self._alone + self._together)) <= 0:
            return
        lifted = self._lifted
        assert lifted is not None  # else its price is infinite

        def losses(values, states, batch, perturbations):
            rest = lifted.flat([], values, states, batch)
            return loop(lambda at: lifted.loss(*at, *rest), values, perturbations)

        route = Route(_looped(losses, arguments))
        if self._proven([route], arguments):
            self._loop = route

    def _cut_up(self, arguments):
        """Makes routes for single weights: as many as gain the most."""
        flow = self._look()
        gains = [
            self._gain(self._alone * (self._share - share), len(parts))
            for share, parts in self._plans
        ]
        if flow is not None and max(gains, default=0.0) > 0:
            share, parts = self._plans[int(np.argmax(gains))]
            made = self._made(arguments, flow, parts)
            if made is not None:
                self._parts, self._share, self._planned = made, share, self._alone

    def _cut_off(self, arguments):
        """Makes one for all weights, where much depends on none of them."""
        flow = self._look()
        for share, parts in self._plans[:1]:
            if flow is not None and self._gain(self._together * (1 - share)) > 0:
                self._whole = self._made(arguments, flow, parts) or []

    def _look(self):
        """Sees what of the loss depends on what; None if it can't be cut."""
        if self._flow is None and self.price < math.inf:
            self._flow = self._followed()
            if self._flow is None:
                self.price = math.inf
        return self._flow

    def _followed(self):
        """The loss as a graph; None if it can't be cut."""
        if self._lifted is None:
            return None
        flow = Dataflow(self._lifted.loss, len(self._lifted.trace.shapes))
        if not flow.can_be_cut:
            return None
        order, prices = flow.prices()
        self._plans = [
            (share, [tuple(order[i:j]) for i, j in edges])
            for share, edges in partitions(prices, _PARTS)
        ]
        return flow

    def _made(self, arguments, flow, parts):
        """Routes for parts of the weights, all of them proven; None if one fails."""
        cuts = [(part, flow.cut(part)) for part in parts]
        routes = [
            self._route(arguments, flow, part, cut)
            for part, cut in cuts
            if cut.bytes <= _KEPT
        ]
        return routes if self._proven(routes, arguments) else None

    def _proven(self, routes, arguments):
        if all(self._is_proven(route, arguments) for route in routes):
            return True
        logger.info("A shortcut does not give the loss: no more are made.")
        self.price = math.inf
        return False

    def _route(self, arguments, flow, weights, cut):
        lifted = self._lifted
        assert lifted is not None  # else there is nothing to follow

        def losses(values, states, batch, perturbations):
            flat = lifted.flat(values, values, states, batch)
            started = cut.start(flow.named(flat))
            return loop(
                lambda moved: cut.finish(started, moved),
                [values[k] for k in weights],
                perturbations,
            )

        return Route(_looped(losses, arguments, weights), weights, cut.share)

    def _is_proven(self, route, arguments):
        """Whether a route gives the loss, where its weights are moved."""
        for size in _PROOFS:
            perturbations = [
                (
                    Direction(k, signs=np.ones(value.size, np.int8)),
                    size * scale_of(value),
                )
                for k in _ends(route.weights or range(len(arguments[0])))
                for value in [arguments[0][k].numpy()]
            ]
            try:
                found = route(arguments, perturbations)
                plain = self._plain(arguments, perturbations)
                break
            except tf.errors.InvalidArgumentError:  # the loss has an edge in between
                if size == _PROOFS[-1]:
                    raise
        return np.allclose(found, plain, self._tolerance, 0.0, equal_nan=True)


def partitions(
    prices: np.ndarray, most: int
) -> list[tuple[float, list[tuple[int, int]]]]:
    """The cheapest ways to cut a row of weights into parts.

    Args:
        prices: Entry `(i, j)` is the price of a perturbation of any weight from `i` to
            before `j`, if these are one part. Shape `(count, count + 1)`.
        most: The most parts.

    Returns:
        For one part, for two and so on, the mean price of a perturbation and the
        parts, as pairs `(i, j)`.
    """
    count = len(prices)
    sizes = np.arange(count + 1)[None, :] - np.arange(count)[:, None]
    whole = np.where(sizes > 0, sizes * prices, np.inf)
    least = np.full(count + 1, np.inf)
    least[0] = 0.0
    starts: list[np.ndarray] = []
    found = []
    for _ in range(min(most, count)):
        sums = least[:-1, None] + whole
        starts.append(np.argmin(sums, axis=0))
        least = np.min(sums, axis=0)
        edges: list[tuple[int, int]] = []
        end = count
        for start in reversed(starts):
            edges.insert(0, (int(start[end]), end))
            end = int(start[end])
        found.append((float(least[count] / count), edges))
    return found


def _looped(losses, arguments, weights=None):
    """A loop in a graph, as a function that takes perturbations as they are."""
    function = tf.function(losses, autograph=False)
    function = function.get_concrete_function(*arguments, SPEC)

    def called(values, states, batch, perturbations):
        packed = pack(perturbations, weights)
        return function(values, states, batch, packed).numpy()

    return called


def _ends(weights):
    """The first and the last of some weights."""
    return sorted({weights[0], weights[-1]})


def _moved(way: Direction | Sweep) -> set[int]:
    """Numbers of the weights that a direction or sweep moves."""
    return {direction.variable for direction, _ in way.moves(0.0)}
