"""Losses in which few weights move: what does not depend on them is computed once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_gradwatch.check.evaluation.dataflow import Flow
from keras_gradwatch.check.evaluation.perturbations import (
    MOST,
    SPEC,
    Probe,
    chunks,
    loop,
    pack,
)
from keras_gradwatch.check.numerics.directions import Direction, scale_of

# The most parts into which the weights are cut.
_PARTS = 8
# What may be kept of that which is computed once, in bytes.
_KEPT = 1 << 29
# A shortcut is proven by so large a move, relative to the scale of a weight.
_PROOF = 1e-3
# The time that a proof takes, in plain losses.
_PROVEN = 4
# Where fewer probes share the price of a call, it does not tell how long one takes.
_ENOUGH = 8


@dataclass
class Route:
    """One way to a loss: all of the model, or what depends on some weights.

    Args:
        losses: `(values, states, batch, probes) -> losses`.
        weights: Numbers of the weights that it can move; any, if None.
        share: About how much of the model it computes for each probe.
        seconds: How long one loss took, at best; None if that is not known yet.
    """

    losses: object
    weights: tuple[int, ...] | None = None
    share: float = 1.0
    seconds: float | None = None

    def takes(self, moved: set[int]) -> bool:
        """Whether it can move these weights."""
        return self.weights is None or moved <= set(self.weights)

    def __call__(self, arguments, probes: Sequence[Probe]) -> np.ndarray:
        """Losses of as many probes as one call takes."""
        began = time.perf_counter()
        found = self.losses(*arguments, pack(probes, self.weights)).numpy()
        seconds = (time.perf_counter() - began) / len(probes)
        if self.weights is None or len(probes) >= _ENOUGH:
            self.seconds = min(self.seconds or seconds, seconds)
        return found


class Shortcuts:
    """Perturbed losses of one model on batches of one signature.

    Weights are put in parts by the order in which the loss uses them. While only
    weights of one part move, all that depends on none of them is computed once for
    many probes. What depends on what is read off the traced graph, so this holds
    for any model whose graph changes nothing when it runs. A part gets a graph of
    its own once that would have paid for itself by the probes so far. Each is proven:
    if one does not give what the plain graph gives, no more are made. And it is
    used only for as long as it is faster.

    Args:
        replica: The `Replica` whose loss it is.
        plain: `(values, states, batch, probes) -> losses`, all of the model for
            each probe.
        price: Seconds that it takes to make such a function. Infinite if there are
            to be no shortcuts.
        tolerance: How far a loss may be off by the order of rounding, as a share.

    Attributes:
        price: The same; infinite also where it turns out that there can be none.
    """

    def __init__(self, replica, plain, price=math.inf, tolerance=0.0):
        self._replica, self.price, self._tolerance = replica, price, tolerance
        self._plain = Route(plain)
        self._alone = self._together = 0  # probes so far
        self._parts: list[Route] = []
        self._whole: list[Route] = []
        self._share, self._planned = 1.0, 0  # of the parts, and of probes by then
        self._flow: Flow | None = None
        self._plans: list[tuple[float, list[tuple[int, ...]]]] = []

    @property
    def routes(self) -> list[Route]:
        """The ways there are by now, the one that computes the least first."""
        routes = [*self._parts, *self._whole]
        return [*sorted(routes, key=lambda route: route.share), self._plain]

    def prepare(self, arguments, probes: Sequence[Probe]) -> None:
        """Makes the shortcuts that would have paid for themselves by now.

        Args:
            arguments: Values, states and batch.
            probes: The probes to come.
        """
        alone = sum(len(_moved(probe)) == 1 for probe, _ in probes)
        self._alone += alone
        self._together += len(probes) - alone
        try:
            if self._alone >= 2 * self._planned and self._gain(self._alone) > 0:
                self._cut_up(arguments)
            if not self._whole and self._gain(self._together) > 0:
                self._cut_off(arguments)
        except Exception:  # it always goes without
            self.price = math.inf

    def losses(
        self,
        arguments,
        probes: Sequence[Probe],
        at_once: int = MOST,
        tell: Callable[[Sequence[Probe]], None] = lambda probes: None,
    ) -> np.ndarray:
        """The loss for each probe, each by the shortest way.

        Args:
            arguments: Values, states and batch.
            probes: Pairs of a direction or sweep, and a signed step along it.
            at_once: The most in one call of a graph.
            tell: Called with the probes of each call, before it.
        """
        found = np.empty(len(probes))
        left = [(i, _moved(probe)) for i, (probe, _) in enumerate(probes)]
        for route in self.routes:
            if route.seconds and route.seconds > self._plain.seconds:
                continue
            own = [i for i, moved in left if route.takes(moved)]
            left = [(i, moved) for i, moved in left if not route.takes(moved)]
            for chunk in chunks([probes[i] for i in own], at_once):
                tell(chunk)
                found[own[: len(chunk)]] = route(arguments, chunk)
                own = own[len(chunk) :]
        return found

    def _gain(self, saved, graphs=1):
        """Seconds that graphs gain where they save so many plain losses."""
        seconds = self._plain.seconds
        if seconds is None or self.price == math.inf:
            return -math.inf
        return saved * seconds - graphs * (self.price + _PROVEN * seconds)

    def _cut_up(self, arguments):
        """Makes routes for single weights: as many as gain the most."""
        self._look(arguments)
        gains = [
            self._gain(self._alone * (self._share - share), len(parts))
            for share, parts in self._plans
        ]
        if max(gains, default=0.0) > 0:
            share, parts = self._plans[int(np.argmax(gains))]
            self._parts = self._made(arguments, parts)
            self._share, self._planned = share, self._alone

    def _cut_off(self, arguments):
        """Makes one for all weights, where much depends on none of them."""
        self._look(arguments)
        for share, parts in self._plans[:1]:
            if self._gain(self._together * (1 - share)) > 0:
                self._whole = self._made(arguments, parts)

    def _look(self, arguments):
        """Traces the loss, to see what depends on what."""
        if self._flow is not None:
            return
        values, states, batch = arguments
        function = tf.function(self._replica.loss, autograph=False)
        function = function.get_concrete_function(values, states, batch, values)
        self._flow = Flow(function, len(values))
        if self._flow.can_be_cut:
            order, prices = self._flow.prices()
            self._plans = [
                (share, [tuple(order[i:j]) for i, j in edges])
                for share, edges in partitions(prices, _PARTS)
            ]
        else:
            self.price = math.inf

    def _made(self, arguments, parts):
        """Routes for parts of the weights. All of them are proven."""
        cuts = [(part, self._flow.cut(part)) for part in parts]
        routes = [
            self._route(arguments, part, cut)
            for part, cut in cuts
            if cut.bytes <= _KEPT
        ]
        if not all(self._is_proven(route, arguments) for route in routes):
            raise ValueError("A shortcut does not give the loss.")
        return routes

    def _route(self, arguments, weights, cut):
        flow = self._flow

        def losses(values, states, batch, probes):
            started = cut.start(flow.named((values, states, batch, values)))
            return loop(
                lambda moved: cut.finish(started, moved),
                [values[k] for k in weights],
                probes,
                side_by_side=True,
            )

        function = tf.function(losses, autograph=False)
        function = function.get_concrete_function(*arguments, SPEC)
        return Route(function, weights, cut.share)

    def _is_proven(self, route, arguments):
        """Whether a route gives the loss, where its weights are moved."""
        probes = [
            (Direction(k, signs=np.ones(value.size, np.int8)), _PROOF * scale_of(value))
            for k in sorted({route.weights[0], route.weights[-1]})
            for value in [arguments[0][k].numpy()]
        ]
        found, plain = route(arguments, probes), self._plain(arguments, probes)
        return np.allclose(found, plain, self._tolerance, 0.0, equal_nan=True)


def partitions(
    prices: np.ndarray, most: int
) -> list[tuple[float, list[tuple[int, int]]]]:
    """The cheapest ways to cut a row of weights into parts.

    Args:
        prices: Entry `(i, j)` is the price of a probe of any weight from `i` to
            before `j`, if these are one part. Shape `(count, count + 1)`.
        most: The most parts.

    Returns:
        For one part, for two and so on, the mean price of a probe and the parts, as
        pairs `(i, j)`.
    """
    count = len(prices)
    sizes = np.arange(count + 1)[None, :] - np.arange(count)[:, None]
    whole = np.where(sizes > 0, sizes * prices, np.inf)
    least = np.full(count + 1, np.inf)
    least[0] = 0.0
    starts, found = [], []
    for _ in range(min(most, count)):
        sums = least[:-1, None] + whole
        starts.append(np.argmin(sums, axis=0))
        least = np.min(sums, axis=0)
        edges, end = [], count
        for start in reversed(starts):
            edges.insert(0, (int(start[end]), end))
            end = int(start[end])
        found.append((float(least[count] / count), edges))
    return found


def _moved(probe):
    return {direction.variable for direction, _ in probe.moves(0.0)}
