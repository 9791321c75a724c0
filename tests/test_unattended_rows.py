"""Claims about bin/reproduce left to itself: killed and started again, and without the data of a row."""

import os
import signal
import subprocess
import sys
import time

import pytest
from noted_commands import FIRST
from small_runs import ROOT, starts_of, wait_until, write_gin

from hypertransformer_tf.reproduction.results import read_results

TINY_ROWS = ("first", "second")
# bin/reproduce, its index replaced by rows that take seconds.
ON_TINY_ROWS = """
import sys
from hypertransformer_tf.commands import reproduce as command
from hypertransformer_tf.reproduction import reproduce
from hypertransformer_tf.reproduction.index import IndexRow
folder, names, *flags = sys.argv[1:]
rows = [IndexRow(f"{folder}/{name}.gin", "tiny", "tiny", "glyphs", name, "1") for name in names.split(",")]
reproduce.read_index = lambda: rows
sys.argv[1:] = flags
sys.exit(command.main())
"""


def start(folder, shared):
    arguments = ["--row=" + FIRST, "--budget=60", "--results=results", "--runs=runs"]
    code = "import sys; from hypertransformer_tf.commands import reproduce; sys.exit(reproduce.main())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TFDS_DATA_DIR": str(shared / "tfds")}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=folder, env=environment)


@pytest.mark.slow
def test_a_row_that_was_killed_and_started_again_comes_to_the_same(shared, tmp_path):
    results = []
    for kill in (False, True):
        folder = tmp_path / str(kill)
        folder.mkdir()
        if kill:
            process = start(folder, shared)
            checkpoints = folder / "runs" / "60_steps" / FIRST / "seed_0" / "checkpoints"
            while not list(checkpoints.glob("*.safetensors")) and process.poll() is None:
                time.sleep(0.05)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert not (folder / "results" / "60_steps" / "rows").exists()
            time.sleep(2)  # for the kernel to end what it had started
        assert start(folder, shared).wait() == 0
        results.append(read_results(folder / "results", "60_steps")[FIRST].seeds[0])
    assert results[0].accuracy == results[1].accuracy and results[0].interval_95 == results[1].interval_95


def start_tiny(folder, gin_folder, names=TINY_ROWS):
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    (folder / "runs" / "speeds.json").write_text('{"authors": {"other": [1.0, 1.0]}}')  # so that none is measured
    arguments = [str(gin_folder), ",".join(names), "--table=tiny", "--results=results", "--runs=runs"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", ON_TINY_ROWS, *arguments],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def write_tiny_rows(folder):
    folder.mkdir()
    for seed, name in enumerate(TINY_ROWS):
        changes = (f"data.split_seed = {seed}", "training.steps = 60", "training.validate_every = 30")
        write_gin(folder / f"{name}.gin", *changes)
    write_gin(folder / "without_data.gin", "data.source = 'mini_imagenet:nowhere'", "data.channels = 3")
    return folder


@pytest.mark.slow
def test_two_rows_killed_in_the_second_and_started_again_come_to_the_same(tmp_path):
    gin_folder, tables, seeds = write_tiny_rows(tmp_path / "gin"), [], []
    for kill in (False, True):
        folder = tmp_path / str(kill)
        if kill:
            process = start_tiny(folder, gin_folder)
            runs = folder / "runs" / "full"
            wait_until(lambda: list((runs / "second" / "seed_0" / "checkpoints").glob("*.safetensors")), process, 600)
            process.kill()
            process.communicate()
            rows = folder / "results" / "full" / "rows"
            assert [path.name for path in rows.iterdir()] == ["first.json"]
            time.sleep(2)  # for the kernel to end what it had started
        process = start_tiny(folder, gin_folder)
        said = process.communicate()
        assert process.returncode == 0, said
        results = read_results(folder / "results", "full")
        seeds.append([(results[name].seeds[0].accuracy, results[name].seeds[0].steps) for name in TINY_ROWS])
        tables.append((folder / "results" / "full" / "tiny.md").read_bytes())
    assert seeds[0] == seeds[1] and tables[0] == tables[1]
    starts = [len(starts_of(tmp_path / "True" / "runs" / "full" / name / "seed_0")) for name in TINY_ROWS]
    assert starts == [1, 2]


@pytest.mark.slow
def test_a_row_without_its_data_is_skipped_and_named_and_the_others_are_run(tmp_path):
    gin_folder = write_tiny_rows(tmp_path / "gin")
    process = start_tiny(tmp_path / "here", gin_folder, ("without_data", "first"))
    _, said = process.communicate()
    assert process.returncode == 1 and "Traceback" not in said
    assert "without_data skipped: " in said and "mini-imagenet-cache-{train,val,test}.pkl" in said
    results = read_results(tmp_path / "here" / "results", "full")
    assert (results["without_data"].state, results["first"].state) == ("skipped", "done")
    table = (tmp_path / "here" / "results" / "full" / "tiny.md").read_text()
    assert "* without_data: skipped. data.source = mini_imagenet:nowhere" in table
