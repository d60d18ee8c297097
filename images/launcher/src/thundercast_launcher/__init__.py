"""Submits, updates, drains and cancels the Dataflow job of the Beam pipeline."""
