"""bin/plot: figures of a run's episodes and of the user's pictures, and one sentence where something is wrong."""

import subprocess
import sys

import numpy as np
import pytest
from layer_checks import randomise
from small_classifier import N_WAY, SHAPE, save_drawings, save_small_preset
from small_model import changed
from small_runs import ROOT, SMALL, own_configuration, run_here, tree, write_gin

from hypertransformer_tf.commands import plot as command
from hypertransformer_tf.deployment.presets import save_preset
from hypertransformer_tf.errors import UserError
from hypertransformer_tf.inspection.attention_maps import attention_maps
from hypertransformer_tf.inspection.kernels import generated_kernels
from hypertransformer_tf.model.hypertransformer import HyperTransformer
from hypertransformer_tf.plotting import plot as plotting
from hypertransformer_tf.plotting.attention import stairs
from hypertransformer_tf.plotting.beside import model_titles, subject_beside
from hypertransformer_tf.plotting.subject import find_trained, subject_of_folders, subject_of_run

NAMES = ("attention", "attention_logits", "embedding", "kernels")
ALL = sorted(f"{name}.{kind}" for name in NAMES for kind in ("png", "svg"))


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A transductive run of a few steps on glyphs."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        gin_file = write_gin(folder / "tiny.gin", "training.steps = 2")
        assert run_here(patch, "train", f"--gin_file={gin_file}", f"--run_dir={folder / 'run'}") == 0
    return folder / "run"


@pytest.fixture
def plot(monkeypatch, capsys):
    """Runs the command in this process; (exit status, standard output, standard error)."""

    def run(*flags):
        monkeypatch.setattr(sys, "argv", ["bin/plot", *map(str, flags)])
        with own_configuration():
            status = command.main()
        return (status, *capsys.readouterr())

    return run


def save_preset_of(folder, background=None, shape=SHAPE, n_way=N_WAY, allocation="output", **cnn) -> str:
    """A preset of a model with random variables; the directory."""
    config = changed(cnn={"normalisation": "task", **cnn}, generator={"allocation": allocation})
    save_preset(randomise(HyperTransformer(shape, n_way, config, name="small"), scale=0.3), folder, {}, background)
    return str(folder)


@pytest.mark.slow
def test_a_runs_own_episodes_are_plotted_and_nothing_is_written_into_the_run(plot, run_dir, tmp_path):
    pytest.importorskip("matplotlib")
    before = tree(run_dir)
    status, out, _ = plot(f"--run_dir={run_dir}", f"--out={tmp_path / 'a'}", "--episode=3")
    assert status == 0 and "kernels.svg" in out
    assert sorted(tree(tmp_path / "a")) == ALL and tree(run_dir) == before
    plot(f"--run_dir={run_dir}", f"--out={tmp_path / 'b'}", "--episode=3", "--figures=embedding,kernels")
    again = tree(tmp_path / "b")
    assert len(again) == 4 and again.items() <= tree(tmp_path / "a").items()
    plot(f"--run_dir={run_dir}", f"--out={tmp_path / 'c'}", "--episode=4", "--figures=kernels")
    assert sorted(tree(tmp_path / "c")) == ["kernels.png", "kernels.svg"]
    assert tree(tmp_path / "c")["kernels.png"] != again["kernels.png"]


@pytest.mark.slow
def test_the_users_pictures_are_plotted_with_a_preset_and_with_a_run(plot, run_dir, tmp_path):
    pytest.importorskip("matplotlib")
    support = save_drawings(tmp_path / "support", names=("$one_bar", "三"))
    preset = save_small_preset(tmp_path / "preset")
    flags = f"--support={support}", f"--out={tmp_path / 'out'}"
    assert plot(f"--model={preset}", *flags)[0] == 0
    assert sorted(tree(tmp_path / "out")) == ALL
    with_preset = tree(tmp_path / "out")["kernels.png"]
    assert plot(f"--run_dir={run_dir}", *flags, "--figures=kernels")[0] == 0
    assert tree(tmp_path / "out")["kernels.png"] != with_preset


