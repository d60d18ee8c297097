"""Thundercast in one process, and its command line."""
