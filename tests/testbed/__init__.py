"""Whole clusters on one machine: a multi-node Slurm, and nodes that answer ssh."""
