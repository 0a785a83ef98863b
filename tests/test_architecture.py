"""The plan of the house, read from the source: nothing of the package is imported."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "keras_gradwatch"
TESTS = ROOT / "tests"

# From the top to the ground. A module may import from its own floor and from those
# below. What is not named here by its file is on the floor of its folder.
FLOORS = (
    ("__init__", "__main__", "pytest_plugin"),  # faces: how people come in
    ("functions", "callbacks"),  # what a user calls, in a script or in `fit`
    ("check", "stats", "nonfinite", "losses", "setup"),  # the questions
    ("tensorboard",),  # writes what was found, and shows it
    ("replica", "findings"),  # a model as a function; what was found, as data
    ("framework",),  # what must be known of Keras and TensorFlow
    ("arguments", "errors", "files"),  # the ground
)
# Which folders may not know which.
STRANGERS = (
    ("check", "stats"),
    ("check", "nonfinite"),
    ("stats", "nonfinite"),
    ("losses", "check"),
    ("losses", "stats"),
    ("losses", "nonfinite"),
    ("setup", "check"),
    ("setup", "stats"),
    ("setup", "nonfinite"),
    ("setup", "losses"),
    ("replica", "check.numerics"),
)
# All that tensorboard/ knows.
TENSORBOARD_KNOWS = ("tensorboard", "findings", "errors", "arguments", "files")
# Neither these nor what they import may import TensorFlow or Keras.
PURE = ("check.numerics", "findings", "losses")
HEAVY = {"keras", "tensorflow"}
# Exceptions of any kind.
BLIND = {"Exception", "BaseException"}


def modules(package: Path) -> dict[str, ast.Module]:
    """The syntax tree of each module, by its dotted name without the package's."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if len(parts) > 1 and parts[-1] == "__init__":
            parts = parts[:-1]
        found[".".join(parts)] = ast.parse(path.read_text())
    return found


def imported(tree: ast.Module) -> list[tuple[str, str]]:
    """Each import anywhere in a module: the module, and the name taken from it."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.module or "", alias.name) for alias in node.names]
    return found


def graph(trees: dict[str, ast.Module], package: str) -> dict[str, set[str]]:
    """Which modules of the package each module imports."""
    edges = {name: set() for name in trees}
    for name, tree in trees.items():
        for module, attribute in imported(tree):
            if module.split(".")[0] != package:
                continue
            inner = module.removeprefix(package).lstrip(".")
            whole = ".".join(filter(None, (inner, attribute)))
            found = whole if whole in trees else inner or "__init__"
            edges[name] |= {found} & set(trees) - {name}
    return edges


def reached(edges: dict[str, set[str]], start: str) -> set[str]:
    """All modules that a module imports, by way of others too."""
    found, waiting = set(), [start]
    while waiting:
        new = edges[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def circles(edges: dict[str, set[str]]) -> list[str]:
    return [name for name in edges if name in reached(edges, name)]


def is_in(name: str, folder: str) -> bool:
    return name == folder or name.startswith(f"{folder}.")


def floor(name: str) -> int:
    """The number of a module's floor, 0 at the top."""
    return next(
        number
        for number, folders in enumerate(FLOORS)
        if any(is_in(name, folder) for folder in folders)
    )


def upward(edges: dict[str, set[str]]) -> list[tuple[str, str]]:
    return [
        (name, other)
        for name, others in edges.items()
        for other in sorted(others)
        if floor(other) < floor(name)
    ]


def acquainted(edges, one: str, other: str) -> list[tuple[str, str]]:
    """The imports between two folders, in either direction."""
    return [
        (a, b)
        for a, others in edges.items()
        for b in sorted(others)
        if (is_in(a, one) and is_in(b, other)) or (is_in(a, other) and is_in(b, one))
    ]


