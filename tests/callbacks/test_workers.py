"""Training on several machines: here two processes that talk over loopback.

`fit` of Keras 3 has two faults of its own under `MultiWorkerMirroredStrategy`
(keras-team/keras#20585): it can't build a model that was made in the scope, and
it averages scalar logs over an axis that they do not have. The programs below
go around both, with public names only.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import keras_gradwatch as kgw

pytestmark = pytest.mark.long

PROGRAM = """
import json, sys
import tensorflow as tf
strategy = tf.distribute.MultiWorkerMirroredStrategy()
import keras, numpy as np
from keras import layers
import keras_gradwatch as kgw

log_dir, on_failure, wrong = sys.argv[1:]
rng = np.random.default_rng(0)
x, y = rng.normal(size=(32, 4)).astype("float32"), rng.integers(0, 3, 32)
x[4::8, 0] = 9.0  # examples 4 to 7 of each batch of 8 go to the second worker


class OnSomeExamples(layers.Layer):
    "The gradient is halved where an example is marked."

    def call(self, x):
        @tf.custom_gradient
        def marked(x):
            return tf.identity(x), lambda dy: tf.where(x[:, :1] > 5, 0.5 * dy, dy)

        return x + 0 * marked(x) if wrong == "no" else marked(x)


class Model(keras.Sequential):
    def train_step(self, data):
        logs = super().train_step(data)
        return {name: tf.reshape(value, [1]) for name, value in logs.items()}


class First(layers.Layer):
    "Passes the mark on."

    def build(self, shape):
        self.kernel = self.add_weight(shape=(4, 4), name="kernel")

    def call(self, x):
        return x + 0.5 * keras.ops.tanh(x @ self.kernel)


def after_fit(callbacks):
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    stack = [First(), OnSomeExamples(), layers.BatchNormalization(), layers.Dense(3)]
    model = Model(stack)
    with strategy.scope():
        model.build((None, 4))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
        try:
            model.fit(
                x, y, batch_size=8, epochs=2, shuffle=False, verbose=0,
                callbacks=callbacks,
            )
        except kgw.GradientMismatchError:
            print("raised", flush=True)
    variables = [*model.variables, *model.optimizer.variables]
    return [
        strategy.experimental_local_results(v.value)[0].numpy() for v in variables
    ], int(model.optimizer.iterations.numpy())


check = kgw.GradientCheck(
    log_dir, warmup_steps=0, check_freq=2, on_failure=on_failure, verbose=1
)
weights, steps = after_fit([check])
if wrong == "no":
    np.testing.assert_equal((weights, steps), after_fit([]))
print(json.dumps({"steps": steps, "reports": [
    (r.step, r.verdict, len(r.variables)) for r in check.reports
]}))
"""


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def run_two(*arguments):
    """Runs the program on two workers; what they printed, line by line."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    processes = []
    for index in range(2):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={
                    **os.environ,
                    "TF_CONFIG": json.dumps(task),
                    "PYTHONPATH": str(Path(__file__).parents[2]),
                },
            )
        )
    # Far more than they need: a deadlock must end as a failure.
    deadline = time.monotonic() + 240
    try:
        done = [
            process.communicate(timeout=max(1, deadline - time.monotonic()))
            for process in processes
        ]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for process, (_, errors) in zip(processes, done, strict=True):
        assert process.returncode == 0, errors[-3000:]
    return [output.strip().splitlines() for output, _ in done], [e for _, e in done]


def test_healthy_training_is_checked_untouched_and_only_the_chief_writes(tmp_path):
    (chief, other), errors = run_two(str(tmp_path), "warn", "no")
    found = {"steps": 8, "reports": [[step, "PASS", 5] for step in (0, 2, 4, 6)]}
    assert json.loads(chief[-1]) == json.loads(other[-1]) == found
    assert sum(": PASS. 5 PASS" in line for line in chief) == 4
    assert len(other) == 1
    assert len(list((tmp_path / "gradwatch").iterdir())) == 1
    assert [r.step for r in kgw.read_reports(tmp_path)] == [0, 2, 4, 6]
    assert not any("Warning" in text for text in errors)


@pytest.mark.parametrize("on_failure", ["stop", "raise"])
def test_a_fault_that_one_worker_sees_ends_training_on_both(tmp_path, on_failure):
    (chief, other), errors = run_two(str(tmp_path), on_failure, "yes")
    assert json.loads(chief[-1]) == json.loads(other[-1])
    assert json.loads(chief[-1]) == {
        "steps": int(on_failure == "stop"),
        "reports": [[0, "FAIL", 5]],
    }
    assert ("raised" in chief) == ("raised" in other) == (on_failure == "raise")
    assert [r.verdict for r in kgw.read_reports(tmp_path)] == ["FAIL"]
    if on_failure == "stop":
        assert all("GradientMismatchWarning" in text for text in errors)
