"""Adapters to Kubernetes."""
