"""The cleaner as a Beam pipeline: raw batches in, clean batches out, for Dataflow."""
