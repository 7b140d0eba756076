"""From a mirror to arrays: download, IDX files, subset and split. NumPy only, no torch (but in datamodule)."""
