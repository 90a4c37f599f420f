"""NeoX writes, explains, submits and survives large-model training jobs, and holds their engine."""

__version__ = "0.1.0"
