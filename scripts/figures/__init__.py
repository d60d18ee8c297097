"""Figures that were measured: what docs/cost.md and docs/scaling.md reckon with.

`python -m figures` (from scripts/) measures them anew on this machine and prints them as the text of `figures.toml`.
"""
