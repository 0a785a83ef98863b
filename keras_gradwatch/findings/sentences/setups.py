"""What was seen of a set-up, as a sentence of evidence and one of what to do.

Of each kind of `Observation`: the evidence, in which `{f[0]}` is its first figure and
`{n[0]}` its first name, `{names}` all of them; and the remedy, if there is one.
"""

from __future__ import annotations

from keras_gradwatch.findings.observation import RIGHT, Answer, Observation
from keras_gradwatch.findings.text import listed

QUESTIONS = {
    "inputs": "Are the inputs of a sane scale, type and variety?",
    "targets": "Are the targets sane, and each compared with its own output?",
    "outputs": "Do outputs and loss agree?",
    "first_loss": "Does the loss begin where that of a guess is?",
    "examples": "Do outputs depend on their own example only?",
    "average": "Is the loss an average?",
    "weights": "Does each weight get a gradient, and does Keras know it?",
    "overfit": "Can a few examples be learned by heart?",
}

_SCALE = (
    "Divide pictures by 255 (`keras.layers.Rescaling`), standardise tables "
    "(`keras.layers.Normalization`, adapted)."
)
_LOGITS = (
    "Either end in logits and set `from_logits=True` in the loss, or in probabilities "
    "and leave it out."
)
_HOLD = (
    "Make it in `__init__` or `build` and hold it as an attribute of the layer or in a "
    "list or dict that is one; use `self.add_weight` for a weight of your own."
)
_SAID: dict[str, tuple[str, str]] = {
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
    # outputs
    "outputs_agree": ("{n[0]} takes {n[1]}, and the model gives such.", ""),
    "any_outputs": ("{names} takes any outputs.", ""),
    "no_compiled_loss": ("No loss was compiled: layers add it.", ""),
    "own_step": ("The training step can't be followed: {n[0]}", ""),
    "own_loss": (
        "The model has a {n[0]} of its own: which outputs go into which loss is not "
        "known.",
        "",
    ),
    "model_raises": (
        "The model raises on this data: {n[0]}",
        "Look at the shapes and types of the inputs.",
    ),
    "loss_raises": (
        "The loss raises on these outputs and targets: {n[0]}",
        "Classes as numbers go with `SparseCategoricalCrossentropy`, one-hot ones with "
        "`CategoricalCrossentropy`; else targets have the shape of the outputs.",
    ),
    "one_class": (
        "{n[0]} gets outputs of a single class, so that its loss is constant.",
        "Give the last layer a unit for each class, or use `BinaryCrossentropy`.",
    ),
    "softmax_of_one": (
        "A softmax over a single unit is always 1 ({n[0]}).",
        "Use a sigmoid, or logits with `from_logits=True`.",
    ),
    "squashed_twice": (
        "{n[0]} takes its inputs for logits (`from_logits=True`), and the model has "
        "applied a {n[1]} already: outputs go from {f[0]:.3g} to {f[1]:.3g}, whatever "
        "the weights.",
        _LOGITS,
    ),
    "logits_as_probabilities": (
        "{n[0]} takes its inputs for probabilities, and outputs go from {f[0]:.3g} to "
        "{f[1]:.3g}.",
        _LOGITS,
    ),
    "no_probabilities": (
        "{n[0]} takes probabilities, and outputs go from {f[0]:.3g} to {f[1]:.3g}.",
        "End in a softmax.",
    ),
    "negative_rates": (
        "{n[0]} takes the logarithm of outputs, and they go from {f[0]:.3g} to "
        "{f[1]:.3g}.",
        "End in a softplus or an exponential, which are positive.",
    ),
    "softmax_of_many_labels": (
        "Examples have several labels or none, and the softmax before {n[0]} lets one "
        "class in only at the expense of others.",
        "Use sigmoids.",
    ),
    "sigmoids_of_classes": (
        "{n[0]} gets numbers between 0 and 1 that sum up to {f[0]:.3g} to {f[1]:.3g}.",
        "Use a softmax over the classes.",
    ),
    # first_loss
    "first_loss": ("It begins at {f[0]:.4g}; that of the mean is {f[1]:.4g}.", ""),
    "first_loss_of_classes": (
        "It begins at {f[0]:.4g}; that of the class frequencies is {f[1]:.4g}, of an "
        "even guess {f[2]:.4g}.",
        "",
    ),
    "no_first_loss": ("It is not known: {n[0]}.", ""),
    "no_guess": ("It begins at {f[0]:.4g}; there is no guess for this loss.", ""),
    "zero_loss": ("It is exactly 0 at the start.", "Look at masks and weights."),
    "starts_far_off": (
        "It begins at {f[0]:.4g}, that of a guess is {f[1]:.4g}, that of who knows "
        "nothing {f[2]:.4g}.",
        "Look at the scale of inputs and targets, and at the initialiser of the last "
        "layer.",
    ),
    "loss_not_finite": (
        "The loss is {f[0]} at the start.",
        "`NonFiniteLocator` finds where that comes from.",
    ),
    # examples
    "own_example": (
        "One of {f[0]:.0f} examples was replaced: the outputs of the others stayed, in "
        "training too.",
        "",
    ),
    "batch_statistics": (
        "In inference yes; in training up to the statistics of a batch, of {names}.",
        "",
    ),
    "mixed_in_training": (
        "In inference yes; in training the code of a layer mixes the examples of a "
        "batch, by {f[0]:.2g} of the largest output.",
        "",
    ),
    "mixed": (
        "One example was replaced, and outputs of others changed by {f[0]:.2g} of the "
        "largest{first}.",
        "Axis 0 is the batch: look at `axis=`, `reshape` and `transpose` there.",
    ),
    "nothing_arrives": (
        "No output changes when its example does, at other weights neither.",
        "Look at where the inputs get lost: dead units, a wrong axis, a constant.",
    ),
    "no_examples": ("There is a single example, or they can't be told apart.", ""),
    "no_outputs": ("The model can't be called by itself: {n[0]}", ""),
    "one_piece": ("The batch can't be divided into examples. {n[0]}", ""),
    "pairs_of_examples": (
        "Outputs have a number for each example of the batch: they compare examples.",
        "",
    ),
    "alike": ("All examples are the same.", ""),
    "only_in_training": ("Outputs depend on inputs in training only.", ""),
    # average
    "average": (
        "A batch has the loss {f[0]:.6g}, the same batch twice {f[1]:.6g}{halves}.",
        "",
    ),
    "sum": (
        "Of the same batch twice the {n[0]} is {f[1]:.4g}, of the batch {f[0]:.4g}: "
        "it is a sum, and gradients grow with the batch.",
        "Divide by the number of examples, or choose the learning rate for this batch "
        "size.",
    ),
    "wrong_count": (
        "Of the same batch twice the {n[0]} is {f[1]:.4g}, of the batch {f[0]:.4g}, "
        "{f[2]:.3g} times as much: it is divided by the wrong count.",
        "Divide by the number of examples, or of entries that are not masked.",
    ),
    "coupled": (
        "The loss compares the examples of a batch: it is {f[0]:.4g}, of the same "
        "batch twice {f[1]:.4g}.",
        "",
    ),
    "scatters": (
        "The loss scatters too much with what is drawn: {f[0]:.4g} +- {f[1]:.2g}.",
        "",
    ),
    "not_twice": ("The batch can't be run twice: {n[0]}", ""),
    "no_loss": ("There is no loss to look at: {n[0]}", ""),
    "several_losses": (
        "The training step differentiates {f[0]:.0f} losses, of which one may rise as "
        "the other falls.",
        "",
    ),
    # weights
    "gradients": (
        "{f[0]:.0f} of {f[1]:.0f} trainable weights get a gradient; {f[2]:.0f} are not "
        "trained.",
        "",
    ),
    "all_frozen": (
        "None of {f[0]:.0f} weights is trainable.",
        "Set `trainable=True` for what is to learn, then compile.",
    ),
    "unknown_layers": (
        "Layers that the model uses are not known to Keras: {names}. Their weights are "
        "neither trained nor saved.",
        _HOLD,
    ),
    "unknown_variables": (
        "The model uses {f[0]:.0f} variables that Keras does not know: {names}. They "
        "are neither trained nor saved.",
        _HOLD,
    ),
    "new_to_optimizer": (
        "The optimizer was built without {f[0]:.0f} weights: {names}.",
        "Compile the model again after layers were added or set trainable.",
    ),
    "no_gradient": (
        "{f[0]:.0f} of {f[1]:.0f} trainable weights get no gradient: {names}.",
        "They are not used, or something without a gradient stands behind them; "
        "`check_gradients` says which.",
    ),
    "no_gradients": ("Gradients can't be computed: {n[0]}", ""),
    "gradient_not_finite": (
        "The gradients of {f[0]:.0f} weights are not finite: {names}.",
        "`NonFiniteLocator` finds where that comes from.",
    ),
    "idle_layers": (
        "Layers whose gradients are exactly zero, at other weights too: {f[0]:.0f} "
        "({names}).",
        "Dead or saturated units do this: look at initialisers, biases and the scale "
        "of the inputs.",
    ),
    # overfit
    "learned": (
        "The loss of {f[0]:.0f} examples fell from {f[2]:.4g} to {f[3]:.4g} in "
        "{f[1]:.0f} steps.",
        "",
    ),
    "learned_nothing": (
        "After {f[1]:.0f} steps on {f[0]:.0f} examples the loss stands still at "
        "{f[2]:.4g}; that of who does not know the inputs is {f[3]:.4g}.",
        "Look at what the other questions say; `check_gradients` tells whether the "
        "gradient is right.",
    ),
    "does_not_fall": (
        "In {f[1]:.0f} steps on {f[0]:.0f} examples the loss went from {f[2]:.4g} to "
        "{f[3]:.4g}.",
        "`check_gradients` tells whether the gradient is right.",
    ),
    "no_gradient_at_all": (
        "No weight gets a gradient.",
        "Something without a gradient stands between weights and loss: rounding, "
        "`argmax`, `stop_gradient`, NumPy.",
    ),
    "still_falling": (
        "The loss of {f[0]:.0f} examples fell from {f[2]:.4g} to {f[3]:.4g} in "
        "{f[1]:.0f} steps, and had not stopped when they were over.",
        "",
    ),
    "learned_little": (
        "The loss of {f[0]:.0f} examples went from {f[2]:.4g} to {f[3]:.4g} in "
        "{f[1]:.0f} steps.",
        "",
    ),
    "failed": ("The question itself failed: {n[0]}", ""),
}
_HALVES = {
    "mean": ", and its halves have that loss on average",
    "between": ", and its halves weigh unequally, as with masks and batch statistics",
    "together": "; its halves have others, as where examples are compared",
}
_NAMES = 4


def evidence(found: Answer) -> str:
    """What was seen, a sentence each. What is right is said where nothing else is.

    Args:
        found: The answer.
    """
    return " ".join(dict.fromkeys(map(_said, _worth_saying(found))))


def remedy(found: Answer) -> str:
    """What to do, empty if nothing.

    Args:
        found: The answer.
    """
    told = [_SAID[o.kind][1] for o in _worth_saying(found)]
    return " ".join(dict.fromkeys(filter(None, told)))


def _worth_saying(found):
    if found.state == RIGHT:
        return found.observations
    return [o for o in found.observations if o.state != RIGHT]


def _said(found: Observation) -> str:
    kind = found.names[1] if len(found.names) == 2 else ""
    return _SAID[found.kind][0].format(
        f=found.figures,
        n=found.names,
        names=listed(found.names, _NAMES),
        halves=_HALVES.get("".join(found.names[:1]), ""),
        first=f", first in layer {found.names[0]!r} ({kind})" if kind else "",
    )
