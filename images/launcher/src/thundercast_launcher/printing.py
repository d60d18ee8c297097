"""Requests and jobs as JSON for people, as they go over the wire but for enums, which are written by their names."""

from __future__ import annotations

from typing import Any

from google.cloud import dataflow_v1beta3 as dataflow
from google.protobuf import json_format


def request(made: Any) -> dict[str, Any]:
    """Method, path, query and body of a request."""
    where = f"/v1b3/projects/{made.project_id}/locations/{made.location}"
    match made:
        case dataflow.CreateJobRequest():
            return {"method": "POST", "path": f"{where}/jobs", "body": _json(made.job)}
        case dataflow.LaunchFlexTemplateRequest():
            return {"method": "POST", "path": f"{where}/flexTemplates:launch", "body": {"launchParameter": _json(made.launch_parameter)}}
        case dataflow.UpdateJobRequest():
            # Only a request for workers has a mask.
            query = {"updateMask": "runtimeUpdatableParams.maxNumWorkers"} if made.update_mask.paths else {}
            return {"method": "PUT", "path": f"{where}/jobs/{made.job_id}", "query": query, "body": _json(made.job)}
        case _:
            raise TypeError(f"{type(made).__name__} is no request for a change")


def _json(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = json_format.MessageToDict(type(message).pb(message))
    return found
