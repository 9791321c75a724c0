"""What is wrong with the input is said by the commands in one sentence, before anything is written.

TensorFlow is out of reach of these processes: an error of the configuration or the data does not wait for it.
"""

import os
import pathlib
import resource
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from small_runs import TINY, experiment_of, run_command, tree, write_gin

import hypertransformer_tf
from hypertransformer_tf.runs.checkpoints import save_checkpoint
from hypertransformer_tf.runs.run_directory import RunDirectory


@pytest.fixture
def gin_file(tmp_path):
    return write_gin(tmp_path / "tiny.gin")


@pytest.fixture(scope="module")
def without_tensorflow(tmp_path_factory):
    """An environment in which importing TensorFlow fails."""
    folder = tmp_path_factory.mktemp("path")
    (folder / "tensorflow.py").write_text("raise RuntimeError('TensorFlow was imported')\n")
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


@pytest.fixture
def refused(tmp_path, without_tensorflow):
    """Runs bin/train, which must refuse; gives the sentence it said."""

    def run(gin_file, *flags, command="train", environment=without_tensorflow):
        run_dir = tmp_path / "runs" / "refused"
        where = [f"--run_dir={run_dir}"] if command == "train" else []
        before = tree(tmp_path)
        done = run_command(command, f"--gin_file={gin_file}", *where, *flags, environment=environment)
        assert done.returncode == 2, done.stderr
        assert done.stdout == "" and "Traceback" not in done.stderr
        assert done.stderr.count("\n") == 1 and done.stderr.endswith("\n"), done.stderr
        assert not run_dir.parent.exists() and tree(tmp_path) == before
        return done.stderr

    return run


