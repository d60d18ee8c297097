"""Publishes the stream of raw batches."""
