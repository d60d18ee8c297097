"""Grafana's dashboards as code: *Stream*, *Model skill* and *Kubernetes view*, of Grafana's own typed builders.

    cd scripts && python -m grafana

writes them into the chart (`make dashboards`). What the parts say of themselves is enough for every
panel: no exporter of a cluster is needed.
"""
