"""Whether models of a row were trained as the library would train them today."""

import pathlib
import tempfile
from typing import Mapping, Optional, Sequence

from hypertransformer_tf.experiment import Experiment, load_experiment
from hypertransformer_tf.gin_files import GIN_FOLDER
from hypertransformer_tf.reproduction.budget import Budget
from hypertransformer_tf.reproduction.composed_file import composed_text
from hypertransformer_tf.reproduction.index import IndexRow
from hypertransformer_tf.reproduction.recipe_digest import recipe_digest
from hypertransformer_tf.reproduction.results import RowResult


def present_recipe(file: str, steps: Optional[int], row: Experiment) -> str:
    """The `recipe_digest` of a model that would be trained now.

    Args:
      file: the row's, by its name within gin/.
      steps: of a run on a budget; None for the row's own recipe.
      row: what the row's file says.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "row.gin"
        path.write_text(composed_text(file, steps, row), encoding="utf-8")
        return recipe_digest(load_experiment(str(path)).effective())


def is_outdated(result: RowResult, file: str, budget: Budget) -> bool:
    """Whether a model of a row has another recipe than the present one; of those that noted none that cannot be said.

    Args:
      result: of the row on that budget.
      file: the row's, by its name within gin/.
      budget: what the models were trained on.
    """
    row = load_experiment(str(GIN_FOLDER / file))
    own = budget.of_method(row.method.is_meta_trained)
    steps = {None if own.is_full else seed.steps for seed in result.seeds}
    present = {each: present_recipe(file, each, row) for each in steps}
    return any(seed.recipe not in (None, present[None if own.is_full else seed.steps]) for seed in result.seeds)


def outdated_rows(rows: Sequence[IndexRow], known: Mapping[str, RowResult], budget: Budget) -> list[str]:
    """The names of those of some rows of whose models one is outdated."""
    files = {row.name: row.file for row in rows if row.name in known}
    return [name for name, file in files.items() if is_outdated(known[name], file, budget)]
