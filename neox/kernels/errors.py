"""What goes wrong with kernels, in one line for a person."""


class KernelError(ValueError):
    """A library cannot be built, or none fits; the message says what to type."""
