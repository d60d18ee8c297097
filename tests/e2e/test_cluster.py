"""`make e2e` as a whole, on a cluster of its own: images built, charts installed, pods killed, upgraded, evicted, uninstalled.

What is tried is in `tests/images` and `tests/e2e/cluster`. It is a run of its own, for those tests live where the cluster's addresses answer.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 3000.0  # s; a quarter of it where the images are built


@pytest.mark.timeout(PATIENCE + 60.0)
def test_the_images_and_the_charts_do_on_a_cluster_what_they_promise() -> None:
    program = os.environ.get("THUNDERCAST_CLUSTER", "")
    # A cluster of the user's own (KUBECONFIG) is installed into only when asked for by name: `make e2e`.
    if not os.access(program, os.X_OK):
        pytest.skip("no cluster: THUNDERCAST_CLUSTER does not name a program that makes one (`make e2e` takes that of KUBECONFIG)")
    log = ROOT / "build" / "e2e.log"
    log.parent.mkdir(exist_ok=True)
    env = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    with log.open("w") as out:
        process = subprocess.Popen([ROOT / "scripts" / "e2e", "--durations=10"], cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT)
        try:
            code = process.wait(PATIENCE)
        except BaseException:
            # Its own last act takes the cluster down.
            process.terminate()
            process.wait()
            raise
    assert code == 0, f"scripts/e2e ended with {code}; the end of {log}:\n{log.read_text(errors='replace')[-12_000:]}"
