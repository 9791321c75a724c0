"""The wheel alone does what a checkout does: it brings the gin files, the preset and the commands."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile

import pytest
from small_classifier import save_drawings

from hypertransformer_tf import __version__
from hypertransformer_tf.commands import cli, hypertransformer

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = "hypertransformer_tf"
OF_THE_REPOSITORY = {"test", "gin_index", "_bootstrap.py", "_run_tests.py", "__pycache__"}  # what bin/ has besides
COMMANDS = {path.name for path in (ROOT / "bin").iterdir()} - OF_THE_REPOSITORY


@pytest.fixture
def call(monkeypatch):
    def called(*arguments):
        monkeypatch.setattr(sys, "argv", ["hypertransformer", *arguments])
        return hypertransformer.main()

    return called


def test_each_command_in_bin_has_its_name(call, capsys):
    assert call() == 0
    shown = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert set(shown) == COMMANDS


def test_it_has_a_version_and_names_its_commands_to_who_mistypes_one(call, capsys):
    assert call("--version") == 0 and capsys.readouterr().out.strip() == __version__
    assert call("trian") == 2
    error = capsys.readouterr().err
    assert "'trian'" in error and "train" in error and error.count("\n") == 1


def test_help_speaks_of_the_command_as_it_was_called(call, capsys):
    with pytest.raises(SystemExit):
        call("train", "--help")
    shown = capsys.readouterr().out
    assert "usage: hypertransformer train" in shown and "bin/" not in shown


def test_a_mistyped_flag_is_one_sentence(call, capsys):
    assert call("evaluate", "--run_dir=here", "--episode=3") == 2
    error = capsys.readouterr().err
    assert error.startswith("hypertransformer evaluate: '--episode=3'") and "did you mean --episodes" in error


@pytest.fixture(scope="module")
def tracked():
    """The files of the repository, as git knows them."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    return [os.fsdecode(name) for name in listed if name]


@pytest.fixture(scope="module")
def source(tracked, tmp_path_factory):
    """A copy of the repository, as building leaves files beside what it builds."""
    folder = tmp_path_factory.mktemp("source")
    for name in tracked:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    return folder


@pytest.fixture(scope="module")
def sdist(source, tmp_path_factory):
    """The source distribution, made as `python -m build` asks setuptools to."""
    folder = tmp_path_factory.mktemp("sdist")
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, check=True)
    return next(folder.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    return _wheel_of(source, tmp_path_factory.mktemp("wheel"))


def _wheel_of(source, folder):
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, source], check=True)
    return next(folder.glob("*.whl"))


def _content(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def files(tracked):
    """What of the repository belongs to the package, by its place there: gin/ is linked into it."""
    own = {name for name in tracked if name.startswith(f"{PACKAGE}/") and name != f"{PACKAGE}/gin"}
    return own | {f"{PACKAGE}/{name}" for name in tracked if name.startswith("gin/")}


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(wheel, files):
    names = set(_content(wheel))
    assert {f"{PACKAGE}/gin/omniglot_4layer.gin", f"{PACKAGE}/presets/drawings/model.safetensors"} < names
    about = f"{PACKAGE}-{__version__}.dist-info/"
    assert {name for name in names if not name.startswith(about)} == files
    assert f"{about}licenses/LICENSE" in names or f"{about}LICENSE" in names


@pytest.mark.slow
def test_the_source_distribution_holds_what_the_wheel_is_built_from(sdist, files):
    with tarfile.open(sdist) as archive:
        assert not [member.name for member in archive if member.issym()]
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
    beside = {name for name in names if not name.startswith(f"{PACKAGE}/") and ".egg-info/" not in name}
    assert {name for name in names if name.startswith(f"{PACKAGE}/")} == files
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "setup.cfg"} < beside
    assert not [name for name in beside if name.startswith("tests/")]


@pytest.mark.slow
def test_the_source_distribution_builds_the_same_wheel(sdist, wheel, tmp_path):
    assert _content(_wheel_of(sdist, tmp_path)) == _content(wheel)


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Runs a command of the wheel, alone in an environment that sees the other libraries of this one."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "work").mkdir()
    environment = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    packages = next(environment.glob("lib/python*/site-packages"))
    # A folder named in a .pth file comes last and has its own .pth files ignored, such as those of editable packages.
    (packages / "libraries.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", environment / "bin" / "python"]
    subprocess.run([*pip, "install", "--no-deps", "--ignore-installed", wheel], check=True)
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments, command=cli.INSTALLED_AS):
        return subprocess.run(
            [environment / "bin" / command, *map(str, arguments)],
            cwd=folder / "work",
            env=variables,
            capture_output=True,
            text=True,
            timeout=900,
        )

    place = run("-c", f"import {PACKAGE}; print({PACKAGE}.__file__)", command="python").stdout
    assert place.startswith(str(packages)), place
    return run


@pytest.mark.slow
def test_every_command_of_the_wheel_explains_itself(installed):
    for name in sorted(COMMANDS):
        done = installed(name, "--help")
        assert done.returncode == 0 and f"usage: {cli.INSTALLED_AS} {name}" in done.stdout, done.stderr
    assert installed("--version").stdout.strip() == __version__


@pytest.mark.slow
def test_the_wheel_trains_the_published_configuration_on_real_data(installed, tmp_path):
    data_dir = pathlib.Path(os.environ.get("TFDS_DATA_DIR") or ROOT.parent / "shared" / "tfds")
    if not (data_dir / "omniglot").is_dir():
        pytest.skip("needs TFDS' omniglot, prepared, in $TFDS_DATA_DIR")
    done = installed(
        "train",
        "--gin_file=omniglot_4layer.gin",
        "--steps=2",
        "--gin_bindings=evaluation.episodes = 4",
        "--gin_bindings=training.validation_episodes = 4",
        f"--data_dir={data_dir}",
        f"--run_dir={tmp_path / 'run'}",
    )
    assert done.returncode == 0 and "accuracy" in done.stdout, done.stderr
    assert (tmp_path / "run" / "checkpoints" / "best.safetensors").is_file()


@pytest.mark.slow
def test_the_wheel_trains_and_evaluates_by_the_name_of_a_gin_file(installed, tmp_path):
    done = installed(
        "train",
        "--gin_file=quickstart.gin",
        "--steps=2",
        "--gin_bindings=evaluation.episodes = 4",
        f"--run_dir={tmp_path / 'run'}",
    )
    assert done.returncode == 0 and "accuracy" in done.stdout, done.stderr
    done = installed("evaluate", f"--run_dir={tmp_path / 'run'}", "--episodes=2")
    assert done.returncode == 0 and "test classes" in done.stdout, done.stderr


@pytest.mark.slow
def test_the_wheel_makes_a_classifier_with_the_preset_and_asks_it(installed, tmp_path):
    pictures = save_drawings(tmp_path / "pictures")
    done = installed("generate", f"--support={pictures}", f"--out={tmp_path / 'classifier'}", "--formats=keras")
    assert done.returncode == 0, done.stderr
    done = installed("predict", f"--classifier={tmp_path / 'classifier'}", pictures)
    assert done.returncode == 0 and done.stdout, done.stderr
