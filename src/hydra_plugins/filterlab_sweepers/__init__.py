"""Hydra's plugins of filterlab: Hydra looks for them in hydra_plugins, and imports them at each start."""
