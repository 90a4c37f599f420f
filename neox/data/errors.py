"""What goes wrong with data, as the user sees it; the command's exit code is 3."""


class DataError(ValueError):
    """Data that is missing, damaged or not what the run needs; the message says what to do."""
