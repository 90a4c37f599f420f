"""Builds the fused kernels once for a site, keeps them, and finds the library that fits a GPU.

Imports no torch: building happens on login nodes. `neox.ops` loads what is found here.
"""
