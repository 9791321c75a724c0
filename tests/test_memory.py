"""Memory does not grow with the number of steps."""

import pathlib

import pytest
from small_runs import start_command, wait_until, write_gin

from hypertransformer_tf.runs.metrics_file import read_metrics

EARLY, LATE = 500, 3_000


def _resident(process) -> int:
    """Resident memory of a process, KiB."""
    lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def _last_step(run_dir) -> int:
    path = run_dir / "metrics.jsonl"
    return max((line["step"] for line in read_metrics(path)), default=0) if path.exists() else 0


@pytest.mark.slow
@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="needs /proc to read memory from")
def test_resident_memory_stays_what_it_was_after_the_first_steps(tmp_path):
    changes = ("training.steps = 1_000_000", "training.validate_every = 200", "training.checkpoint_every = 100")
    gin_file = write_gin(tmp_path / "endless.gin", *changes, "training.log_every = 20")
    run = tmp_path / "run"
    with start_command("train", f"--gin_file={gin_file}", f"--run_dir={run}") as process:
        wait_until(lambda: _last_step(run) >= EARLY, process, 300)
        early = _resident(process)
        wait_until(lambda: _last_step(run) >= LATE, process, 900)
        late = _resident(process)
        process.kill()
        process.communicate()
    assert late < 1.05 * early, f"{early} KiB after {EARLY} steps, {late} after {LATE}"