def heavy(trees, edges, folder: str) -> list[str]:
    """The modules of a folder that import TensorFlow or Keras, by way of others too."""
    own = {
        name
        for name, tree in trees.items()
        if {module.split(".")[0] for module, _ in imported(tree)} & HEAVY
    }
    return [n for n in trees if is_in(n, folder) and ({n} | reached(edges, n)) & own]


def doubles(package: Path) -> list[str]:
    count = Counter(path.name for path in package.rglob("*.py"))
    return [n for n, times in count.items() if times > 1 and n != "__init__.py"]


def private_imports(trees, package: str) -> list[tuple[str, str]]:
    return [
        (name, attribute)
        for name, tree in trees.items()
        for module, attribute in imported(tree)
        if module.split(".")[0] == package and attribute.startswith("_")
    ]


def silent(trees) -> list[tuple[str, int]]:
    """Where an exception is swallowed without a word.

    An exception of any kind may be a bug of our own: whoever catches it raises, logs
    or warns, or hands it on by its name; to return something else is not enough. One
    of a kind that was foreseen may stand for an answer, and what is done then says it.
    """
    return [
        (name, node.lineno)
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.ExceptHandler) and _says_nothing(node))
        or (isinstance(node, ast.Call) and _last_name(node.func) == "suppress")
    ]


def _says_nothing(handler: ast.ExceptHandler) -> bool:
    if all(map(_does_nothing, handler.body)):
        return True
    caught = handler.type
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    is_blind = any(k is None or _last_name(k) in BLIND for k in kinds)
    inner = [node for line in handler.body for node in ast.walk(line)]
    return is_blind and not any(_tells(node, handler.name) for node in inner)


def _does_nothing(line: ast.stmt) -> bool:
    is_constant = isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
    return is_constant or isinstance(line, ast.Pass | ast.Continue | ast.Break)


