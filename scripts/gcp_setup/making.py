"""The things that are there before the cluster: APIs, accounts, what the parts meet at, the registry, and roles at all of these."""

from __future__ import annotations

from typing import Any, Final

from gcp_setup.chosen import LABEL, ROOT, Choice
from gcp_setup.roles import AGENT, Grant, account_of, where, worker
from gcp_setup.running import Command
from gcp_setup.things import ABSENT, OURS, Found, Read, Thing, bound, described, labelled, may_use
from thundercast.adapters.google.pubsub_making import ATTEMPTS, Subscription, wanted
from thundercast.domain.tables import TABLES

BOOTSTRAP: Final = ".venv/bin/thundercast"
LAUNCH: Final = ".venv/bin/thundercast-launch"


def apis(choice: Choice) -> Thing:
    """The services that the values need."""
    wants = {
        "artifactregistry", "bigquery", "bigquerystorage", "cloudbuild", "cloudresourcemanager", "iam", "iamcredentials", "logging",
        "pubsub", "storage",
    }  # fmt: skip
    wants |= {"run"} if choice.on_cloud_run else {"compute", "container", "monitoring"}
    wants |= {"dataflow", "compute"} if choice.on_dataflow else set()
    shown = choice.values.dashboard
    wants |= {"iap"} if (shown.cloud_run.access == "iap" if choice.on_cloud_run else shown.iap.enabled) else set()
    names = sorted(f"{name}.googleapis.com" for name in wants)

    def read(answer: Any) -> Found:
        missing = sorted(set(names) - {service["config"]["name"] for service in answer or ()})
        return Found("absent", f"not enabled: {', '.join(missing)}") if missing else OURS

    return Thing(
        kind="APIs", name=f"of project {choice.project}",
        look=("gcloud", "services", "list", "--enabled", f"--project={choice.project}", "--format=json(config.name)"), read=read,
        make=(("gcloud", "services", "enable", *names, f"--project={choice.project}"),), slow=True,
        cost="nothing by themselves", stays="other things in the project may use them by now",
    )  # fmt: skip


def accounts(choice: Choice) -> list[Thing]:
    """A service account for each part, the nodes, the builds and Dataflow's workers."""
    wanted_accounts = {account_of(choice, part): f"Thundercast's {part}" for part in choice.running()}
    if not choice.on_cloud_run:
        wanted_accounts[choice.account("nodes")] = "nodes of Thundercast's cluster"
    if choice.own_registry:
        wanted_accounts[choice.account("build")] = "builds of Thundercast's images"
    if choice.on_dataflow:
        wanted_accounts[worker(choice)] = "Dataflow's workers of Thundercast"
    own = f"@{choice.project}.iam.gserviceaccount.com"
    # One of another project must be there: whether it is, this identity may not be able to see.
    return [
        Thing(
            kind="account", name=email,
            look=("gcloud", "iam", "service-accounts", "describe", email, f"--project={choice.project}", "--format=json"),
            read=described(choice.release),
            make=((
                "gcloud", "iam", "service-accounts", "create", email.removesuffix(own), f"--project={choice.project}",
                f"--display-name={about}", f"--description={LABEL}={choice.release}",
            ),),
            unmake=("gcloud", "iam", "service-accounts", "delete", email, f"--project={choice.project}"),
            about=about, cost="nothing",
        )
        for email, about in wanted_accounts.items()
        if email.endswith(own)
    ]  # fmt: skip


