"""Runs, tags and groups of charts, as TensorBoard knows them."""

from __future__ import annotations

# The run, beside those of `keras.callbacks.TensorBoard`, that holds our events.
RUN = "gradwatch"
# Tags, and the plugin that the whole reports and the digests belong to.
SUMMARY_GROUP = "GradCheck"
VARIABLE_GROUP = "GradCheckVars"
TRAINING_GROUP = "GradCheckVarsInTraining"
REPORT_TAG = "GradCheck/report"
DIGEST_TAG = "GradCheck/digest"
PLUGIN = "keras_gradwatch"
# Alerts, in the tab only.
ALERT_TAG = "gradwatch/alert"
# Readings of the gradients: a group of charts for each figure of a variable.
STATS_GROUP = "GradStats"
STATS_GROUPS = {
    "norm": "GradStatsNorm",
    "mean_size": "GradStatsMeanSize",
    "zeros": "GradStatsZeros",
    "update_ratio": "GradStatsUpdateRatio",
}
HISTOGRAM_GROUP = "gradients"
