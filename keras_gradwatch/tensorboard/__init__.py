"""Reports as TensorBoard events: writing them, getting them back, and a tab."""
