"""What is differentiated, and what its derivative is called."""

from __future__ import annotations

# The loss of a model, the output of a layer or function, and the gradient of either,
# whose gradient is the second derivative.
LOSS = "loss"
OUTPUT = "output"
GRADIENT = "gradient"
SUBJECTS = (LOSS, OUTPUT, GRADIENT)

# Names of the two losses of a check of second order, as `VariableReport.target`.
FIRST, SECOND = "gradient", "second derivative"


def derivative_of(subject: str) -> str:
    """What the derivative of a subject is called.

    Args:
        subject: One of `SUBJECTS`.
    """
    return SECOND if subject == GRADIENT else FIRST
