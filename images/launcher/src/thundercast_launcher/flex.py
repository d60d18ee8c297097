"""The job submitted by a Flex Template: Dataflow starts the template's image, which translates the pipeline there."""

from __future__ import annotations

from typing import Any

from google.cloud import dataflow_v1beta3 as dataflow

from thundercast.adapters.refusals import Usage
from thundercast_launcher.settings import LauncherSettings
from thundercast_launcher.specification import EXPERIMENT, Specification, more_options, pipeline_options


def request(settings: LauncherSettings, specification: Specification, *, update: bool) -> Any:
    """The `dataflow.LaunchFlexTemplateRequest` that creates the job, or updates the one of its name.

    Raises:
        Usage: an option has no value, which a template cannot be told.
    """
    parameters, experiments = _parameters(settings)
    where = dataflow.WorkerIPAddressConfiguration
    algorithm = dataflow.AutoscalingAlgorithm
    scaled = settings.autoscaling_algorithm != "NONE"
    environment = dataflow.FlexTemplateRuntimeEnvironment(
        max_workers=settings.max_num_workers,
        machine_type=settings.machine_type,
        disk_size_gb=settings.disk_size_gb,
        service_account_email=settings.service_account_email,
        sdk_container_image=settings.sdk_container_image,
        staging_location=f"{settings.place}/staging",
        temp_location=f"{settings.place}/temp",
        subnetwork=settings.subnetwork,
        ip_configuration=where.WORKER_IP_PUBLIC if settings.use_public_ips else where.WORKER_IP_PRIVATE,
        enable_streaming_engine=True,
        autoscaling_algorithm=algorithm.AUTOSCALING_ALGORITHM_BASIC if scaled else algorithm.AUTOSCALING_ALGORITHM_NONE,
        additional_experiments=experiments,
        additional_user_labels=specification.labels,
    )
    return dataflow.LaunchFlexTemplateRequest(
        project_id=settings.project,
        location=settings.region,
        launch_parameter=dataflow.LaunchFlexTemplateParameter(
            job_name=settings.job_name,
            container_spec_gcs_path=settings.template,
            parameters=parameters,
            environment=environment,
            update=update,
            transform_name_mappings=settings.transform_name_mapping if update else {},
        ),
    )


def _parameters(settings: LauncherSettings) -> tuple[dict[str, str], list[str]]:
    """Options for the template, by name, and experiments, which are apart there; labels are in the specification."""
    found, experiments = pipeline_options(settings), [EXPERIMENT]
    for word in more_options(settings):
        name, given, value = word.removeprefix("--").partition("=")
        if not given:
            raise Usage(f"beam_options: {word} has no value, and a Flex Template takes options only as --name=value")
        if name == "experiments":
            experiments.append(value)
        elif name != "labels":
            found[name] = value
    return found, experiments
