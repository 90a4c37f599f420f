"""The training loop and the engines it drives."""
