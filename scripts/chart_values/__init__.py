"""The charts' values as a typed API: `python -m chart_values` (from scripts/) writes what is made of these types.

    charts/*/values.schema.json   what Helm holds values to: strict, without references to elsewhere
    charts/*/values.yaml          every key with its default and what it is
    docs/values.md                the reference

A test holds the files to the types.
"""
