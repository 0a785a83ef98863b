"""How the price of a check grows with the model, the batch and what is asked for.

    python benchmarks/growth.py [--rounds N] [--picture PATH]

Curves, each in training steps of the same model and batch:
- width and number of variables of a dense net: the screen.
- batch of a convolutional net with batch normalisation: the screen on the whole
  batch, and as in training, where it takes a quarter, 32 examples at most.
- entries that are compared singly, of each of the 4 variables of a dense net: the
  whole check, and the loop that one would write by hand over as many entries.

The fastest of all rounds, in each of which everything runs once, in one process:
what else the machine does only ever adds to that. The picture is drawn with
matplotlib, if that is installed.
"""

import argparse
import functools
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import models
from speed import Case, interleaved

from keras_gradwatch.check.budget import Budget
from keras_gradwatch.check.checker import GradientChecker
from keras_gradwatch.check.settings import Settings
from keras_gradwatch.check.subject import WholeModel
from keras_gradwatch.check.subset import Subset

WIDTHS = (32, 128, 512, 1024)
VARIABLES = (4, 10, 50, 100, 200)
BATCHES = (32, 128, 256, 1024)
SAMPLES = (1, 2, 5, 10, 20, 50)
# Training steps in each round: of small models a single one takes next to no time.
STEPS = 10
PICTURE = Path(__file__).parents[1] / "docs" / "growth.png"
# Colours that are told apart also by those who see fewer of them.
COLOURS = ("#0b6fb8", "#d1600c")


def screens(case: Case, rounds: int) -> Any:
    """The screen on the whole batch."""
    return measured(case, rounds, screen=(Settings(), None, 0.0))


def screens_of_parts(case: Case, rounds: int) -> Any:
    """The screen on the whole batch, and on a part."""
    part = Subset(case.model, "bypass")
    return measured(
        case,
        rounds,
        whole=(Settings(), None, 0.0),
        part=(Settings(), part, 0.0),
    )


def comparisons(case: Case, samples: int, rounds: int) -> Any:
    """All comparisons of so many entries, and the losses of a loop by hand."""
    entries = [
        (k, e)
        for k, weight in enumerate(case.model.get_weights())
        for e in range(min(samples, weight.size))
        for _ in range(2)
    ]
    settings = Settings(samples=samples, directions=0)
    return measured(
        case,
        rounds,
        also={"by hand": (lambda: case.by_hand(entries), len(entries))},
        check=(settings, None, float("inf")),
    )


def measured(case: Case, rounds: int, also: Any = None, **checks: Any) -> Any:
    """Losses, seconds and training steps of each kind of check."""
    losses: dict[str, list[int]] = {name: [] for name in checks}
    functions = {}
    for name, (settings, part, seconds) in checks.items():
        subject = WholeModel(case.model, settings.dropout)
        checker = GradientChecker(subject, settings, part)

        def check(
            checker: Any = checker, seconds: Any = seconds, kept: Any = losses[name]
        ) -> None:
            found = checker.check(case.batch, Budget(seconds)).report
            kept.append(found.evaluations)

        functions[name] = check
    counts = {}
    for name, (function, count) in (also or {}).items():
        functions[name], counts[name] = function, count

    def steps() -> None:
        for _ in range(STEPS):
            case.step()

    found = interleaved(rounds, min, step=steps, **functions)
    step = found.pop("step") / STEPS
    counts |= {name: statistics.median(kept) for name, kept in losses.items()}
    return {
        name: (counts[name], seconds, seconds / step) for name, seconds in found.items()
    }


def points(
    values: Any, build: Callable[[Any], Any], measure: Any, rounds: int
) -> Iterator[Any]:
    for value in values:
        case = Case(functools.partial(build, value))
        yield value, measure(case, value, rounds)


def curves(rounds: int) -> Iterator[Any]:
    """Yields the name of a curve, a value, and what was measured there."""
    dense = models.dense

    def of_screens(measure: Any) -> Any:
        return lambda case, value, rounds: measure(case, rounds)

    for what, values, build, measure in (
        ("width", WIDTHS, lambda n: dense(width=n), of_screens(screens)),
        (
            "variables",
            VARIABLES,
            lambda n: dense(width=64, depth=n // 2 - 1),
            of_screens(screens),
        ),
        (
            "batch",
            BATCHES,
            lambda n: models.convolutional(batch=n),
            of_screens(screens_of_parts),
        ),
        ("entries of each variable", SAMPLES, lambda n: dense(), comparisons),
    ):
        for value, found in points(values, build, measure, rounds):
            yield what, value, found


def picture(drawn: Any, path: str) -> None:
    try:
        from matplotlib import pyplot
    except ImportError:
        print("(No picture: matplotlib is not installed)")
        return
    figure, axes = pyplot.subplots(1, len(drawn), figsize=(12, 3))
    for axis, (what, lines) in zip(axes, drawn.items(), strict=True):
        for colour, (name, line) in zip(COLOURS, lines.items(), strict=False):
            axis.plot(*zip(*line, strict=True), "o-", color=colour, label=name)
        values = [value for value, _ in next(iter(lines.values()))]
        axis.set(xlabel=what, xscale="log", ylim=(0, None))
        axis.set_xticks(values, map(str, values))
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False)
    axes[0].set_ylabel("time, in training steps")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    print(f"A picture: {path}, {Path(path).stat().st_size / 1e3:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--picture", default=PICTURE)
    arguments = parser.parse_args()
    print(f"{'':<26}{'':>6}  {'':<10}{'losses':>8}{'time':>12}{'steps':>8}")
    drawn: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for what, value, found in curves(arguments.rounds):
        for name, (losses, seconds, steps) in found.items():
            drawn.setdefault(what, {}).setdefault(name, []).append((value, steps))
            print(
                f"{what:<26}{value:>6}  {name:<10}{losses:>8.0f}"
                f"{1e3 * seconds:>9.1f} ms{steps:>8.1f}",
                flush=True,
            )
    picture(drawn, arguments.picture)


if __name__ == "__main__":
    main()