@pytest.mark.slow
def test_unlabelled_pictures_are_drawn_too(plot, tmp_path):
    pytest.importorskip("matplotlib")
    support = save_drawings(tmp_path / "support", names=("a", "b"))
    more = save_drawings(tmp_path / "more", names=("c",))
    flags = f"--model={save_small_preset(tmp_path / 'preset')}", f"--support={support}"
    assert plot(*flags, f"--out={tmp_path / 'plain'}")[0] == 0
    assert plot(*flags, f"--unlabelled={more}", f"--out={tmp_path / 'joint'}")[0] == 0
    plain, joint = tree(tmp_path / "plain"), tree(tmp_path / "joint")
    assert sorted(joint) == ALL and all(joint[name] != plain[name] for name in ALL)


@pytest.mark.slow
def test_what_cannot_be_drawn_is_left_out_and_said(plot, tmp_path):
    pytest.importorskip("matplotlib")
    support = save_drawings(tmp_path / "support", names=("a", "b"), samples=1)
    preset = save_small_preset(tmp_path / "preset")
    flags = f"--support={support}", f"--out={tmp_path / 'out'}", "--figures=embedding,kernels"
    status, out, _ = plot(f"--model={preset}", *flags)
    assert status == 0 and "embedding is left out: t-SNE of 2 pictures: at least 4" in out
    assert sorted(tree(tmp_path / "out")) == ["kernels.png", "kernels.svg"]


def test_the_second_episode_is_the_other_folder_or_has_its_labels_moved(tmp_path):
    preset = save_small_preset(tmp_path / "preset")
    one = save_drawings(tmp_path / "one", names=("a", "b", "c"))
    other = save_drawings(tmp_path / "other", names=("d", "e"))
    subject = subject_of_folders(preset, [str(one), str(other)])
    assert (subject.first.class_names, subject.second.class_names) == (("a", "b", "c"), ("d", "e"))
    first, second, _ = (lambda s: (s.first, s.second, s))(subject_of_folders(preset, [str(one)]))
    names = [[each.class_names[label] for label in each.labels] for each in (first, second)]
    assert names[0] == names[1] and (first.labels != second.labels).all()


def test_unlabelled_pictures_are_in_both_episodes_and_stay_without_a_label(tmp_path):
    preset = save_small_preset(tmp_path / "preset")
    one = save_drawings(tmp_path / "one", names=("a", "b", "c"))
    more = save_drawings(tmp_path / "more", names=("d", "e"), samples=1)
    (more / "notes.txt").write_text("no picture")
    other = save_drawings(tmp_path / "other", names=("f", "g"))
    for folders, labels in ([one], ([0, 1, 2], [2, 0, 1])), ([one, other], ([0, 1, 2], [0, 1])):
        said = []
        subject = subject_of_folders(preset, list(map(str, folders)), str(more), said.append)
        for episode, expected in zip((subject.first, subject.second), labels):
            assert episode.labels.tolist() == [*np.repeat(expected, 3), -1, -1] and episode.labels.dtype == np.int32
        np.testing.assert_array_equal(subject.first.images[-2:], subject.second.images[-2:])
        assert subject.pictures.classes.tolist() == subject.first.labels.tolist()
        assert len(said) == 1 and "notes.txt" in said[0]  # once, although it is read with both folders


def test_unlabelled_pictures_are_seen_by_the_transformer_and_change_the_kernels(tmp_path):
    preset = save_small_preset(tmp_path / "preset")
    one = str(save_drawings(tmp_path / "one", names=("a", "b", "c")))
    more = str(save_drawings(tmp_path / "more", names=("d", "e"), samples=1))
    plain, joint = (subject_of_folders(preset, [one], folder).first for folder in (None, more))
    model = find_trained(preset).build()
    found = stairs(attention_maps(model, joint.images, joint.labels, 3)[-1], joint.labels)["encoder_1"]
    assert found.shape == (2, 3, 11) and (found[..., -2:] > 0).all()  # the last two have no label
    kernels = [generated_kernels(model, each.images, each.labels, 3)[0] for each in (plain, joint)]
    assert np.abs(kernels[1] - kernels[0]).max() > 1e-4


