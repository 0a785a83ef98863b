"""A layer, a loss or a function, checked as if it were a model."""
