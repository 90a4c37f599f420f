"""Checkpoints by logical names: written by any geometry, read by any other."""
