"""Equal to the last bit: what a processor can do beside the level that kernels are compiled for changes no score and no state."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

PROGRAM = """
import hashlib, json
from thundercast.domain.arrays import pack
from thundercast.domain.learning import Learner
from thundercast.domain.models.logistic import Logistic
from thundercast.domain.models.thunder import Thunder
from unit.domain.rawrows import clean_stream

learner, metrics = Learner([Thunder("nowcast"), Thunder("dayahead"), Logistic("nowcast")]), []
for i, rows in enumerate(clean_stream(14, 120)):
    learner.take(rows)
    metrics += learner.close(date=rows.date, batch_id=i).metrics
print(hashlib.sha256(pack(learner.state())).hexdigest(), hashlib.sha256(json.dumps(metrics).encode()).hexdigest())
"""


def digests(**environment: str) -> str:
    tests = str(Path(__file__).resolve().parents[2])
    env = os.environ | {"PYTHONPATH": os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])} | environment
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_another_processor_of_the_same_level_gives_the_same_bits() -> None:
    # BLAS and numpy choose their code by what the processor has; here they are told to do without.
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    plain = digests(OPENBLAS_CORETYPE="Prescott", OPENBLAS_NUM_THREADS="1", NPY_DISABLE_CPU_FEATURES=" ".join(found))
    assert len(plain.split()) == 2
    assert digests() == plain
