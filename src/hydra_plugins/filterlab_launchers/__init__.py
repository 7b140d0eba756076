"""Hydra finds these launchers by their place below hydra_plugins, a namespace package: it has no __init__.py."""