def met_at(choice: Choice) -> list[Thing]:
    """Tables by `thundercast bootstrap`, which makes the rest of what the parts meet at as well; then each of these."""
    settings, project, dataset = choice.settings(), choice.project, choice.values.global_.dataset
    tables = sorted(name for table in TABLES for name in (table.name, f"{table.name}_latest"))

    def complete(answer: Any) -> Found:
        missing = sorted(set(tables) - {found["tableReference"]["tableId"] for found in answer or ()})
        return Found("absent", f"missing: {', '.join(missing)}") if missing else OURS

    topics, subscriptions = wanted(settings, groups=choice.values.global_.groups)
    made = [
        Thing(
            kind="tables", name=f"of dataset {dataset}",
            look=("bq", f"--project_id={project}", "--format=json", "ls", "--max_results=1000", f"{project}:{dataset}"), read=complete,
            make=(_bootstrap(choice),), always=True, within=f"dataset {dataset}", slow=True,
            about=f"{len(TABLES)} tables, and of each a view of its newest rows; and the topics, subscriptions, bucket and dataset below",
            cost="what is stored, per GB and month; writing by the Storage Write API and reading by the Storage Read API, per GB",
            stays="they stay with their dataset",
        )
    ]  # fmt: skip
    for topic in topics:
        name = topic.rpartition("/")[2]
        made.append(
            Thing(
                kind="topic", name=name, look=("gcloud", "pubsub", "topics", "describe", name, f"--project={project}", "--format=json"),
                read=labelled(choice.release), unmake=("gcloud", "pubsub", "topics", "delete", name, f"--project={project}"),
                cost="per GB published and delivered; nothing while nothing flows",
            )
        )  # fmt: skip
    for subscription in subscriptions:
        name = subscription.name.rpartition("/")[2]
        made.append(
            Thing(
                kind="subscription", name=name, about=_kept(subscription), read=labelled(choice.release),
                look=("gcloud", "pubsub", "subscriptions", "describe", name, f"--project={project}", "--format=json"),
                unmake=("gcloud", "pubsub", "subscriptions", "delete", name, f"--project={project}"),
                cost="per GB and month of what it retains" if subscription.retain_acked else "per GB and month of what waits over a day",
                holds="messages that were not yet processed",
            )
        )  # fmt: skip
    bucket = choice.bucket
    made += [
        Thing(
            kind="bucket", name=bucket, read=labelled(choice.release), holds="every checkpoint: what was learnt",
            look=("gcloud", "storage", "buckets", "describe", f"gs://{bucket}", f"--project={project}", "--raw", "--format=json"),
            unmake=("gcloud", "storage", "rm", "--recursive", f"gs://{bucket}", f"--project={project}"),
            about=f"in {settings.location}; one kind of access, never public, nothing kept of what is deleted",
            cost="per GB and month, and per write: a checkpoint every few seconds while a run lasts",
        ),
        Thing(
            kind="dataset", name=dataset, read=labelled(choice.release), about=f"in {settings.location}",
            look=("bq", f"--project_id={project}", "--format=json", "show", "--dataset", f"{project}:{dataset}"),
            unmake=("bq", f"--project_id={project}", "rm", "-r", "-f", "--dataset", f"{project}:{dataset}"),
            holds="all scores and predictions", cost="see its tables",
        ),
    ]  # fmt: skip
    return made


def _kept(subscription: Subscription) -> str:
    kept = f"keeps {subscription.retained.days} days" + (", acked messages too" if subscription.retain_acked else "")
    if subscription.dead_letter_topic:
        kept += f"; after {ATTEMPTS} deliveries to {subscription.dead_letter_topic.rpartition('/')[2]}"
    return kept + ("; with a filter of shards" if subscription.filter else "")


def _bootstrap(choice: Choice) -> Command:
    shared = choice.values.global_
    names = {
        f"THUNDERCAST_{key.upper()}": str(value) for key, value in shared.pubsub.model_dump().items()
        if value != type(shared.pubsub).model_fields[key].default
    }  # fmt: skip
    return (
        *(("env", *(f"{name}={value}" for name, value in sorted(names.items()))) if names else ()), str(ROOT / BOOTSTRAP), "bootstrap",
        f"--project={choice.project}", f"--location={shared.location}", f"--dataset={shared.dataset}",
        f"--checkpoints={shared.checkpoints.place}", f"--groups={shared.groups}", f"--label={LABEL}={choice.release}",
    )  # fmt: skip


