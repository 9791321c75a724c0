"""What is noted about a start of a run, so that its result can be placed later: versions, machine, code."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from typing import Any, Mapping, Optional, Sequence

import hypertransformer_tf

_PACKAGES = ("tensorflow", "keras", "numpy", "tensorflow-datasets", "gin-config")


def describe_start(seed: int, command_line: Sequence[str]) -> dict[str, Any]:
    """A JSON-able record of this process: when, with which command, versions, code and machine.

    TensorFlow is not imported: its version is read from the installed package's metadata.
    """
    return {
        "started": now(),
        "command_line": list(command_line),
        "seed": seed,
        "versions": {
            "hypertransformer_tf": hypertransformer_tf.__version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in _PACKAGES},
        },
        "git_revision": git_revision(),
        "machine": {
            "host": platform.node(),
            "platform": platform.platform(),
            "processor": _processor(),
            "cores": _cores(),
            "memory_bytes": _memory(),
        },
        "process": os.getpid(),
    }


def changed_devices(
    earlier: Sequence[Mapping[str, Any]], devices: Mapping[str, Any], drawn: Sequence[str] = ()
) -> Optional[str]:
    """A sentence if the last of the earlier starts that noted its devices had others; None otherwise.

    Args:
      earlier: of `describe_start`.
      devices: of this start, by name.
      drawn: the parameters by which a step draws; another number of devices draws otherwise.
    """
    noted = [start["devices"] for start in earlier if start.get("devices")]
    if not noted or not devices or noted[-1] == dict(devices):
        return None
    names = [name for name in devices if noted[-1].get(name) != devices[name]]
    changes = ", ".join(f"{name} {noted[-1].get(name)} -> {devices[name]}" for name in names)
    if drawn and "replicas" in names:
        differs = f"it is another run from here on, as each device draws for its own episodes ({', '.join(drawn)})"
    else:
        differs = "its numbers may differ in their last digits"
    return f"The run goes on with other means than before ({changes}): {differs}."


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def git_revision() -> Optional[str]:
    """The commit of the checkout this package runs from, with '-dirty' if files differ; None elsewhere."""
    root = pathlib.Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _version(package: str) -> Optional[str]:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _cores() -> Optional[int]:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _memory() -> Optional[int]:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