def test_a_second_model_has_the_same_episodes_on_the_background_it_knows(tmp_path):
    model = save_preset_of(tmp_path / "model", background="light")
    alike = save_preset_of(tmp_path / "alike", background="light", allocation="spatial")
    inverted = save_preset_of(tmp_path / "inverted", background="dark")
    folders = [str(save_drawings(tmp_path / "one", names=("a", "b", "c")))]
    more = str(save_drawings(tmp_path / "more", names=("d",)))
    subject = subject_of_folders(model, folders, more)
    other = subject_beside(subject, model, alike, folders, more)
    assert other.first is subject.first and other.second is subject.second
    assert model_titles(subject.files, other.files) == ("output allocation", "spatial allocation")
    other = subject_beside(subject, model, inverted, folders, more)
    for mine, its in zip((subject.first, subject.second), (other.first, other.second)):
        np.testing.assert_array_equal(its.images, 255 - mine.images)
        assert its.labels.tolist() == mine.labels.tolist() and its.title == mine.title
    titles = model_titles(subject.files, other.files)
    assert titles == ("output allocation, model", "output allocation, inverted")


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"shape": (20, 20, 1)}, r"images of shape \(16, 16, 1\) and .*second of \(20, 20, 1\)"),
        ({"channels": 2}, r"model and .*second differ in cnn.channels \(4 and 2\): kernels"),
        ({"architecture": "3-layer", "stride": 2}, r"cnn.architecture \(.*'3-layer'\) and cnn.stride \(1 and 2\)"),
        ({"trained_layers": 1}, r"differ in cnn.trained_layers \(0 and 1\)"),
        ({"n_way": 2}, "one has 3 classes and .*second tells at most 2 apart"),
    ],
)
def test_models_that_cannot_be_compared_are_refused_by_name(tmp_path, changes, sentence):
    model, second = save_preset_of(tmp_path / "model"), save_preset_of(tmp_path / "second", **changes)
    folders = [str(save_drawings(tmp_path / "one", names=("a", "b", "c")))]
    with pytest.raises(UserError, match=sentence):
        subject_beside(subject_of_folders(model, folders), model, second, folders)


def test_a_second_model_that_is_not_there_or_generates_no_convolutions_is_one_sentence(plot, run_dir, tmp_path):
    pytest.importorskip("matplotlib")
    flags = f"--run_dir={run_dir}", f"--out={tmp_path / 'out'}", "--figures=allocation"
    for beside, sentence in (("nowhere", "nowhere"), (run_dir, "generate no convolutions")):
        status, out, err = plot(*flags, f"--beside={beside}")
        assert status == 2 and sentence in err and len(err.strip().splitlines()) == 1 and not out
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_runs_are_drawn_beside_each_other_on_the_firsts_episodes_and_on_the_users_pictures(plot, tmp_path):
    pytest.importorskip("matplotlib")
    for allocation in ("output", "spatial"):
        changes = "training.steps = 1", f"generator.allocation = '{allocation}'"
        gin_file = write_gin(tmp_path / f"{allocation}.gin", *changes, settings=SMALL)
        with pytest.MonkeyPatch.context() as patch:
            assert run_here(patch, "train", f"--gin_file={gin_file}", f"--run_dir={tmp_path / allocation}") == 0
    runs = f"--run_dir={tmp_path / 'output'}", f"--beside={tmp_path / 'spatial'}"
    before = tree(tmp_path / "spatial")
    assert plot(*runs, f"--out={tmp_path / 'a'}", "--figures=allocation")[0] == 0
    assert sorted(tree(tmp_path / "a")) == ["allocation.png", "allocation.svg"]
    assert plot(*runs, f"--out={tmp_path / 'b'}", "--figures=kernels")[0] == 0
    again = tree(tmp_path / "b")
    assert len(again) == 4 and again.items() >= tree(tmp_path / "a").items()
    support = save_drawings(tmp_path / "support", names=("a", "b"))
    assert plot(*runs, f"--support={support}", f"--out={tmp_path / 'c'}")[0] == 0
    assert sorted(tree(tmp_path / "c")) == sorted([*ALL, "allocation.png", "allocation.svg"])
    assert tree(tmp_path / "c")["allocation.png"] != again["allocation.png"]
    assert tree(tmp_path / "spatial") == before


