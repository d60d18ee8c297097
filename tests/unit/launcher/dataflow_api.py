"""A stand-in for Dataflow's API v1b3 over HTTP: jobs with a life of their own, and faults on request.

Every request and answer is held to Google's discovery document; what is not of it is kept in `violations` and answered with an error.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from aiohttp import web
from google.cloud import dataflow_v1beta3 as dataflow
from google.protobuf import json_format

import discovery
from discovery import Method, Violation

ENDED = {f"JOB_STATE_{name}" for name in ("DONE", "FAILED", "CANCELLED", "UPDATED", "DRAINED")}
SUMMARY = (
    "id",
    "projectId",
    "location",
    "name",
    "type",
    "currentState",
    "currentStateTime",
    "createTime",
    "replaceJobId",
    "replacedByJobId",
)
"""What a list tells of a job, and a look without a view: no labels."""
_ENUMS = {"view": dataflow.JobView, "filter": dataflow.ListJobsRequest.Filter, "minimumImportance": dataflow.JobMessageImportance}
_MESSAGES = {"Job": dataflow.Job, "LaunchFlexTemplateRequest": dataflow.LaunchFlexTemplateRequest}
_IMPORTANCE = ["JOB_MESSAGE_DEBUG", "JOB_MESSAGE_DETAILED", "JOB_MESSAGE_BASIC", "JOB_MESSAGE_WARNING", "JOB_MESSAGE_ERROR"]


@dataclass
class Call:
    """A request as it came, its enums by name."""

    method: str
    verb: str
    path: str
    query: dict[str, str]
    body: dict[str, Any]


@dataclass
class FakeJob:
    """A job, and the states that it goes through, one each time that somebody looks at it."""

    job: dict[str, Any]
    ahead: deque[str]
    messages: list[tuple[str, str]] = field(default_factory=list)
    silent_looks: int = 0

    @property
    def state(self) -> str:
        return str(self.job["currentState"])


@dataclass
class Fate:
    """What becomes of a job that is made: its states, and what it says, after so many looks at its messages."""

    states: tuple[str, ...] = ("JOB_STATE_QUEUED", "JOB_STATE_PENDING", "JOB_STATE_RUNNING")
    messages: tuple[tuple[str, str], ...] = ()
    silent_looks: int = 0


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, code: int, status: str, message: str) -> None:
        super().__init__(message)
        self.code, self.status = code, status


class FakeDataflow:
    """The service.

    Attributes:
        taken: what a request for a name or a request id that is taken gets: an error, or the job that has it. Both are documented.
        fates: of the jobs that are made next, in order; after these every job runs.
        faults: by method (the last part of its name): an HTTP status that is answered instead, or "lost", for an answer that
            never comes although the request was carried out.
        meet: called before a job is made, in a thread.
        tells_steps: names of steps in every job's `pipelineDescription`.
        meet_update: called with a job before it is asked to stop.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, FakeJob] = {}
        self.calls: list[Call] = []
        self.violations: list[str] = []
        self.taken: Literal["refused", "returned"] = "refused"
        self.fates: deque[Fate] = deque()
        self.faults: dict[str, deque[int | Literal["lost"]]] = {}
        self.meet: Callable[[], object] | None = None
        self.meet_update: Callable[[dict[str, Any]], object] | None = None
        self.tells_steps: list[str] = []
        self.page = 2
        self.on_stop: dict[str, tuple[str, ...]] = {
            "JOB_STATE_DRAINED": ("JOB_STATE_DRAINING", "JOB_STATE_DRAINING", "JOB_STATE_DRAINED"),
            "JOB_STATE_CANCELLED": ("JOB_STATE_CANCELLING", "JOB_STATE_CANCELLED"),
        }
        self.url = ""
        self._ticks = 0

    # --- for tests --------------------------------------------------------------------------------------------

    def add(self, name: str, state: str, *ahead: str, labels: dict[str, str] | None = None, **more: Any) -> str:
        """Puts a job there; returns its id."""
        job = {
            "name": name,
            "projectId": "demo-project",
            "location": "us-central1",
            "type": "JOB_TYPE_STREAMING",
            "labels": labels or {},
            **more,
        }
        return self._made(job, (state, *ahead), Fate()).job["id"]  # type: ignore[no-any-return]

    def active(self, name: str) -> list[dict[str, Any]]:
        return [one.job for one in self.jobs.values() if one.job["name"] == name and one.state not in ENDED]

    def asked(self, method: str) -> list[Call]:
        """The requests to a method, by the last part of its name, in order."""
        return [call for call in self.calls if call.method.rpartition(".")[2] == method]

    @contextmanager
    def serving(self) -> Iterator[FakeDataflow]:
        """Serves on a free port of this machine, in a thread."""
        loop, ready = asyncio.new_event_loop(), Future[int]()

        async def start() -> web.AppRunner:
            app = web.Application(client_max_size=2**26)
            # Beam speaks HTTP to an endpoint with `sandbox` in it, and takes it for the real service otherwise.
            app.router.add_route("*", "/{sandbox:(sandbox/)?}{path:v1b3/.*}", self._serve)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            ready.set_result(runner.addresses[0][1])
            return runner

        def work() -> None:
            asyncio.set_event_loop(loop)
            runner = loop.run_until_complete(start())
            loop.run_forever()
            loop.run_until_complete(runner.cleanup())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            self.url = f"http://127.0.0.1:{ready.result(30)}"
            yield self
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    # --- HTTP -------------------------------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        try:
            method, where = discovery.method_of(request.method, "/" + request.match_info["path"])
            query = _named(dict(request.query))
            discovery.check_query(method, query)
            text = await request.text()
            body = _read(method, json.loads(text)) if text else {}
            short = method.id.rpartition(".")[2]
            self.calls.append(Call(method.id, request.method, request.path, query, body))
            fault = self.faults[short].popleft() if self.faults.get(short) else None
            if isinstance(fault, int):
                raise Refusal(fault, "UNAVAILABLE" if fault == 503 else "RESOURCE_EXHAUSTED", "try again later")
            if short in ("create", "launch") and self.meet is not None:
                await asyncio.get_running_loop().run_in_executor(None, self.meet)
            answer = getattr(self, f"_{short}" if "messages" not in method.id else "_messages")(where, query, body)
            discovery.check(method.answer, answer)
            if fault == "lost":
                assert request.transport is not None
                request.transport.abort()
            return web.json_response(answer)
        except Refusal as refusal:
            return _error(refusal.code, refusal.status, str(refusal))
        except Violation as violation:
            self.violations.append(f"{request.method} {request.path}: {violation}")
            return _error(400, "INVALID_ARGUMENT", str(violation))

    # --- the methods ------------------------------------------------------------------------------------------

    def _list(self, where: dict[str, str], query: dict[str, str], body: Any) -> dict[str, Any]:
        found = [one for one in self.jobs.values() if query.get("name") in (None, one.job["name"])]
        start = int(query.get("pageToken", 0))
        page = found[start : start + min(self.page, int(query.get("pageSize", self.page)))]
        for one in page:
            self._goes_on(one)
        answer: dict[str, Any] = {"jobs": [_seen(one.job, SUMMARY) for one in page]} if page else {}
        if start + len(page) < len(found):
            answer["nextPageToken"] = str(start + len(page))
        return answer

    def _get(self, where: dict[str, str], query: dict[str, str], body: Any) -> dict[str, Any]:
        one = self._job(where)
        self._goes_on(one)
        if query.get("view") not in ("JOB_VIEW_ALL", "JOB_VIEW_DESCRIPTION"):
            return _seen(one.job, SUMMARY)
        return {key: value for key, value in one.job.items() if key not in ("requestedState", "transformNameMapping")}

    def _create(self, where: dict[str, str], query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        same = [one for one in self.jobs.values() if one.job["name"] == body["name"]]
        known = next(
            (one for one in same if body.get("clientRequestId") and one.job.get("clientRequestId") == body["clientRequestId"]), None
        )
        replaced = self.jobs.get(body.get("replaceJobId", ""))
        if known is None and replaced is None:
            known = next((one for one in same if one.state not in ENDED), None)
        if known is None and replaced is not None and "replacedByJobId" in replaced.job:
            known = self.jobs[replaced.job["replacedByJobId"]]
        if known is not None:
            return self._is_taken(known)
        if body.get("replaceJobId") and (replaced is None or replaced.state != "JOB_STATE_RUNNING"):
            raise Refusal(400, "FAILED_PRECONDITION", f"the job {body['replaceJobId']} does not run, and cannot be updated")
        fate = self._fate()
        made = self._made({**body, "projectId": where["projectId"], "location": where["location"]}, fate.states, fate)
        return _seen(made.job, (*SUMMARY, "clientRequestId"))

    def _launch(self, where: dict[str, str], query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        told = body["launchParameter"]
        active = next((one for one in self.jobs.values() if one.job["name"] == told["jobName"] and one.state not in ENDED), None)
        if active is not None and not told.get("update"):
            raise Refusal(409, "ALREADY_EXISTS", f"There is already an active job named {told['jobName']}.")
        if told.get("update") and active is None:
            raise Refusal(400, "INVALID_ARGUMENT", f"no running job {told['jobName']} was found to update")
        fate = self._fate()
        job = {
            "name": told["jobName"], "projectId": where["projectId"], "location": where["location"], "type": "JOB_TYPE_STREAMING",
            "labels": told["environment"].get("additionalUserLabels", {}),
            "environment": {"workerPools": [{"autoscalingSettings": {"maxNumWorkers": told["environment"]["maxWorkers"]}}]},
            **({"replaceJobId": active.job["id"]} if active is not None else {}),
        }  # fmt: skip
        return {"job": _seen(self._made(job, fate.states, fate).job, SUMMARY)}

    def _update(self, where: dict[str, str], query: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        one = self._job(where)
        if self.meet_update is not None:
            self.meet_update(one.job)
        if wanted := body.get("requestedState"):
            if one.state in ENDED or (wanted == "JOB_STATE_DRAINED" and one.state != "JOB_STATE_RUNNING"):
                raise Refusal(400, "FAILED_PRECONDITION", f"the job is {one.state}")
            one.ahead = deque(self.on_stop[wanted])
        if query.get("updateMask") == "runtimeUpdatableParams.maxNumWorkers":
            one.job["runtimeUpdatableParams"] = body["runtimeUpdatableParams"]
        return _seen(one.job, SUMMARY)

    def _messages(self, where: dict[str, str], query: dict[str, str], body: Any) -> dict[str, Any]:
        one = self._job(where)
        one.silent_looks -= 1
        if one.silent_looks >= 0:
            return {}
        least = _IMPORTANCE.index(query.get("minimumImportance", _IMPORTANCE[0]))
        found = [
            {"id": str(number), "time": self._now(), "messageImportance": importance, "messageText": text}
            for number, (importance, text) in enumerate(one.messages)
            if _IMPORTANCE.index(importance) >= least
        ]
        return {"jobMessages": found} if found else {}

    # --- parts ------------------------------------------------------------------------------------------------

    def _is_taken(self, one: FakeJob) -> dict[str, Any]:
        if self.taken == "returned":
            return _seen(one.job, (*SUMMARY, "clientRequestId"))
        raise Refusal(409, "ALREADY_EXISTS", f"(78f666ea16e50f79): There is already an active job named {one.job['name']}.")

    def _made(self, job: dict[str, Any], states: tuple[str, ...], fate: Fate) -> FakeJob:
        at = self._now()
        number = len(self.jobs)
        job = {
            **job,
            "id": f"2026-11-25_00_00_{number:02d}-{number:019d}",
            "createTime": at,
            "currentState": states[0],
            "currentStateTime": at,
        }
        if self.tells_steps:
            job["pipelineDescription"] = {"originalPipelineTransform": [{"id": name, "name": name} for name in self.tells_steps]}
        one = self.jobs[job["id"]] = FakeJob(job, deque(states[1:]), list(fate.messages), fate.silent_looks)
        self._follow(one)
        return one

    def _goes_on(self, one: FakeJob) -> None:
        if one.ahead:
            before, one.job["currentState"] = one.state, one.ahead.popleft()
            if one.state != before:
                one.job["currentStateTime"] = self._now()
            self._follow(one)

    def _follow(self, one: FakeJob) -> None:
        """A job that replaces another takes its place when it runs."""
        replaced = self.jobs.get(one.job.get("replaceJobId", ""))
        if replaced is not None and one.state == "JOB_STATE_RUNNING" and replaced.state not in ENDED:
            replaced.job |= {"currentState": "JOB_STATE_UPDATED", "currentStateTime": self._now(), "replacedByJobId": one.job["id"]}

    def _fate(self) -> Fate:
        return self.fates.popleft() if self.fates else Fate()

    def _job(self, where: dict[str, str]) -> FakeJob:
        if where["jobId"] not in self.jobs:
            raise Refusal(404, "NOT_FOUND", f"there is no job {where['jobId']}")
        return self.jobs[where["jobId"]]

    def _now(self) -> str:
        """A clock of its own, on which no two things happen at once."""
        self._ticks += 1
        return f"{datetime(2026, 11, 25, tzinfo=UTC) + timedelta(seconds=self._ticks):%Y-%m-%dT%H:%M:%SZ}"


def _seen(job: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {name: job[name] for name in fields if name in job}


def _named(query: dict[str, str]) -> dict[str, str]:
    """Enums that Google's clients send as numbers, by their names."""
    return {name: _ENUMS[name](int(value)).name if name in _ENUMS and value.isdigit() else value for name, value in query.items()}


def _read(method: Method, raw: dict[str, Any]) -> dict[str, Any]:
    """The body, if it is of the method's schema, with enums by their names."""
    try:
        body: dict[str, Any] = json_format.MessageToDict(
            json_format.ParseDict(raw, _MESSAGES[method.request].pb(_MESSAGES[method.request]()))
        )
    except (json_format.ParseError, KeyError) as error:
        raise Violation(f"{method.request}: {error}") from error
    discovery.check(method.request, body)
    return body


def _error(code: int, status: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message, "status": status}}, status=code)
