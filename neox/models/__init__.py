"""The model as one process sees it. Knows no mesh, no environment and no config tree."""
