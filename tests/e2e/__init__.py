"""Whole jobs: real Slurm, real mpirun, real processes, the real engine."""
