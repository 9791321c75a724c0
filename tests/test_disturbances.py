"""What may happen to a machine while it trains: the run's directory goes, the clock is set back."""

import datetime
import math
import os
import re
import shutil
import time

import pytest
from small_runs import newest_step, own_configuration, start_command, wait_until, write_gin

from hypertransformer_tf.errors import SaveError
from hypertransformer_tf.runs import run_record
from hypertransformer_tf.runs.metrics_file import read_metrics
from hypertransformer_tf.runs.run_directory import RunDirectory
from hypertransformer_tf.training.train import train

ENDLESS = ("training.steps = 1_000_000", "training.checkpoint_every = 7", "training.validate_every = 0")


def _open(path):
    return RunDirectory(path, {"episodes": {"n_way": 5}}, "episodes.n_way = 5\n", seed=0)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_directory_that_is_not_there_any_more_is_said_before_anything_is_saved(tmp_path, replaced):
    with _open(tmp_path / "run") as run:
        run.begin(0)
        run.append_metrics({"step": 1})
        os.rename(tmp_path / "run", tmp_path / "moved")
        if replaced:
            shutil.copytree(tmp_path / "moved", tmp_path / "run")
        with pytest.raises(SaveError, match="was removed, moved or replaced during training"):
            run.append_metrics({"step": 2})
    assert read_metrics(tmp_path / "moved" / "metrics.jsonl") == [{"step": 1}]


@pytest.mark.slow
def test_training_stops_with_a_sentence_when_its_directory_is_removed_and_makes_no_other(tmp_path):
    gin_file, run = write_gin(tmp_path / "endless.gin", *ENDLESS), tmp_path / "run"
    with start_command("train", f"--gin_file={gin_file}", f"--run_dir={run}") as process:
        wait_until(lambda: newest_step(run) > 0, process, 600)
        os.rename(run, tmp_path / "moved")  # at once, as removing file by file is not
        _, err = process.communicate(timeout=300)
    assert process.returncode == 1 and "Traceback" not in err, err
    assert f"Run directory {run} was removed, moved or replaced" in err
    assert not run.exists() and newest_step(tmp_path / "moved") > 0


@pytest.mark.slow
def test_a_clock_that_is_set_back_changes_neither_speed_nor_time_left(tmp_path, monkeypatch, capsys):
    """Wall time goes an hour back whenever it is asked for; what is measured goes by the steady clock."""
    now = [2_000_000_000.0]

    def earlier():
        now[0] -= 3600
        return now[0]

    monkeypatch.setattr(time, "time", earlier)
    monkeypatch.setattr(
        run_record, "now", lambda: datetime.datetime.fromtimestamp(earlier(), datetime.timezone.utc).isoformat()
    )
    with own_configuration():
        result = train(write_gin(tmp_path / "tiny.gin", "training.steps = 45"), run_dir=str(tmp_path / "run"))
    speeds = [
        line["train/episodes_per_second"]
        for line in read_metrics(result.run_dir / "metrics.jsonl")[:-1]
        if "train/episodes_per_second" in line
    ]
    assert speeds and all(math.isfinite(speed) and 0 < speed < 1e5 for speed in speeds)
    shown = capsys.readouterr().out
    assert re.search(r"step 45/45 .* [\d.]+ episodes/s", shown) and not re.search(r" -\d", shown)
