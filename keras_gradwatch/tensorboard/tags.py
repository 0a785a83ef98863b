"""Runs, tags and groups of charts, as TensorBoard knows them."""

from __future__ import annotations

import re

# The run, beside those of `keras.callbacks.TensorBoard`, that holds our events. Where
# two callbacks of one kind write at the same time, the second has `gradwatch_2`.
RUN = "gradwatch"
# Charts. TensorBoard sorts groups by the codes of characters, and of a page that was
# never seen it opens the first two only. What begins with a tilde comes after all that
# begins with a letter, so that a user's own charts stay where they were.
GROUP = "~GradCheck"
# A grid of verdicts as a text.
HISTORY_TAG = f"{GROUP}/history"
VARIABLE_GROUP = f"{GROUP}_variables"
TRAINING_GROUP = f"{GROUP}_variables_in_training"
# Readings of the gradients: a group of charts for each figure of a variable.
STATS_GROUPS = {
    "norm": f"{GROUP}_norm",
    "mean_size": f"{GROUP}_mean_size",
    "zeros": f"{GROUP}_zeros",
    "update_ratio": f"{GROUP}_update_ratio",
}
# And of what a layer puts out.
LAYER_GROUPS = {
    "scale": f"{GROUP}_scale",
    "silent_units": f"{GROUP}_silent_units",
    "saturated": f"{GROUP}_saturated",
}
HISTOGRAM_GROUP = f"{GROUP}_histograms"
# What charts there are: a handful, or those of each variable, too.
FEW, ALL = "few", "all"
SCALARS = (FEW, ALL)
# Tags, and the plugin that the whole reports, the digests, the alerts and
# the moments belong to.
REPORT_TAG = "GradCheck/report"
DIGEST_TAG = "GradCheck/digest"
ALERT_TAG = "gradwatch/alert"
MOMENT_TAG = "gradwatch/moment"
PLUGIN = "keras_gradwatch"


def is_run(name: str) -> bool:
    """Whether a directory of this name holds our events."""
    return re.fullmatch(rf"{RUN}(_\d+)?", name) is not None
