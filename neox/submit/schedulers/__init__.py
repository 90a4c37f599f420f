"""One file per scheduler: directives, submit command, parsing. Pure functions."""