def test_labels_of_a_runs_episode_are_named_as_their_classes(run_dir):
    with own_configuration():
        subject = subject_of_run(str(run_dir), "test", 0)
    assert len(subject.first.class_names) == subject.first.labels.max() + 1 == 2
    assert set(subject.first.class_names) != set(subject.second.class_names)
    assert len(subject.pictures.class_names) == 10 and len(subject.pictures.images) == 200


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--model=omniglot", "--run_dir=x"], "either --run_dir"),
        ([], "either --run_dir"),
        (["--model=omniglot", "--figures=kernel"], "did you mean kernels"),
        (["--model=omniglot", "--figures=,"], "names none"),
        (["--model=omniglot"], "give --support"),
        (["--model=nothing"], "nothing"),
        (["--run_dir=nothing"], "nothing"),
        (["--model=omniglot", "--support=nothing"], "does not exist"),
        (["--model=omniglot", "--support=a", "--support=b", "--support=c"], "3 times"),
        (["--model=omniglot", "--episode=-1"], "at least 0"),
        (["--model=omniglot", "--unlabelled=a"], "give them with --support"),
        (["--run_dir=nothing", "--unlabelled=a"], "give them with --support"),
        (["--model=omniglot", "--figures=allocation"], "give the second with --beside"),
        (["--model=omniglot", "--figures=alocation"], "did you mean allocation"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_writes_nothing(plot, tmp_path, flags, sentence):
    pytest.importorskip("matplotlib")
    status, out, err = plot(*flags, f"--out={tmp_path / 'out'}")
    assert status == 2 and sentence in err and len(err.strip().splitlines()) == 1 and not out
    assert not (tmp_path / "out").exists()


def test_a_missing_matplotlib_is_said(plot, tmp_path, monkeypatch):
    monkeypatch.setattr(plotting, "can_draw", lambda: False)
    status, _, err = plot("--model=omniglot", f"--out={tmp_path}")
    assert status == 2 and "pip install" in err


def test_a_folder_that_cannot_be_made_is_said(plot, tmp_path):
    pytest.importorskip("matplotlib")
    support = save_drawings(tmp_path / "support", names=("a", "b"), samples=1)
    (tmp_path / "file").write_text("")
    preset = save_small_preset(tmp_path / "preset")
    status, _, err = plot(
        f"--model={preset}", f"--support={support}", f"--out={tmp_path / 'file' / 'x'}", "--figures=kernels"
    )
    assert status == 1 and "could not be written" in err


@pytest.mark.parametrize("flags, status", [(["--help"], 0), (["--out=x", "--figures=y"], 2), (["--run_dir=x"], 2)])
def test_help_and_wrong_flags_need_no_tensorflow(flags, status):
    code = (
        "import sys\nfrom hypertransformer_tf.commands import plot\n"
        "try:\n    status = plot.main()\nexcept SystemExit as error:\n    status = error.code or 0\n"
        "sys.exit(99 if {'tensorflow', 'matplotlib'} & set(sys.modules) else status)"
    )
    done = subprocess.run([sys.executable, "-c", code, *flags], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == status and "Traceback" not in done.stderr, done.stderr
