"""Where: one profile per machine, loaded from sites/*.toml. Never imports torch."""