def _tells(node: ast.AST, name: str | None) -> bool:
    """Whether it raises, uses the exception by its name, or logs or warns."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _last_name(node.func.value) in ("logger", "logging", "warnings")
    is_used = isinstance(node, ast.Name) and node.id == name
    return is_used or isinstance(node, ast.Raise)


def _last_name(node: ast.expr) -> str:
    return ast.unparse(node).split(".")[-1]


def bare(trees) -> list[str]:
    """Public functions and methods with a parameter or return not annotated."""
    return [
        f"{name}.{function.name}"
        for name, tree in trees.items()
        for function, is_method in _public(tree)
        if function.returns is None or _without_type(function, is_method)
    ]


def _public(tree):
    for node in tree.body:
        if getattr(node, "name", "_").startswith("_"):
            continue
        if isinstance(node, ast.FunctionDef):
            yield node, False
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                named = isinstance(method, ast.FunctionDef)
                if named and not method.name.startswith("_"):
                    yield method, True


def _without_type(function, is_method):
    a = function.args
    listed = [*a.posonlyargs, *a.args]
    static = {ast.unparse(d) for d in function.decorator_list} & {"staticmethod"}
    listed = listed[1 if is_method and not static else 0 :]
    rest = [arg for arg in (a.vararg, a.kwarg) if arg]
    return [x.arg for x in [*listed, *a.kwonlyargs, *rest] if x.annotation is None]


TREES = modules(PACKAGE)
EDGES = graph(TREES, "keras_gradwatch")


def test_no_circle_and_nothing_up():
    assert circles(EDGES) == []
    assert upward(EDGES) == []


def test_few_files_lie_flat_and_each_name_is_there_once():
    assert len(list(PACKAGE.glob("*.py"))) <= 7
    assert doubles(PACKAGE) == []


@pytest.mark.parametrize(("one", "other"), STRANGERS)
def test_strangers(one, other):
    assert acquainted(EDGES, one, other) == []


def test_tensorboard_knows_what_was_found_and_nothing_else():
    known = {o for n in EDGES if is_in(n, "tensorboard") for o in EDGES[n]}
    assert [
        o for o in sorted(known) if not any(is_in(o, f) for f in TENSORBOARD_KNOWS)
    ] == []


@pytest.mark.parametrize("folder", PURE)
def test_neither_tensorflow_nor_keras(folder):
    assert heavy(TREES, EDGES, folder) == []


def test_private_names_stay_at_home():
    assert private_imports(TREES, "keras_gradwatch") == []


def test_no_silence():
    assert silent(TREES) == []


def test_public_functions_are_annotated():
    assert bare(TREES) == []


def test_no_test_file_imports_another_and_helpers_live_in_support():
    trees = modules(TESTS)
    edges = graph(trees, "tests")
    tests = {name for name in trees if name.split(".")[-1].startswith("test_")}
    assert [(n, o) for n in edges for o in edges[n] & tests] == []
    assert private_imports(trees, "tests") == []
    homes = [p for p in TESTS.rglob("*.py") if p.parent.name != "support"]
    homes = [p for p in homes if "support" not in p.relative_to(TESTS).parts]
    allowed = ("__init__", "conftest")
    left = [p for p in homes if p.stem not in allowed]
    assert [p.name for p in left if not p.stem.startswith("test_")] == []


WHOLE = ("kinds", "programs", "faults", "zoo", "support")  # whole models, helpers


def test_the_tests_mirror_the_package():
    folders = {p.parent.relative_to(TESTS) for p in TESTS.rglob("test_*.py")}
    unknown = [f for f in folders if f.parts and f.parts[0] not in WHOLE]
    assert [f for f in unknown if not (PACKAGE / f).is_dir()] == []


MADE_UP = {
    "errors.py": "import p.check.a",
    "functions.py": "def f(x): pass\nclass A:\n    def g(self, y: int): pass",
    "check/a.py": "from p.check import b\nfrom p.stats.a import _x",
    "check/b.py": "def f() -> None:\n    from p.check import a",
    "stats/a.py": "try:\n    pass\nexcept Exception:\n    pass",
    "findings/c.py": "import p.replica.d",
    "replica/d.py": "import tensorflow as tf",
}


def test_what_is_wrong_is_seen(tmp_path):
    package = tmp_path / "p"
    for name, text in MADE_UP.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    trees = modules(package)
    edges = graph(trees, "p")
    assert circles(edges) == ["check.a", "check.b"]
    assert upward(edges) == [("errors", "check.a")]
    assert acquainted(edges, "check", "stats") == [("check.a", "stats.a")]
    assert heavy(trees, edges, "findings") == ["findings.c"]
    assert doubles(package) == ["a.py"]
    assert private_imports(trees, "p") == [("check.a", "_x")]
    assert silent(trees) == [("stats.a", 3)]
    assert bare(trees) == ["functions.f", "functions.g"]


SILENT = [
    "except Exception:\n    pass",
    "except:\n    pass",
    "except Exception:\n    ...",
    "except ValueError:\n    pass",
    "except Exception:\n    return None",
    "except (KeyError, Exception):\n    found = None",
    "except BaseException as error:\n    found = None",
    "except Exception:\n    plan.clear()",
]
SAYING = [
    "except Exception:\n    raise",
    "except Exception:\n    logger.debug('Odd.', exc_info=True)\n    return None",
    "except Exception as error:\n    return None, error",
    "except Exception as error:\n    self.give_up(error)",
    "except Exception as error:\n    if odd:\n        raise Odd() from error",
    "except Exception:\n    warnings.warn('Odd.')",
    "except ValueError:\n    return False",
    "except (TypeError, KeyError):\n    found = None",
]


@pytest.mark.parametrize("handler", [*SILENT, *SAYING])
def test_what_is_swallowed_is_seen(handler):
    body = f"try:\n    pass\n{handler}".replace("\n", "\n    ")
    trees = {"a": ast.parse(f"def f():\n    {body}")}
    assert silent(trees) == ([("a", 4)] if handler in SILENT else [])


def test_what_is_suppressed_is_seen():
    trees = {"a": ast.parse("with contextlib.suppress(OSError):\n    f()")}
    assert silent(trees) == [("a", 1)]
