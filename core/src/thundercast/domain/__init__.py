"""What Thundercast knows of weather and of learning: pure functions and small state machines.

Nothing here reads a file, a socket or a clock, and nothing here imports from ``stage`` or ``adapters``.
"""
