"""Thundercast's cleaner as a pull worker."""
