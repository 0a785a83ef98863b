"""Is the set-up right? Model, loss and data together, before training."""
