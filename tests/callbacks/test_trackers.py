"""Findings and figures reach W&B and MLflow, by nothing but their own callbacks.

Run with `-m slow`, where they are installed: they are no part of `.[test]`. Nothing
leaves the machine: W&B works offline, MLflow on a local folder.
"""

import json

import numpy as np
import pytest

import keras_gradwatch as kgw
from tests.support import skips

pytestmark = [
    pytest.mark.slow,
    # Of their own code, and that of the packages that they bring along.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
FIGURES = (
    *("gradients_wrong", "gradient_error", "gradient_norm", "update_ratio"),
    *("gradient_alerts", "nonfinite", "left_out"),
    *("loss_level", "loss_noise", "loss_alerts"),
)


def fit(told, callback):
    """A training of two epochs with one bad batch each, and all that it is told of."""
    model = skips.stack()
    model.compile("adam", "mse", jit_compile=False)
    options = {"on_finding": told, "log_metrics": True, "verbose": 0}
    often = {"warmup_steps": 0, "check_freq": 2, **options}
    ours = [
        kgw.GradientCheck(**often),
        kgw.GradientStats(**often),
        kgw.NonFiniteLocator(on_failure="skip", **options),
        kgw.LossWatch(**options),
    ]
    with pytest.warns(kgw.GradwatchWarning, match="left out|Not finite"):
        history = skips.arrays(model, *skips.data([3], False), [*ours, callback])
    assert set(history.history) == {"loss", *FIGURES}
    assert history.history["left_out"] == [1, 2]
    return history.history


def test_wandb(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    from wandb.integration.keras import WandbMetricsLogger

    for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    run = wandb.init(mode="offline", dir=tmp_path, project="test")
    alerts = []

    def told(finding):
        title = getattr(finding, "headline", str(finding))
        run.alert(title=title[:60], text=str(finding))
        alerts.append(finding)

    history = fit(told, WandbMetricsLogger())
    summary = dict(run.summary)
    run.finish()
    for name in ("loss", *FIGURES):
        expected = history[name][-1]
        np.testing.assert_equal(summary[f"epoch/{name}"], expected, err_msg=name)
    assert sum(isinstance(f, kgw.NonFinite) for f in alerts) == 2
    (log,) = tmp_path.glob("**/run-*.wandb")
    text = log.read_bytes()
    assert b"epoch/gradient_norm" in text
    assert b"its batch left out" in text  # of the alert


def test_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    count = 0

    def told(finding):
        nonlocal count
        count += 1
        mlflow.log_text(finding.to_json(), f"findings/{count:03d}.json")

    with mlflow.start_run() as run:
        history = fit(told, mlflow.keras.MlflowCallback())
    client = mlflow.MlflowClient()
    for name in ("loss", *FIGURES):
        found = [m.value for m in client.get_metric_history(run.info.run_id, name)]
        np.testing.assert_equal(found, np.float64(history[name]), err_msg=name)
    (one, *_) = [
        content
        for path in sorted((tmp_path / "runs").glob("**/findings/*.json"))
        if (content := json.loads(path.read_text())).get("left_out")
    ]
    assert one["kind"] == "data"
    assert count > 2
