"""Every argument of a config, grouped by concern. Field names are the YAML names."""
