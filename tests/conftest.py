"""What all tests share: the folder with real data, and a cache of their own."""

import os
import pathlib
import sys

import pytest


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder `../shared` with real data sets and golden files."""
    folder = pathlib.Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder ../shared beside the repository, with real data")
    return folder


@pytest.fixture(scope="session", autouse=True)
def graphs_as_they_are_traced(pytestconfig: pytest.Config) -> None:
    """TensorFlow does not rewrite graphs in the fast tests, where most run once; commands and slow tests have it do so.

    That takes longer than what they compute: without it tests of the model take 0.7 times as long.
    """
    if pytestconfig.getoption("-m") == "not slow" and "tensorflow" in sys.modules:
        sys.modules["tensorflow"].config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture(scope="session", autouse=True)
def cache_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Decoded sets go to a folder of this test run: nothing old is read, nothing is left in the home folder."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("HT_CACHE_DIR")
    os.environ["HT_CACHE_DIR"] = str(folder)
    yield folder
    if before is None:
        del os.environ["HT_CACHE_DIR"]
    else:
        os.environ["HT_CACHE_DIR"] = before


@pytest.fixture(scope="session")
def gin_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The configuration of a run of six steps."""
    from small_runs import write_gin  # with it comes the package, which not every test needs

    return write_gin(tmp_path_factory.mktemp("gin") / "tiny.gin")


@pytest.fixture(scope="session")
def six_steps(gin_file: str, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The directory of a run that was never stopped; no test changes it."""
    from small_runs import train_here

    return train_here(gin_file, tmp_path_factory.mktemp("runs") / "six").run_dir


@pytest.fixture
def commands(monkeypatch, tmp_path):
    """What stands in for the commands that bin/reproduce runs; the test goes on in an empty folder."""
    from noted_commands import Commands

    stand_in = Commands()
    monkeypatch.setattr("hypertransformer_tf.reproduction.child_commands.run_command", stand_in)
    monkeypatch.chdir(tmp_path)
    return stand_in
