"""A training step beside what the card allows and beside its peers; see `__main__`."""
