"""The command line: `scripts/gcp plan`, `up`, `verify`, `down`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from gcp_setup import listing
from gcp_setup.chosen import CHART, ROOT, BadChoice, Choice, choose
from gcp_setup.doing import Going, number_of, told
from gcp_setup.roles import table
from gcp_setup.running import Programs, Runner, shown
from gcp_setup.things import Failed, short

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
programs: Runner = Programs()

Project = Annotated[str, typer.Option(envvar="GOOGLE_CLOUD_PROJECT", help="Id of the Google Cloud project; it must exist, with billing.")]
Region = Annotated[str, typer.Option(help="Where the cluster, the images and Dataflow are.")]
Release = Annotated[str, typer.Option(help="Name of the Helm release, and label of everything that is made.")]
Namespace = Annotated[str, typer.Option(help="Namespace of the cluster that it runs in.")]
Cluster = Annotated[str, typer.Option(help="Name of the cluster, also of one that is there. [default: the release's name]")]
Values = Annotated[
    list[Path] | None,
    typer.Option(
        help="A values file, laid over values-gke.yaml (over values-cloudrun.yaml if it says that platform); can be given more than once."
    ),
]
Host = Annotated[str, typer.Option(help="Name that people type to see the dashboard; without it only this machine sees it.")]
Tag = Annotated[str, typer.Option(help="Tag of the images. [default: the commit; without a repository the chart's version]")]


@contextmanager
def ending() -> Iterator[None]:
    """Errors in words: 1 for what failed, 2 for what was asked wrongly."""
    try:
        yield
    except BadChoice as error:
        print(f"scripts/gcp: {error}", file=sys.stderr)
        raise typer.Exit(2) from error
    except Failed as error:
        print(f"scripts/gcp: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        print("scripts/gcp: broken off. What is done stays done; run it again to go on", file=sys.stderr)
        raise typer.Exit(1) from error


def _choice(*, tag: str, **given: Any) -> Choice:
    described = programs(("git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"))
    revision = described.out.strip() if described.code == 0 else ""
    if not tag:
        if revision.endswith("-dirty"):
            raise BadChoice(
                "files differ from the commit, and no tag would say what is in the images: commit them, or name a tag with --tag"
            )
        tag = revision[:12] or str(yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"])
    return choose(**given, tag=tag, revision=revision)


def _going(choice: Choice, *, needs: tuple[str, ...]) -> Going:
    """After the programs and the project were looked at."""
    if missing := [name for name in needs if programs.lacks(name)]:
        raise Failed(f"{', '.join(missing)} not found on this machine. Way out: docs/deploy-gke.md says how to install them")
    said = programs(("gcloud", "projects", "describe", choice.project, "--format=value(projectNumber)"))
    return Going(run=programs, things=listing.things(choice, number_of(said, choice.project)))


def _needed(choice: Choice) -> tuple[str, ...]:
    """Programs that must be there."""
    return ("gcloud", "bq", *(() if choice.on_cloud_run else ("kubectl", "helm", "gke-gcloud-auth-plugin")))


@app.command(epilog="Example: `scripts/gcp plan --project my-project --region europe-west1`")
def plan(
    project: Project, region: Region = "us-central1", release: Release = "thundercast", namespace: Namespace = "thundercast",
    cluster: Cluster = "", values: Values = None, host: Host = "", tag: Tag = "",
    offline: Annotated[bool, typer.Option("--offline", help="Ask nobody: as if the project were empty.")] = False,
) -> None:  # fmt: skip
    """Print everything that `up` would do: commands, costs, and who gets which role. Changes nothing."""
    with ending():
        choice = _choice(
            project=project, region=region, release=release, namespace=namespace, cluster=cluster, files=values or (), host=host, tag=tag
        )
        _refuse_missing_images(choice)
        going = Going(run=programs, things=listing.things(choice)) if offline else _going(choice, needs=_needed(choice))
        print(f"Thundercast as {choice.release} in project {choice.project}, {choice.region}, images {choice.tag}\n")
        for thing, found, commands in going.would(offline=offline):
            print(f"{thing.key}" + (f" ({thing.about})" if thing.about else "") + ("" if offline else f": {told(found)}"))
            for command in commands:
                print(f"    $ {shown(command)}")
            if thing.cost and thing.kind != "role":
                print(f"    costs: {thing.cost}")
        print("\nWho may do what\n")
        print("\n".join(f"  {row}" for row in table(listing.grants(choice))))
        print(f"\nAnd the values that Helm is given beside {', '.join(_short(file) for file in choice.files)}:\n")
        print("\n".join(f"  {key}={text}" for key, text in choice.sets.items()))


@app.command(epilog="Example: `scripts/gcp up --project my-project --host thunder.example.org`")
def up(
    project: Project, region: Region = "us-central1", release: Release = "thundercast", namespace: Namespace = "thundercast",
    cluster: Cluster = "", values: Values = None, host: Host = "", tag: Tag = "",
) -> None:  # fmt: skip
    """Make what is missing, from the APIs to the dashboard. Run it again after a failure, or after a change: it goes on."""
    with ending():
        choice = _choice(
            project=project, region=region, release=release, namespace=namespace, cluster=cluster, files=values or (), host=host, tag=tag
        )
        _refuse_missing_images(choice)
        if choice.on_cloud_run and host:
            raise BadChoice("--host is of a cluster's Ingress: leave it out; Cloud Run gives the dashboard an address of its own")
        _going(choice, needs=_needed(choice)).up()
        print()
        print("\n".join(address(choice)))


@app.command(epilog="Example: `scripts/gcp verify --project my-project --test`")
def verify(
    project: Project, region: Region = "us-central1", release: Release = "thundercast", namespace: Namespace = "thundercast",
    cluster: Cluster = "", values: Values = None, host: Host = "", tag: Tag = "",
    test: Annotated[bool, typer.Option("--test", help="Run `helm test` too: it waits for a new score of the current run.")] = False,
) -> None:  # fmt: skip
    """Look at each thing, and say what mends what is not right. Give it the flags that `up` was given."""
    with ending():
        choice = _choice(
            project=project, region=region, release=release, namespace=namespace, cluster=cluster, files=values or (), host=host, tag=tag
        )
        going = _going(choice, needs=_needed(choice))
        if not choice.on_cloud_run:
            going.reach_cluster()
        wrong = going.verify()
        if not choice.on_cloud_run and "release" not in {key.partition(" ")[0] for key in wrong}:
            wrong += pods_not_ready(choice)
            if test:
                done = programs(
                    ("helm", "test", choice.release, f"--namespace={choice.namespace}", f"--kube-context={choice.context}"), aloud=True
                )
                wrong += ["helm test"] if done.code else []
        if wrong:
            raise Failed(f"{len(wrong)} not right: {', '.join(wrong)}")
        print("\n" + "\n".join(address(choice)))


@app.command(epilog="Example: `scripts/gcp down --project my-project --keep-data`")
def down(
    project: Project, region: Region = "us-central1", release: Release = "thundercast", namespace: Namespace = "thundercast",
    cluster: Cluster = "", values: Values = None, host: Host = "", tag: Tag = "",
    keep_data: Annotated[bool, typer.Option("--keep-data", help="Leave the bucket and the dataset.")] = False,
    whole_project: Annotated[bool, typer.Option("--whole-project", help="Delete the project and all in it, whoever made it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:  # fmt: skip
    """Remove what `up` made, after asking; what it did not make stays, and is named. Give it the flags that `up` was given."""
    with ending():
        if whole_project and keep_data:
            raise BadChoice("--whole-project deletes the data too: leave out --keep-data, or --whole-project")
        # Which images run is no matter here: they go with their registry.
        choice = _choice(
            project=project,
            region=region,
            release=release,
            namespace=namespace,
            cluster=cluster,
            files=values or (),
            host=host,
            tag=tag or "any",
        )
        if whole_project:
            _delete_project(choice, yes=yes)
            return
        going = _going(choice, needs=_needed(choice))
        if not choice.on_cloud_run:
            going.reach_cluster()
        remove, stay = going.going(keep_data=keep_data)
        if remove:
            print("These are removed, in this order:")
            print("\n".join(f"  {thing.key}" + (f", and with it {thing.holds}" if thing.holds else "") for thing in remove))
        else:
            print(f"Nothing is there that was made for the release {choice.release}.")
        if stay:
            print("These stay:")
            print("\n".join(f"  {each}" for each in stay))
        if remove:
            _ask(f"Remove {len(remove)} things for good?", yes=yes)
            going.down(remove)
            print("Logs and the histories of builds and jobs stay as long as Google keeps them.")


def _delete_project(choice: Choice, *, yes: bool) -> None:
    number_of(programs(("gcloud", "projects", "describe", choice.project, "--format=value(projectNumber)")), choice.project)
    print(f"The whole project {choice.project} is deleted, also what scripts/gcp did not make. It can be restored for 30 days:")
    print(f"  gcloud projects undelete {choice.project}")
    if not yes and typer.prompt("Its id, to go on").strip() != choice.project:
        raise Failed("nothing was removed: that is not its id")
    command = ("gcloud", "projects", "delete", choice.project)
    said = programs(command)
    if said.code:
        raise Failed(f"`{shown(command)}` ended with {said.code}: {short(said)}")
    print(f"removed   project {choice.project}")


def _ask(question: str, *, yes: bool) -> None:
    if not yes and not typer.confirm(question):
        raise Failed("nothing was removed")


def _refuse_missing_images(choice: Choice) -> None:
    if choice.own_registry is None:
        return
    if missing := sorted(set(listing.needed_images(choice)) - set(listing.built_images())):
        raise BadChoice(
            f"the values need images that cloudbuild.yaml does not build: {', '.join(missing)}. Way out: switch off what needs them"
        )


def _short(file: Path) -> str:
    return str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else str(file)


def pods_not_ready(choice: Choice) -> list[str]:
    """Deployments of the release with fewer pods ready than they want; says what tells why."""
    at = (f"--namespace={choice.namespace}", f"--context={choice.context}")
    said = programs(("kubectl", "get", "deployments", f"--selector=app.kubernetes.io/instance={choice.release}", *at, "--output=json"))
    if said.code:
        raise Failed(f"the parts could not be looked at: {short(said)}")
    wrong = []
    for found in json.loads(said.out)["items"]:
        name, wants = found["metadata"]["name"], found["spec"].get("replicas", 1)
        ready = found.get("status", {}).get("readyReplicas", 0)
        if ready < wants:
            wrong.append(f"deployment {name}")
            print(f"wrong     deployment {name}: {ready} of {wants} pods are ready: `kubectl describe pods {' '.join(at)}` says why")
        else:
            print(f"right     deployment {name}: {ready} of {wants} pods are ready")
    return wrong


def address(choice: Choice) -> list[str]:
    """Where the dashboard is, and what is yet to do for it to be seen there."""
    if choice.on_cloud_run:
        return handed_over(choice)
    shown_by, name = choice.values.dashboard, f"{choice.release}-dashboard"
    at = f"--namespace={choice.namespace} --context={choice.context}"
    path = f"/{shown_by.base_url_path}" if shown_by.base_url_path else ""
    if not shown_by.enabled:
        return ["There is no dashboard: dashboard.enabled is false."]
    match shown_by.exposure:
        case "ingress" | "gateway":
            secure = shown_by.exposure == "gateway" or shown_by.ingress.managed_certificate or shown_by.ingress.tls_secret
            lines = [f"The dashboard: {'https' if secure else 'http'}://{shown_by.host}{path}/"]
            if shown_by.exposure == "ingress":
                found = _address_of("ingress", name, choice)
                lines.append(
                    f"Have the name {shown_by.host} lead to {found}, by a record of type A. The certificate comes after that."
                    if found else f"Its address is not known yet: kubectl get ingress {name} {at}"
                )  # fmt: skip
            return lines
        case "loadBalancer":
            found = _address_of("service", name, choice)
            return [f"The dashboard: http://{found}{path}/" if found else f"Its address is not known yet: kubectl get service {name} {at}"]
        case _:
            return [
                "The dashboard is seen from this machine only:",
                f"  kubectl port-forward deployment/{name} 8501:8501 {at}",
                f"  then open http://localhost:8501{path}/",
            ]


def handed_over(choice: Choice) -> list[str]:
    """On Cloud Run the parts come last, by two more commands."""
    files = [word for file in choice.files for word in ("--values", _short(file))]
    sets = [
        word for key, text in choice.sets.items() for word in ("--set" if text in ("true", "false") else "--set-string", f"{key}={text}")
    ]
    rendered = ("helm", "template", choice.release, _short(CHART), *files, *sets)
    return [
        "What the parts need is there. Now the parts themselves (docs/deploy-cloud-run.md):",
        f"  helm dependency build {_short(CHART)}",
        f"  {shown(rendered)} > cloudrun.yaml",
        f"  scripts/cloudrun replace cloudrun.yaml --project {choice.project} --region {choice.region}",
        f"  gcloud run jobs execute {choice.release}-simulator --project={choice.project} --region={choice.region}",
    ]


def _address_of(kind: str, name: str, choice: Choice) -> str:
    said = programs((
        "kubectl", "get", kind, name, f"--namespace={choice.namespace}", f"--context={choice.context}",
        "--output=jsonpath={.status.loadBalancer.ingress[0].ip}",
    ))  # fmt: skip
    return said.out.strip() if said.code == 0 and re.fullmatch(r"[0-9a-f.:]+", said.out.strip()) else ""


if __name__ == "__main__":
    app(prog_name="scripts/gcp")
