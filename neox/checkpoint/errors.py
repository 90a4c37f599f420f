"""What goes wrong with checkpoints, for the user."""


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged or cannot be written; says which file and what to do."""