def _pictures(folder, classes=6, samples=4, size=(12, 12), prefix="class"):
    """A folder of grey pictures by class."""
    for index in range(classes):
        (folder / f"{prefix}_{index}").mkdir(parents=True)
        for sample in range(samples):
            pixels = np.random.default_rng((index, sample)).integers(0, 256, size, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{prefix}_{index}" / f"{sample}.png")
    return folder


def _from(folder):
    return f"--gin_bindings=data.source = 'folder:{folder}'"


# --- the configuration ------------------------------------------------------------------------------------------------


def test_a_gin_file_that_is_not_there(refused, tmp_path):
    said = refused(tmp_path / "tinny.gin")
    assert "tinny.gin" in said and "tiny" not in said.replace("tinny", "")
    write_gin(tmp_path / "tiny.gin")
    assert "tiny.gin" in refused(tmp_path / "tinny.gin")  # the nearest name is offered


def test_a_gin_file_that_does_not_parse(refused, tmp_path):
    gin_file = write_gin(tmp_path / "broken.gin", "episodes.n_way = = 5")
    said = refused(gin_file)
    assert "broken.gin, line " in said and "does not parse" in said


@pytest.mark.parametrize("command", ["train", "benchmark"])
def test_a_parameter_that_is_not_known(refused, gin_file, command):
    said = refused(gin_file, "--gin_bindings=episodes.ways = 5", command=command)
    assert "'episodes.ways = 5'" in said and "has no parameter 'ways'" in said


def test_a_configurable_that_is_not_known(refused, gin_file):
    said = refused(gin_file, "--gin_bindings=episode.n_way = 5")
    assert "'episode'" in said and "episodes" in said


def test_a_binding_that_nothing_uses(refused, gin_file):
    said = refused(gin_file, "--gin_bindings=validation/episodes.n_way = 5")
    assert "validation/episodes.n_way" in said and "take it out" in said


@pytest.mark.parametrize(
    "binding, remedy",
    [
        ("episodes.n_way = 1", "at least 2"),
        ("episodes.k_shot = 0", "at least 1"),
        ("training.steps = 1.5", "whole number"),
        ("training.groups = 3", "choose a number of groups that does"),
        ("optimizer.name = 'lion'", "'adam'"),
        ("optimizer.learning_rate = -1", "from 0 to"),
        ("optimizer.schedule = 'linear'", "'cosine'"),
        ("loss.only_shared_head = True", "loss.shared_head"),
        ("cnn.architecture = '5-layer'", "'maxpool-4-layer'"),
        ("transformer.layers = 'three'", "whole number"),
        ("evaluation.episodes = 1", "at least 2"),
        ("data.source = 'imagenet'", "tfds:NAME"),
        ("data.image_size = 0", "from 1"),
        ("training.seed = 2147483648", "from 0 to 2147483647"),
        ("loss.variation = 0.5", "generator.add_trained_weights"),
        ("data.image_size = 7", "too small"),
        ("transformer.value_size = 9.0", "change one of the two"),
        ("training.validation_episodes = 1", "at least 2"),
        ("features.shared_layers = 4.0", "whole number"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_where_it_was_set(refused, gin_file, binding, remedy):
    said = refused(gin_file, f"--gin_bindings={binding}", "--gin_bindings=transformer.heads = 2")
    named, _, origins = said.rpartition(" (")
    assert remedy in named and binding.removesuffix(".0") in named
    assert f"set in binding {binding!r}" in origins and origins.endswith(").\n")


def test_a_value_of_a_file_is_named_with_its_line(refused, tmp_path):
    gin_file = write_gin(tmp_path / "own.gin", "loss.variation = 0.5")
    line = pathlib.Path(gin_file).read_text().splitlines().index("loss.variation = 0.5") + 1
    assert refused(gin_file).endswith(f"(set in {gin_file}, line {line}).\n")


def test_a_value_that_has_no_effect_with_the_method_is_named_with_where_it_was_set(refused, gin_file):
    said = refused(gin_file, "--gin_bindings=maml.inner_steps = 2")
    assert "maml.inner_steps = 2 would have no effect" in said
    assert said.endswith("(set in binding 'maml.inner_steps = 2').\n")


@pytest.mark.parametrize(
    "flag, named",
    [("--steps=40000", "training.steps = 40000 goes past"), ("--seed=2147483648", "training.seed = 2147483648")],
)
def test_a_value_of_a_flag_is_named_with_the_flag(refused, tmp_path, flag, named):
    cosine = ("optimizer.schedule = 'cosine'", "optimizer.decay_steps = 100")
    said = refused(write_gin(tmp_path / "cosine.gin", *cosine), flag)
    assert said.startswith(named) and f"set by {flag.partition('=')[0]}" in said


def test_a_gin_file_without_a_name(refused):
    assert "The name of a gin file is empty" in refused("")


def test_a_gin_file_with_a_name_that_no_file_can_have(refused):
    assert "File name too long; give another path" in refused("x" * 300)


@pytest.mark.parametrize("command", ["train", "benchmark"])
def test_several_workers_that_are_not_named(refused, gin_file, command, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert "needs the environment variable TF_CONFIG" in refused(gin_file, "--strategy=multi_worker", command=command)


# --- the data ---------------------------------------------------------------------------------------------------------


def test_more_ways_than_classes(refused, gin_file):
    said = refused(gin_file, "--gin_bindings=episodes.n_way = 401")
    assert "n_way = 401" in said and "classes" in said and "lower episodes.n_way" in said
    assert said.endswith("(set in binding 'episodes.n_way = 401').\n")


@pytest.mark.parametrize(
    "bindings",
    [
        ["loss.variation = 0.5"],
        ["transformer.variant = 'separate'", "transformer.heads = 2"],
        ["features.shared_layers = 4", "features.shared_padding = 'valid'", "data.image_size = 16"],
        ["episodes.n_way = 401"],
        ["data.source = 'omniglot'", "episodes.k_shot = 19"],
        ["data.source = 'omniglot_averaged'", "episodes.n_way = 1151"],
    ],
)
def test_what_is_known_beforehand_is_refused_in_two_seconds_with_no_data_read(
    refused, gin_file, tmp_path, without_tensorflow, bindings
):
    environment = {**without_tensorflow, "HT_CACHE_DIR": str(tmp_path / "cache"), "TFDS_DATA_DIR": str(tmp_path)}
    before = _processor_seconds()
    said = refused(gin_file, *(f"--gin_bindings={binding}" for binding in bindings), environment=environment)
    assert _processor_seconds() - before < 2  # of the processor: other work on the machine does not count
    assert f"set in binding {bindings[-1]!r}" in said and not (tmp_path / "cache").exists()


def _processor_seconds():
    """Of the commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_more_ways_in_a_mixture_than_classes(refused, gin_file):
    said = refused(gin_file, "--gin_bindings=episodes.mixture = ((2, 1), (401, 1))")
    assert "n_way = 401" in said and said.endswith("(set in binding 'episodes.mixture = ((2, 1), (401, 1))').\n")


def test_more_ways_than_a_later_split_has_classes(refused, gin_file, tmp_path):
    for split, classes in (("train", 4), ("validation", 2), ("test", 2)):
        _pictures(tmp_path / "pictures" / split, classes, prefix=split)
    said = refused(gin_file, _from(tmp_path / "pictures"), "--gin_bindings=episodes.n_way = 3")
    assert "episodes.n_way = 3" in said and "'validation'" in said and "has only 2 classes" in said


def test_too_few_samples_in_a_class(refused, gin_file):
    said = refused(gin_file, "--gin_bindings=episodes.k_shot = 19")
    assert "has 20 samples" in said and "needs 21" in said and "episodes.k_shot = 19" in said
    assert "(episodes.k_shot set in binding 'episodes.k_shot = 19', episodes.queries_per_class set in " in said


def test_a_folder_that_is_not_there(refused, gin_file, tmp_path):
    said = refused(gin_file, _from(tmp_path / "nothing"))
    assert f"{tmp_path / 'nothing'}: there is no such folder" in said


def test_an_empty_class_folder(refused, gin_file, tmp_path):
    folder = _pictures(tmp_path / "pictures")
    (folder / "nobody").mkdir()
    said = refused(gin_file, _from(folder))
    assert f"{folder / 'nobody'} is empty" in said and "add pictures or remove it" in said


def test_a_file_that_is_no_picture(refused, gin_file, tmp_path):
    folder = _pictures(tmp_path / "pictures")
    (folder / "class_2" / "notes.txt").write_text("These are my pictures.")
    said = refused(gin_file, _from(folder))
    assert str(folder / "class_2" / "notes.txt") in said and "replace or remove it" in said


def test_a_truncated_picture(refused, gin_file, tmp_path):
    folder = _pictures(tmp_path / "pictures", size=(40, 40))
    os.truncate(folder / "class_3" / "1.png", 700)
    said = refused(gin_file, _from(folder))
    assert str(folder / "class_3" / "1.png") in said and "replace or remove it" in said


def test_a_file_of_arrays_that_is_not_there(refused, gin_file, tmp_path):
    said = refused(gin_file, f"--gin_bindings=data.source = 'arrays:{tmp_path / 'nothing.npy'}'")
    assert str(tmp_path / "nothing.npy") in said


def test_omniglot_that_is_not_there_and_cannot_be_downloaded(refused, gin_file, tmp_path):
    (tmp_path / "empty").mkdir()
    nowhere = "http://127.0.0.1:9"  # no network, wherever this test runs
    environment = {name: nowhere for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    environment.update(no_proxy="", NO_PROXY="")
    source, data_dir = "--gin_bindings=data.source = 'omniglot'", tmp_path / "empty"
    said = refused(gin_file, source, f"--data_dir={data_dir}", environment=environment)
    assert f"omniglot:3.0.0 is not in {data_dir}" in said
    assert "download_and_prepare" in said and "--data_dir" in said  # how to get it by hand


# --- the run directory ------------------------------------------------------------------------------------------------


def _existing_run(path, *changes):
    experiment = experiment_of(*changes, settings=TINY)
    return RunDirectory(path, experiment.effective(), experiment.text(), seed=0)


def _refused_at(run_dir, gin_file, environment):
    before = tree(run_dir) if run_dir.is_dir() else None
    done = run_command("train", f"--gin_file={gin_file}", f"--run_dir={run_dir}", environment=environment)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr, done.stderr
    assert before is None or tree(run_dir) == before
    return done.stderr


def test_a_run_of_another_configuration(gin_file, tmp_path, without_tensorflow):
    _existing_run(tmp_path / "run", "episodes.n_way = 3", "training.steps = 999").close()
    said = _refused_at(tmp_path / "run", gin_file, without_tensorflow)
    assert "another configuration (episodes.n_way: 3 -> 2): choose another --run_dir" in said


def test_a_run_that_another_process_is_training(gin_file, tmp_path, without_tensorflow):
    with _existing_run(tmp_path / "run"):
        said = _refused_at(tmp_path / "run", gin_file, without_tensorflow)
    assert f"is being used by process {os.getpid()}: wait until it ends" in said


def test_a_run_directory_with_a_name_that_no_folder_can_have(gin_file, tmp_path, without_tensorflow):
    path = tmp_path / ("x" * 300)
    done = run_command("train", f"--gin_file={gin_file}", f"--run_dir={path}", environment=without_tensorflow)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "cannot be written: File name too long; choose another --run_dir" in done.stderr


def test_fewer_steps_than_were_done(gin_file, tmp_path, without_tensorflow):
    with _existing_run(tmp_path / "run") as run:
        run.begin(0)
        save_checkpoint(run.checkpoints, 5, {"w": np.ones(2)}, {})
    before = tree(tmp_path / "run")
    flags = (f"--gin_file={gin_file}", f"--run_dir={tmp_path / 'run'}", "--steps=4")
    done = run_command("train", *flags, environment=without_tensorflow)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "training.steps = 4 is fewer than the 5 steps" in done.stderr and "(set by --steps)" in done.stderr
    assert {**tree(tmp_path / "run"), ".lock": b""} == {**before, ".lock": b""}


def test_a_run_directory_below_a_file(gin_file, tmp_path, without_tensorflow):
    (tmp_path / "file").write_text("here")
    said = _refused_at(tmp_path / "file" / "run", gin_file, without_tensorflow)
    assert f"{tmp_path / 'file'} is a file; choose another --run_dir" in said
    assert (tmp_path / "file").read_text() == "here"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a file system that nobody can write to")
def test_a_run_directory_that_cannot_be_written(gin_file, tmp_path, without_tensorflow):
    for path in ("/proc/run", "/proc/self/run"):
        done = run_command("train", f"--gin_file={gin_file}", f"--run_dir={path}", environment=without_tensorflow)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert f"Run directory {path} cannot be written" in done.stderr and "choose another --run_dir" in done.stderr


def test_a_folder_of_something_else(gin_file, tmp_path, without_tensorflow):
    folder = _pictures(tmp_path / "pictures", classes=1)
    said = _refused_at(folder, gin_file, without_tensorflow)
    assert "holds something else ('class_0', and no config.json): choose another --run_dir" in said


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_measuring_what_is_no_run(tmp_path, without_tensorflow, name):
    (tmp_path / "empty").mkdir()
    done = run_command("evaluate", f"--run_dir={tmp_path / name}", environment=without_tensorflow)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert f"{tmp_path / name} is not a run directory" in done.stderr and "bin/train" in done.stderr


def test_a_preset_is_no_run(gin_file, without_tensorflow):
    preset = pathlib.Path(hypertransformer_tf.__file__).parent / "presets" / "omniglot"
    assert f"{preset} is not a run directory" in _refused_at(preset, gin_file, without_tensorflow)


def test_measuring_queries_that_are_not_made_of_fives(tmp_path, without_tensorflow):
    _existing_run(tmp_path / "run").close()
    flags = (f"--run_dir={tmp_path / 'run'}", "--asked=in_fives", "--n_way=2", "--queries_per_class=3")
    done = run_command("evaluate", *flags, environment=without_tensorflow)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "6 queries are not made of fives; change queries_per_class" in done.stderr


def test_measuring_a_run_that_has_no_checkpoint(tmp_path, without_tensorflow):
    _existing_run(tmp_path / "run").close()
    done = run_command("evaluate", f"--run_dir={tmp_path / 'run'}", environment=without_tensorflow)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert f"{tmp_path / 'run'} has no checkpoint yet: train it first" in done.stderr


def test_importing_tensorflow_does_fail_there(without_tensorflow):
    command = [sys.executable, "-c", "import tensorflow"]
    done = subprocess.run(command, env={**os.environ, **without_tensorflow}, capture_output=True, check=False)
    assert done.returncode == 1 and b"TensorFlow was imported" in done.stderr
