"""What is taken out of installed packages, on a small tree of files; needs nothing else."""

from __future__ import annotations

import importlib.util
import marshal
from pathlib import Path

import pytest

import slim


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of packages as installed."""
    for name, text in {
        "pkg/__init__.py": "answer = 42\n",
        "pkg/tests/test_pkg.py": "assert False\n",
        "pkg/include/pkg.h": "int answer;\n",
        "pkg/__pycache__/stale.cpython-313.pyc": "stale",
        "pkg/data.json": "{}",
        "numpy/_core/tests/_natype.py": "pd_NA = None\n",
        "numpy/_core/tests/test_numeric.py": "assert False\n",
        "pyarrow/libarrow_flight.so.2500": "machine code",
        "pyarrow/libarrow.so.2500": "machine code",
    }.items():
        path = tmp_path / "site-packages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "site-packages"


def left(site: Path) -> set[str]:
    return {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}


def test_what_no_program_uses_goes_and_the_rest_stays(site: Path) -> None:
    before = slim.size(site)
    freed = slim.slim(site)
    assert left(site) == {"pkg/__init__.py", "pkg/data.json", "numpy/_core/tests/_natype.py", "pyarrow/libarrow.so.2500"}
    assert freed.total() == before - slim.size(site)
    assert freed["Arrow Flight"] == len("machine code")


def test_bytecode_names_the_place_where_its_source_will_be(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["slim.py", str(site), "--at", "/opt/python/site-packages"])
    assert slim.main() == 0
    source = site / "pkg" / "__init__.py"
    code = Path(importlib.util.cache_from_source(str(source))).read_bytes()
    assert int.from_bytes(code[4:8], "little") == 1  # by the source's hash, and not compared with it
    assert code[8:16] == importlib.util.source_hash(source.read_bytes())
    assert marshal.loads(code[16:]).co_filename == "/opt/python/site-packages/pkg/__init__.py"
