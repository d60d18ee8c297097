"""Sources, stores, transports, checkpoints, locks and settings: everything that touches the outside."""
