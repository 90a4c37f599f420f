"""One module per fused operation, with its torch reference."""
