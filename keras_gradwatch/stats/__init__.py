"""Statistics of the gradients that train a model, and when they give the alarm."""
