"""Of model and loss: for each kind of observation, its evidence and its remedy.

In `{f[0]}` stands the first figure of an `Observation`, in `{n[0]}` its first name, in
`{names}` all of them. The remedy is empty where there is none.
"""

from __future__ import annotations

_LOGITS = (
    "Either end in logits and set `from_logits=True` in the loss, or in probabilities "
    "and leave it out."
)
_HOLD = (
    "Make it in `__init__` or `build` and hold it as an attribute of the layer or in a "
    "list or dict that is one; use `self.add_weight` for a weight of your own."
)

IN_MODEL: dict[str, tuple[str, str]] = {
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
