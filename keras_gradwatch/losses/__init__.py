"""Does the loss behave? Plain arithmetic on the numbers that training logs."""
