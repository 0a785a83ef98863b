"""Of inputs and targets: for each kind of observation, its evidence and its remedy.

In `{f[0]}` stands the first figure of an `Observation`, in `{n[0]}` its first name, in
`{names}` all of them. The remedy is empty where there is none.
"""

from __future__ import annotations

_SCALE = (
    "Divide pictures by 255 (`keras.layers.Rescaling`), standardise tables "
    "(`keras.layers.Normalization`, adapted)."
)

IN_DATA: dict[str, tuple[str, str]] = {
    # inputs
    "inputs": ("Inputs of numbers: {f[0]:.0f}; root mean square up to {f[1]:.3g}.", ""),
    "nan_inputs": (
        "NaN or infinite entries of {n[0]}: {f[0]:.0f} ({f[1]:.2%}).",
        "Leave out or fill in what is missing before training.",
    ),
    "same_inputs": (
        "All {f[0]:.0f} examples of {names} are the same.",
        "Look at how the data is loaded and preprocessed.",
    ),
    "constant_features": (
        "Columns of {n[0]} that are the same in all examples: {f[0]:.0f} ({n[1]}).",
        "Leave them out, or look at how they are read: they tell the model nothing.",
    ),
    "fractions_as_ids": (
        "The embedding {n[0]!r} gets numbers that are no integers, from {f[0]:.3g} to "
        "{f[1]:.3g}: they are rounded down.",
        "Give it ids, not scaled numbers.",
    ),
    "ids_out_of_range": (
        "The embedding {n[0]!r} gets ids from {f[0]:.0f} to {f[1]:.0f}, and has rows "
        "for 0 to {f[2]:.0f}, not included.",
        "Make `input_dim` one more than the largest id.",
    ),
    "no_row": (
        "An id has no row: {n[0]}",
        "Make `input_dim` of the embedding one more than the largest id.",
    ),
    "unscaled_pictures": (
        "The first layer {n[0]!r} gets pictures of 0 to {f[1]:.0f}, root mean square "
        "{f[0]:.3g}, and nothing in the model normalises.",
        _SCALE,
    ),
    "large_inputs": (
        "The first layer {n[0]!r} gets numbers of root mean square {f[0]:.3g}, from "
        "{f[1]:.3g} to {f[2]:.3g}, nothing in the model normalises, and the first loss "
        "is far off.",
        _SCALE,
    ),
    "uneven_features": (
        "The first layer {n[0]!r} gets columns whose standard deviations go from "
        "{f[0]:.3g} to {f[1]:.3g}, and nothing in the model normalises.",
        _SCALE,
    ),
    # targets
    "targets": ("Targets go from {f[0]:.4g} to {f[1]:.4g}.", ""),
    "no_targets": ("There are no targets.", ""),
    "odd_targets": ("The targets are no numbers.", ""),
    "missing_targets": (
        "There are no targets, and a loss was compiled.",
        "Give `y`, or batches of `(x, y)`.",
    ),
    "nan_targets": (
        "NaN or infinite entries of {n[0]}: {f[0]:.0f} ({f[1]:.2%}).",
        "Leave these examples out, or give them the sample weight 0 and a number.",
    ),
    "same_targets": (
        "All {f[0]:.0f} examples of {n[0]} have the same target, {f[1]:.4g}: there is "
        "nothing to tell apart.",
        "Look at how targets are loaded; shuffle data that is sorted by class.",
    ),
    "nan_weights": ("{n[0]} has entries that are not finite.", "Mend them."),
    "no_weights": (
        "All of {n[0]} is zero: no example counts.",
        "Look at how weights are computed.",
    ),
    "negative_weights": (
        "{n[0]} goes down to {f[0]:.3g}: the loss of these examples is raised.",
        "Weights should be 0 or more.",
    ),
    "fractions_as_labels": (
        "A sparse cross-entropy gets labels from {f[0]:.3g} to {f[1]:.3g} that are no "
        "integers.",
        "Give it the number of the class; probabilities of classes go with "
        "`CategoricalCrossentropy`.",
    ),
    "labels_out_of_range": (
        "Labels go from {f[0]:.0f} to {f[1]:.0f}, and the model has {f[2]:.0f} "
        "classes: 0 to {f[2]:.0f}, not included.",
        "Count labels from 0, and give the last layer as many units as there are "
        "classes.",
    ),
    "labels_do_not_sum_up": (
        "Targets of a categorical cross-entropy should sum up to 1 for each example; "
        "some sum up to {f[0]:.3g} ({f[1]:.0%} are off).",
        "Several labels at once need sigmoids and `BinaryCrossentropy`.",
    ),
    "labels_not_binary": (
        "Targets of a binary cross-entropy go from {f[0]:.3g} to {f[1]:.3g}, not from "
        "0 to 1.",
        "Map the labels to 0 and 1.",
    ),
    "negative_counts": (
        "Targets of {n[0]} should be counts, and go from {f[0]:.3g} to {f[1]:.3g}.",
        "Look at how they are scaled: counts are 0 or more.",
    ),
    "broadcast": (
        "Targets of shape {n[0]} are compared with outputs of shape {n[1]}: one of "
        "them is repeated to fit the other.",
        "Give targets the shape of the outputs.",
    ),
    "out_of_reach": (
        "Targets go from {f[0]:.4g} to {f[1]:.4g}, outputs only from {f[2]:.4g} to "
        "{f[3]:.4g}, whatever the weights; {f[4]:.0%} of the targets lie outside.",
        "Use a last layer without that activation, or scale the targets to its range.",
    ),
    "far_targets": (
        "Targets have mean {f[0]:.4g} and standard deviation {f[1]:.3g}, outputs mean "
        "{f[2]:.3g}.",
        "Standardise the targets, or set the last bias to their mean.",
    ),
    "large_targets": (
        "Targets have root mean square {f[0]:.3g}, outputs {f[1]:.3g}.",
        "Standardise the targets.",
    ),
    "unpaired": (
        "The loss stays {f[0]:.6g} when the targets change places: with targets and "
        "outputs of shapes {names}, each target is compared with the output of each "
        "example.",
        "Give both the same shape, such as by `ops.squeeze(y_pred, -1)` in the loss.",
    ),
    "unpaired_alike": (
        "The loss stays {f[0]:.6g} when the targets change places.",
        "Look at whether the loss compares each output with its own target.",
    ),
}