def registry(choice: Choice) -> list[Thing]:
    """The repository of the images, if they are built here."""
    if choice.own_registry is None:
        return []
    location, name = choice.own_registry
    at = (name, f"--location={location}", f"--project={choice.project}")
    return [
        Thing(
            kind="registry", name=choice.registry, read=labelled(choice.release),
            look=("gcloud", "artifacts", "repositories", "describe", *at, "--format=json"),
            make=((
                "gcloud", "artifacts", "repositories", "create", *at, "--repository-format=docker",
                f"--labels={LABEL}={choice.release}",
            ),),
            unmake=("gcloud", "artifacts", "repositories", "delete", *at), holds="the images", cost="per GB and month of images",
        )
    ]  # fmt: skip


def grant(choice: Choice, given: Grant, number: str) -> Thing:
    """A role as a thing.

    Args:
        number: the project's, for Pub/Sub's own account.
    """
    member = given.named.replace("PROJECT_NUMBER", number) if given.account == AGENT else given.named
    email = member.removeprefix("serviceAccount:")
    project = f"--project={choice.project}"
    within = "" if given.at == "project" else f"{given.at} {given.name}"
    read: Read = bound(given.role, member)
    stays = ""
    match given.at:
        case "dataset":
            base = ("bq", f"--project_id={choice.project}")
            schema = f"`{choice.project}`.`{given.name}`"
            query = (*base, f"--location={choice.values.global_.location}", "query", "--use_legacy_sql=false")
            look: Command = (*base, "--format=json", "show", "--dataset", f"{choice.project}:{given.name}")
            read = may_use(given.role, email)
            make: Command = (*query, f'GRANT `{given.role}` ON SCHEMA {schema} TO "{member}"')
            unmake: Command = (*query, f'REVOKE `{given.role}` ON SCHEMA {schema} FROM "{member}"')
        case _:
            location, repository = choice.own_registry or ("", "")
            places: dict[str, tuple[Command, Command]] = {
                "project": (("projects",), (given.name,)),
                "topic": (("pubsub", "topics"), (given.name, project)),
                "subscription": (("pubsub", "subscriptions"), (given.name, project)),
                "bucket": (("storage", "buckets"), (f"gs://{given.name}", project)),
                "account": (("iam", "service-accounts"), (given.name, project)),
                "registry": (("artifacts", "repositories"), (repository, f"--location={location}", project)),
            }
            group, target = places[given.at]
            binding = (*target, f"--member={member}", f"--role={given.role}")
            # Policies that have a condition anywhere want to be told that this one has none.
            binding += ("--condition=None",) if given.at in ("project", "account") else ()
            look = ("gcloud", *group, "get-iam-policy", *target, "--format=json")
            make = ("gcloud", *group, "add-iam-policy-binding", *binding, "--format=none")
            unmake = ("gcloud", *group, "remove-iam-policy-binding", *binding, "--format=none")
    if given.account == AGENT:
        stays = "it is Pub/Sub's own account, and others may rely on it"
    return Thing(
        kind="role", name=f"{given.role} on {where(given)} for {email}", look=look, read=read, make=(make,),
        unmake=None if stays else unmake,
        within=within, of="" if given.account == AGENT or given.member else f"account {given.account}", cost="nothing", stays=stays,
    )  # fmt: skip


def private_access(choice: Choice) -> list[Thing]:
    """Dataflow's workers without public addresses reach Google's APIs through their subnet only if it allows that."""
    launch = choice.values.dataflow.launch
    if not choice.on_dataflow or not launch.private_workers:
        return []
    name = launch.subnetwork.rpartition("/")[2] or "default"
    at = (name, f"--region={launch.region}", f"--project={choice.project}")
    return [
        Thing(
            kind="private Google access", name=f"of subnet {name}",
            look=("gcloud", "compute", "networks", "subnets", "describe", *at, "--format=json"),
            read=lambda answer: OURS if answer.get("privateIpGoogleAccess") else ABSENT,
            make=(("gcloud", "compute", "networks", "subnets", "update", *at, "--enable-private-ip-google-access"),),
            cost="nothing", stays="others may rely on it by now",
        )
    ]  # fmt: skip
