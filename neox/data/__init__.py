"""Token files, their order, samples and batches."""
