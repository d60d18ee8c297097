"""Pulls clean batches, predicts, scores and learns them, and serves predictions."""
