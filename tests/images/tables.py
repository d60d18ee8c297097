"""What fills the built images, and how soon they work: the tables of docs/images.md.

    make image-tables          # or, in the folders tests and scripts: python -m images.tables [sizes] [times] [--write]

Needs what `make test-images` needs: root, buildah, the built images, and for the times the stand-ins (`make emulators`). ``--write`` puts
the tables into docs/images.md, between the lines that bear their names.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

import emulators
from images import containers
from images.containers import Container, Image
from images.test_images import NAMES
from integration.distributed import scene
from integration.distributed.scene import Names
from thundercast.adapters.google.bigquery_schema import ensure_tables
from thundercast.adapters.settings import CloudSettings

ROOT: Final = Path(__file__).resolve().parents[2]
DOCUMENT: Final = ROOT / "docs" / "images.md"
BASE: Final = "docker.io/library/python:3.13-slim"
LISTED: Final = 3e6  # bytes; smaller ones are "others"
ROUNDS: Final = 3
PATIENCE: Final = 300.0  # s


# --- sizes ------------------------------------------------------------------------------------------------


def unpacked(root: Path) -> int:
    """Bytes below a folder, as `du --apparent-size` counts."""
    done = subprocess.run(
        ["du", "-s", "--block-size=1", "--apparent-size", str(root)], check=True, capture_output=True, text=True, timeout=120
    )
    return int(done.stdout.split()[0])


def packages(root: Path) -> Counter[str]:
    """Bytes of each installed distribution by its name, bytecode included; what belongs to none as ``""``."""
    (site,) = (root / "opt" / "python").glob("lib/python3.*/site-packages")
    sizes: Counter[str] = Counter()
    for record in site.glob("*.dist-info/RECORD"):
        name = record.parent.name.split("-")[0].replace("_", "-").lower()
        for row in csv.reader(record.read_text().splitlines()):
            file = site / row[0]
            compiled = list((file.parent / "__pycache__").glob(f"{file.stem}.*.pyc")) if file.suffix == ".py" else []
            sizes[name] += sum(one.lstat().st_size for one in (file, *compiled) if one.is_file())
    sizes[""] = max(0, unpacked(root / "opt" / "python") - sizes.total())
    return sizes


def normalised(lock: Path) -> set[str]:
    """The names of a lock's packages."""
    return {line.split("==")[0].split("[")[0].lower() for line in lock.read_text().splitlines() if "==" in line and line[0].isalnum()}


def listed(sizes: Mapping[str, int]) -> str:
    """Names and megabytes of those that are large, and the rest."""
    large = {name: size for name, size in sorted(sizes.items(), key=lambda pair: -pair[1]) if size >= LISTED and name}
    rest = sum(sizes.values()) - sum(large.values())
    return ", ".join(
        [*(f"{name} {size / 1e6:.0f}" for name, size in large.items()), *([f"others {rest / 1e6:.0f}"] if rest >= 5e5 else [])]
    )


def sizes_table() -> list[str]:
    """A row for what all share, and one for each image."""
    common = normalised(ROOT / "requirements" / "common.txt")
    lines, shared = [], {}
    with containers.mounted(BASE) as base:
        under = unpacked(base)
    for name in sorted(NAMES):
        with containers.opened(name) as image:
            everything = unpacked(image.root) - under
            found = packages(image.root)
            app = unpacked(image.root / "app") if (image.root / "app").is_dir() else 0
        both = {package: size for package, size in found.items() if package in common and name != "bigquery-emulator"}
        shared = shared or both
        own = {package: size for package, size in found.items() if package not in both}
        # Programs and data that no distribution brings, as Beam's boot.
        own["other files"] = everything - app - sum(found.values())
        lines.append(
            f"| `{name}` | {everything / 1e6:.0f} | {(everything - app - sum(both.values())) / 1e6:.0f} | {app / 1e6:.1f} | {listed(own)} |"
        )
    return [
        "| image | MB | of them its own packages | `/app` | what fills its own |", "| --- | --- | --- | --- | --- |", *lines, "",
        f"The layer that all but the stand-in share, {sum(shared.values()) / 1e6:.0f} MB: {listed(shared)}. "
        f"The base image had {under / 1e6:.0f} MB where this was measured.",
    ]  # fmt: skip


