"""Reports as TensorBoard events: writing them, and getting them back."""

# The run, beside those of `keras.callbacks.TensorBoard`, that holds our events.
RUN = "gradwatch"
# Tags, and the plugin that the whole reports belong to.
SUMMARY_GROUP = "GradCheck"
VARIABLE_GROUP = "GradCheckVars"
REPORT_TAG = "GradCheck/report"
PLUGIN = "keras_gradwatch"
