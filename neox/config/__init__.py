"""Which model and run: GPT-NeoX's YAML, typed at every level. Never imports torch."""
