"""The job that Beam's own runner makes of the pipeline, complete, and not submitted.

Beam would give each submission another place for its files and another request id, so that a submission that is repeated makes other
requests. Here both follow from what is submitted: the pipeline lies where its own hash says, and a request that is made again is the same.
This leans on the inside of one release of Beam, the locked one; a test holds the result to what that release submits by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from apache_beam.options.pipeline_options import GoogleCloudOptions, TestOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.dataflow.internal import apiclient
from apache_beam.runners.internal.names import STAGED_PIPELINE_FILENAME
from google.cloud import dataflow_v1beta3 as dataflow

from thundercast.adapters.google.storage_checkpoints import StorageObjects
from thundercast.adapters.places import Bucket, parse
from thundercast.adapters.swapping import ABSENT, Changed
from thundercast_launcher import graph
from thundercast_launcher.settings import LauncherSettings
from thundercast_launcher.specification import Specification

_HEX: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """A job, and the pipeline that its workers fetch.

    Attributes:
        request: `dataflow.CreateJobRequest`.
        place: folder of the pipeline, gs://BUCKET/PREFIX.
        pipeline: its bytes.
    """

    request: Any
    place: str
    pipeline: bytes

    def stage(self) -> None:
        """Puts the pipeline where the job says it is.

        Raises:
            Unavailable: Cloud Storage does not answer, or refuses.
        """
        place = parse(self.place)
        if not isinstance(place, Bucket):
            raise ValueError(f"{self.place} is not in a bucket")
        try:
            StorageObjects(place.name, place.prefix).swap(STAGED_PIPELINE_FILENAME, self.pipeline, ABSENT)
        except Changed:
            return  # it is there: what has this name has these bytes


def translate(
    settings: LauncherSettings,
    specification: Specification,
    *,
    request_id: str,
    replaced: str = "",
    mapping: Mapping[str, str] | None = None,
) -> Translated:
    """The request that creates the job, or updates one.

    Args:
        request_id: Dataflow makes one job of all requests that have it.
        replaced: id of the job that is updated.
        mapping: steps of that job that are called otherwise now.

    Raises:
        Usage: Beam refuses an option.
    """
    job = graph.built(specification.words).run().job
    pipeline = _canonical(job.proto_pipeline)
    if any(environment.dependencies for environment in job.proto_pipeline.components.environments.values()):
        raise ValueError("the pipeline has files to stage, although its image has all that it needs")
    checksum = hashlib.sha256(pipeline).hexdigest()
    options = job.options.view_as(GoogleCloudOptions)
    options.staging_location = f"{settings.place}/staging/{settings.job_name}/{checksum[:_HEX]}"
    options.temp_location = f"{settings.place}/temp/{settings.job_name}/{checksum[:_HEX]}"
    job.options.view_as(TestOptions).dry_run = False
    if replaced:
        options.update = True
        options.transform_name_mapping = dict(mapping) if mapping else None
        job.proto.replace_job_id = replaced
        job.proto.transform_name_mapping = dict(mapping or {})
    job.proto.client_request_id = request_id
    job.proto.environment = apiclient.Environment(
        packages=[],
        options=job.options,
        environment_version=apiclient._FNAPI_ENVIRONMENT_MAJOR_VERSION,
        proto_pipeline_staged_url=f"{options.staging_location}/{STAGED_PIPELINE_FILENAME}",
        proto_pipeline=job.proto_pipeline,
        pipeline_proto_hash=checksum,
    ).proto
    request = dataflow.CreateJobRequest(project_id=settings.project, location=settings.region, job=job.proto)
    return Translated(request=request, place=options.staging_location, pipeline=pipeline)


def _canonical(proto: Any) -> bytes:
    """A pipeline's bytes, the same in every process: maps are sorted, also in the payloads that hold them as bytes."""
    for transform in proto.components.transforms.values():
        if transform.spec.urn == common_urns.primitives.PAR_DO.urn:
            payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
            transform.spec.payload = payload.SerializeToString(deterministic=True)
    return bytes(proto.SerializeToString(deterministic=True))
