"""One file per launcher: a layout becomes an argument list. Pure functions."""