# --- times ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """What an image is asked for after its start.

    Attributes:
        what: for the reader.
        url: where it answers; ``{port}`` is the port.
        there: whether an answer is what was waited for.
        words: arguments.
        kernels: whether it runs kernels, so that the time without those of the image says something.
    """

    what: str
    url: str
    there: Callable[[str], bool]
    words: tuple[str, ...] = ()
    kernels: bool = True


def batches(least: int) -> Callable[[str], bool]:
    """Whether the metrics say that so many batches were worked on."""

    def there(text: str) -> bool:
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith("thundercast_batches_total")) >= least

    return there


ASKED: Final = {
    "bigquery-emulator": Asked("answers `/healthz`", "http://127.0.0.1:{port}/healthz", bool, ("start", "--rest-port", "{port}", "--grpc-port", "{other}", "--project", scene.PROJECT), kernels=False),
    "cleaner": Asked("has cleaned a batch", "http://127.0.0.1:{port}/metrics", batches(1)),
    "dashboard": Asked("answers `/_stcore/health`", "http://127.0.0.1:{port}/_stcore/health", bool, kernels=False),
    "simulator": Asked("has published a batch", "http://127.0.0.1:{port}/metrics", batches(1)),
    "standalone": Asked("has learnt a date", "http://127.0.0.1:{other}/metrics", batches(scene.SHARDS), ("run", "--port", "{port}", "--metrics-port", "{other}", "--speed", "max", "--end", "2022-03-31")),
    "trainer": Asked("has learnt a date", "http://127.0.0.1:{port}/metrics", batches(scene.SHARDS)),
}  # fmt: skip


def seconds(image: Image, asked: Asked, folder: Path, *, warm: bool) -> tuple[float, float]:
    """From the start of the container until it has done what it is asked, with messages waiting; and the processor's time in it."""
    run, key = scene.a_run(0), uuid.uuid4().hex[:12]
    place = folder / key
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    names = Names(key, str(place), f"images_{key}")
    names.make(run)
    place.joinpath("manifests").chmod(0o777)
    ensure_tables(CloudSettings(project=scene.PROJECT, dataset=names.dataset, checkpoints=str(place)))
    if image.name == "cleaner":
        scene.publish(f"raw-{key}", scene.raw_messages(run))
    if image.name == "trainer":
        scene.publish(f"clean-{key}", scene.clean_messages(run))
    port, other = emulators.free_port(), emulators.free_port()
    env = {name: value for name, value in os.environ.items() if name.endswith("_EMULATOR_HOST")}
    env |= names.env | {"THUNDERCAST_CHECKPOINTS": "/var/lib/thundercast/place", "THUNDERCAST_PORT": str(port)}
    env |= {"THUNDERCAST_STORE": "/var/lib/thundercast/store.sqlite"} if image.name == "dashboard" else {}
    env |= {} if warm else {"THUNDERCAST_KERNELS": "/none"}
    words = [word.format(port=port, other=other) for word in asked.words]
    began = time.monotonic()
    with image.running(folder / f"{key}.log", words or None, env=env, bind={place: "/var/lib/thundercast/place"}) as container:
        wait(container, asked.url.format(port=port, other=other), asked.there)
        took = time.monotonic() - began
        fields = Path(f"/proc/{container.pid}/stat").read_text().rpartition(")")[2].split()
        return took, sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def wait(container: Container, url: str, there: Callable[[str], bool]) -> None:
    """Asks until the answer is what was waited for."""
    until = time.monotonic() + PATIENCE
    while not there(container.answer(url).decode()):
        if time.monotonic() > until:
            raise TimeoutError(f"it did not come about in {PATIENCE:.0f} s; the log:\n{container.said()[-3000:]}")
        time.sleep(0.02)


def times_table() -> list[str]:
    """A row for each image that is a program of its own."""
    lines, before = [], os.getloadavg()[0]
    with standing() as folder:
        for name, asked in sorted(ASKED.items()):
            with containers.opened(name) as image:
                measured = [sorted(seconds(image, asked, folder, warm=True) for _ in range(ROUNDS))[ROUNDS // 2]]
                measured += [seconds(image, asked, folder, warm=False)] if asked.kernels else []
            cells = [f"{took:.1f} | {busy:.1f}" for took, busy in measured]
            print(name, *cells, file=sys.stderr)
            lines.append(f"| `{name}` | {asked.what} | {' | '.join(cells)} |{'' if asked.kernels else ' – | – |'}")
    return [
        f"{os.cpu_count()} cores, {processor()}, {datetime.now(UTC):%Y-%m-%d}, load {before:.1f} before; median of {ROUNDS}, and once with no kernels in the image.",
        "", "| image | waited until it | s | of the processor | without kernels, s | of the processor |", "| --- | --- | --- | --- | --- | --- |", *lines,
    ]  # fmt: skip


@contextmanager
def standing() -> Iterator[Path]:
    """The stand-ins run, and this process and what it starts finds them; gives a folder that everybody may enter."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        env, _ = stack.enter_context(emulators.all_of_them(folder))
        os.environ.update(env)
        yield folder


def processor() -> str:
    """The processor's name."""
    names = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


TABLES: Final[dict[str, Callable[[], list[str]]]] = {"sizes": sizes_table, "times": times_table}


def write(table: str, lines: list[str]) -> None:
    """Puts a table into the document."""
    text = DOCUMENT.read_text()
    begin, end = f"<!-- {table} -->\n", f"<!-- end of {table} -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    DOCUMENT.write_text(before + begin + "\n".join(lines) + "\n" + end + after)


def main() -> int:
    """The entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"{' or '.join(TABLES)}; both if none is named")
    parser.add_argument("--write", action="store_true", help="put them into docs/images.md")
    given = parser.parse_args()
    if unknown := set(given.tables) - set(TABLES):
        parser.error(f"there is no table {', '.join(sorted(unknown))}; there are {', '.join(TABLES)}")
    for name in given.tables or TABLES:
        try:
            lines = TABLES[name]()
        except (pytest.skip.Exception, emulators.Missing) as missing:
            print(missing, file=sys.stderr)
            return 1
        print("\n".join(lines))
        if given.write:
            write(name, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
