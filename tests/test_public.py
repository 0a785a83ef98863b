"""The public surface, and what importing it must not load."""

import subprocess
import sys

import pytest

import keras_gradwatch as kgw

NAMES = [
    "Alert",
    "BackendError",
    "Comparison",
    "GradientAlertError",
    "GradientAlertWarning",
    "GradientCheck",
    "GradientMismatchError",
    "GradientMismatchWarning",
    "GradientReading",
    "GradientReport",
    "GradientStats",
    "GradwatchError",
    "GradwatchWarning",
    "Incident",
    "InvalidArgumentError",
    "LayerStats",
    "LossAlertError",
    "LossAlertWarning",
    "LossWatch",
    "MissingPackageError",
    "NoiseScale",
    "NonFinite",
    "NonFiniteError",
    "NonFiniteLocator",
    "NonFiniteWarning",
    "SavedFailure",
    "SetupError",
    "SetupReport",
    "UncheckableError",
    "VariableReport",
    "VariableStats",
    "assert_function",
    "assert_gradients",
    "assert_layer",
    "assert_loss",
    "assert_setup",
    "check_function",
    "check_gradients",
    "check_layer",
    "check_loss",
    "check_setup",
    "load_failure",
    "read_alerts",
    "read_reports",
]


def run(code, **env):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"TF_CPP_MIN_LOG_LEVEL": "3", "PATH": "", **env},
        check=False,
    )


@pytest.mark.basic
def test_public_names():
    assert sorted(kgw.__all__) == NAMES == sorted(kgw._HOMES)
    assert all(getattr(kgw, name) is not None for name in NAMES)
    assert set(NAMES) <= set(dir(kgw))


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'GradientChek'"):
        _ = kgw.GradientChek


def test_import_loads_neither_keras_nor_tensorflow():
    done = run(
        "import sys, keras_gradwatch, keras_gradwatch.errors\n"
        "import keras_gradwatch.findings.raised\n"
        "import keras_gradwatch.check.numerics.conclusion\n"
        "import keras_gradwatch.findings.headline, keras_gradwatch.findings.html\n"
        "import keras_gradwatch.findings.figure, keras_gradwatch.nonfinite.saved\n"
        "print({'keras', 'tensorflow', 'tensorboard'} & set(sys.modules))"
    )
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.parametrize("module", ["tensorboard.plugin.server", "__main__"])
def test_neither_the_tab_nor_the_console_loads_keras_or_tensorflow(module):
    done = run(
        f"import sys, keras_gradwatch.tensorboard.plugin.loader\n"
        f"import keras_gradwatch.{module}\n"
        "print({'keras', 'tensorflow'} & set(sys.modules))"
    )
    assert done.stdout.strip() == "set()", done.stderr


@pytest.mark.basic
@pytest.mark.parametrize(
    "name",
    [
        "check_gradients",
        "check_layer",
        "check_loss",
        "check_function",
        "check_setup",
        "GradientCheck",
        "GradientStats",
        "NonFiniteLocator",
    ],
)
def test_another_backend_is_refused_at_first_use(name):
    code = f"import keras_gradwatch as kgw\nprint('imported')\nkgw.{name}"
    done = run(code, KERAS_BACKEND="jax")
    assert done.stdout.strip() == "imported"
    assert "BackendError" in done.stderr
    assert "KERAS_BACKEND=tensorflow" in done.stderr
    assert "Received: the backend 'jax'" in done.stderr


def test_another_backend_of_the_configuration_is_refused(tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    code = "import keras_gradwatch as kgw\nkgw.check_layer"
    done = run(code, KERAS_HOME=str(tmp_path), KERAS_BACKEND="")
    assert "BackendError" in done.stderr
    assert "Received: the backend 'jax'" in done.stderr


def test_errors_are_one_family():
    for name in NAMES:
        if name.endswith("Error"):
            assert issubclass(getattr(kgw, name), kgw.GradwatchError)
    assert issubclass(kgw.InvalidArgumentError, ValueError)
    assert issubclass(kgw.GradientMismatchError, AssertionError)
    assert issubclass(kgw.GradientMismatchWarning, kgw.GradwatchWarning)
