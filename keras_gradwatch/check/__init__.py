"""Is the gradient right? One check, from a model and a batch to a report."""
