"""Thundercast: live, online prediction of thunder at weather stations.

``domain`` is pure (no I/O, no clock); ``stage`` is the loop with exactly-once effect;
``adapters`` are the sources, stores, transports and settings around them.
"""

__version__ = "0.1.0"
