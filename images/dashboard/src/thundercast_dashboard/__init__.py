"""The live dashboard: reads the store, and nothing else."""
