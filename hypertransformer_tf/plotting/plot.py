"""Figures of a model on an episode: what bin/plot and notebooks call."""

import pathlib
from typing import TYPE_CHECKING, Any, Callable, Optional, Sequence

from hypertransformer_tf.errors import SaveError, UserError
from hypertransformer_tf.gin_files import nearest
from hypertransformer_tf.plotting.beside import model_titles, subject_beside
from hypertransformer_tf.plotting.canvas import can_draw, saved, style
from hypertransformer_tf.plotting.subject import Subject, subject_of_folders, subject_of_run
from hypertransformer_tf.quiet_import import import_quietly
from hypertransformer_tf.runs.atomic_file import write_atomically
from hypertransformer_tf.runs.local_path import local_path

if TYPE_CHECKING:
    from hypertransformer_tf.model.hypertransformer import HyperTransformer

FIGURES = ("attention", "embedding", "kernels")
ALLOCATION = "allocation"  # drawn if there is a second model
MOST_FOLDERS = 2


def check_request(
    run_dir: Optional[str],
    model: Optional[str],
    support: Sequence[str],
    figures: Sequence[str],
    unlabelled: Optional[str] = None,
    beside: Optional[str] = None,
) -> None:
    """Raises UserError if these flags do not say what is to be drawn."""
    if (run_dir is None) == (model is None):
        raise UserError("bin/plot: give either --run_dir, a directory that bin/train made, or --model, a preset.")
    if len(support) > MOST_FOLDERS:
        raise UserError(f"bin/plot: --support is given {len(support)} times, and at most two episodes are compared.")
    if unlabelled is not None and not support:
        raise UserError("bin/plot: --unlabelled is of more pictures of your own classes: give them with --support.")
    if not figures:
        raise UserError(f"bin/plot: --figures names none: give some of {', '.join(FIGURES)}.")
    for name in figures:
        if name not in (*FIGURES, ALLOCATION):
            raise UserError(f"bin/plot: there is no figure {name!r}{nearest(name, (*FIGURES, ALLOCATION))}.")
    if ALLOCATION in figures and beside is None:
        raise UserError(f"bin/plot: the figure {ALLOCATION} compares two models: give the second with --beside.")
    if not can_draw():
        raise UserError('bin/plot draws with matplotlib, which is not installed: pip install "matplotlib>=3.8".')


def plot(
    out: str,
    run_dir: Optional[str] = None,
    model: Optional[str] = None,
    support: Sequence[str] = (),
    figures: Sequence[str] = FIGURES,
    split: str = "test",
    episode: int = 0,
    data_dir: Optional[str] = None,
    unlabelled: Optional[str] = None,
    beside: Optional[str] = None,
    report: Callable[[str], None] = print,
) -> list[pathlib.Path]:
    """Draws a model's attention maps, the embedding of its shared features, and the kernels it writes.

    With a second model it also draws `allocation`: the kernels of both, and their change between two episodes.

    Args:
      out: the folder of the figures; made if it is not there.
      run_dir: a run, or
      model: the name of a preset, or the directory of a preset or a run.
      support: one or two folders of the user's pictures; without one, episodes of the run's own data.
      figures: some of FIGURES; `allocation` may be named too, and is drawn whenever there is a second model.
      split, episode: which of the run's own episodes; it and the next are compared.
      data_dir: as for `train`.
      unlabelled: with `support`, a folder with more pictures of these classes, without saying which.
      beside: a second model, found as `model` is, of the same image shape and the same convolutions.
      report: is told of what is left out.

    Returns:
      The files, a PNG and an SVG of each figure.

    Raises:
      UserError: a value cannot be used.
      SaveError: a figure cannot be written.
    """
    check_request(run_dir, model, support, figures, unlabelled, beside)
    folder = local_path(out)
    source = run_dir if run_dir is not None else str(model)
    if support:
        subject = subject_of_folders(source, support, unlabelled, report)
    else:
        subject = subject_of_run(source, split, episode, data_dir)
    other = None if beside is None else subject_beside(subject, source, beside, support, unlabelled)
    import_quietly("tensorflow")
    return _write(folder, _drawn(subject, other, figures, report))


def _drawn(
    subject: Subject, other: Optional[Subject], figures: Sequence[str], report: Callable[[str], None]
) -> dict[str, bytes]:
    """Content by file name."""
    made, model = {}, subject.files.build()
    draw = {"attention": _attention, "embedding": _embedding, "kernels": _kernels}
    with style():
        for name in FIGURES:
            if name in figures:
                made.update(draw[name](model, subject, report))
        if other is not None:
            made[ALLOCATION] = _allocation(model, subject, other)
        return {f"{name}.{kind}": content for name, each in made.items() for kind, content in saved(each).items()}


def _attention(model: "HyperTransformer", subject: Subject, report: Callable[[str], None]) -> dict[str, Any]:
    from hypertransformer_tf.inspection.attention_maps import attention_maps  # late, as below: it needs TensorFlow
    from hypertransformer_tf.plotting.attention import draw_attention, draw_stairs

    episode = subject.first
    layers = attention_maps(model, episode.images, episode.labels, len(episode.class_names))
    return {
        "attention": draw_attention(layers, episode.labels, episode.title),
        "attention_logits": draw_stairs(layers[-1], episode.labels, episode.class_names, episode.title),
    }


def _embedding(model: "HyperTransformer", subject: Subject, report: Callable[[str], None]) -> dict[str, Any]:
    from hypertransformer_tf.plotting.embedding import draw_embedding, positions, shared_features

    pictures = subject.pictures
    features = shared_features(model, pictures.images)
    try:
        if features is None:
            raise UserError("the model has no shared features.")
        places = positions(features)
    except UserError as error:
        report(f"The embedding is left out: {error}")
        return {}
    return {"embedding": draw_embedding(places, pictures.classes, pictures.class_names, subject.first.title)}


def _kernels(model: "HyperTransformer", subject: Subject, report: Callable[[str], None]) -> dict[str, Any]:
    from hypertransformer_tf.inspection.kernels import generated_kernels
    from hypertransformer_tf.plotting.kernels import draw_kernels

    episodes = (subject.first, subject.second)
    first, second = (generated_kernels(model, each.images, each.labels, len(each.class_names)) for each in episodes)
    generated = [spec.generated for spec in model.architecture.convolutions] + [True]
    return {"kernels": draw_kernels(first, second, generated, (episodes[0].title, episodes[1].title))}


def _allocation(model: "HyperTransformer", subject: Subject, other: Subject) -> Any:
    from hypertransformer_tf.plotting.allocation import convolution_kernels, draw_allocation

    one, second = (
        convolution_kernels(built, each.first, each.second)
        for built, each in ((model, subject), (other.files.build(), other))
    )
    episodes = (subject.first.title, subject.second.title)
    return draw_allocation(one, second, model_titles(subject.files, other.files), episodes)


def _write(folder: pathlib.Path, contents: dict[str, bytes]) -> list[pathlib.Path]:
    written: list[pathlib.Path] = []
    for name, content in contents.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / name, content)
        except OSError as error:
            raise SaveError(f"{folder / name} could not be written: {error.strerror or error}.") from error
        written.append(folder / name)
    return written
