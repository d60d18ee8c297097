"""Two launchers at once, as processes, end with one job."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from integration.launcher.conftest import NAME, Launcher
from thundercast_launcher.specification import SPECIFICATION
from unit.launcher.dataflow_api import FakeDataflow

# Loading takes long, and longer on a busy machine: both begin when both are loaded.
PROGRAM = """
import sys
import thundercast_launcher.submitting
from thundercast_launcher.__main__ import main
print("loaded", flush=True)
sys.stdin.readline()
sys.exit(main(sys.argv[1:]))
"""


def both_launched(launcher: Launcher, *words: str) -> list[tuple[int, str]]:
    """Two launchers at once, the second with some words more; their exit codes, and what they said."""
    both = []
    for more in ((), words):
        command = [sys.executable, "-c", PROGRAM, *launcher.flags, *more]
        both.append(
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
            )
        )
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "loaded\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=240)[1] for process in both]
    return [(process.returncode, err) for process, err in zip(both, said, strict=True)]


def together(dataflow: FakeDataflow) -> None:
    """Both have seen what there is before either makes a job."""
    barrier, first = threading.Barrier(2), [2]

    def meet() -> None:
        if first[0]:
            first[0] -= 1
            barrier.wait(120)

    dataflow.meet = meet


@pytest.mark.parametrize("taken", ["refused", "returned"])
def test_of_one_specification(launcher: Launcher, dataflow: FakeDataflow, taken: Any) -> None:
    dataflow.taken = taken
    together(dataflow)
    done = both_launched(launcher)
    assert [code for code, _ in done] == [0, 0], done
    assert len(dataflow.jobs) == 1
    assert len(dataflow.asked("create")) == 2
    assert len({call.body["clientRequestId"] for call in dataflow.asked("create")}) == 1
    # Two processes make the same request, to the byte: so a lost one can be repeated by anybody.
    one, other = (call.body for call in dataflow.asked("create"))
    assert one == other


def test_by_a_flex_template(launcher: Launcher, dataflow: FakeDataflow) -> None:
    together(dataflow)
    launcher.more = ["--mode=flex-template", "--template=gs://t/launcher.json"]
    done = both_launched(launcher)
    assert [code for code, _ in done] == [0, 0], done
    assert len(dataflow.jobs) == 1


def test_that_update_the_same_job(launcher: Launcher, dataflow: FakeDataflow) -> None:
    dataflow.add(NAME, "JOB_STATE_RUNNING", labels={SPECIFICATION: "another"})
    together(dataflow)
    done = both_launched(launcher)
    assert [code for code, _ in done] == [0, 0], done
    assert [one.state for one in dataflow.jobs.values()] == ["JOB_STATE_UPDATED", "JOB_STATE_RUNNING"]


def test_of_two_specifications_there_is_one_job_and_whoever_lost_it_says_so(launcher: Launcher, dataflow: FakeDataflow) -> None:
    together(dataflow)
    done = both_launched(launcher, "--machine-type=n1-standard-4")
    assert len(dataflow.active(NAME)) == 1
    assert dataflow.active(NAME)[0]["currentState"] == "JOB_STATE_RUNNING"
    assert all(code == 0 or "has replaced it" in err for code, err in done), done
    assert 0 in [code for code, _ in done]
