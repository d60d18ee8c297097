"""Adapters to Google Cloud: Pub/Sub, BigQuery, Cloud Storage."""
