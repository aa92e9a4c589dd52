"""Ways to run a network, one module each; only child processes import them."""
