"""Many perturbed losses of a replica in one graph."""
