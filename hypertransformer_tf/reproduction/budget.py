"""How long a row is trained: as its file says, some steps of our own recipe, or some minutes of it."""

import dataclasses
import re
from typing import Optional

from hypertransformer_tf.errors import UserError

_FULL = "full"


@dataclasses.dataclass(frozen=True)
class Budget:
    """What `bin/reproduce --budget` chooses. Neither steps nor minutes: the row's own recipe, to its end.

    Attributes:
      steps: optimiser steps with `gin/recipe/budget.gin`.
      minutes: so many steps of it as this machine takes in this time.
    """

    steps: Optional[int] = None
    minutes: Optional[float] = None

    @property
    def name(self) -> str:
        """Of the folder that results are kept in: 'full', '2000_steps' or '5_minutes'."""
        if self.steps is not None:
            return f"{self.steps}_steps"
        return _FULL if self.minutes is None else f"{self.minutes:g}_minutes"

    @property
    def is_full(self) -> bool:
        """Whether rows are trained for as long as their gin files say."""
        return self.steps is None and self.minutes is None

    def of_method(self, is_meta_trained: bool) -> "Budget":
        """The budget of a row: a method that is not meta-trained has nothing to shorten and goes to its own end."""
        return self if is_meta_trained else Budget()


def parse_budget(text: str) -> Budget:
    """'full', '2000' or '2_000 steps', '5min', '1.5 hours' -> a Budget.

    Raises:
      UserError: it is none of these, or not above 0.
    """
    match = re.fullmatch(r"([\d_]*\.?\d+)\s*_?(steps?|min(?:utes?)?|m|h(?:ours?)?)?", text.strip())
    if text.strip() == _FULL:
        return Budget()
    if match:
        number, unit = float(match[1].replace("_", "")), (match[2] or "steps")[0]
        if unit == "s" and number >= 1 and number == int(number):
            return Budget(steps=int(number))
        if unit in "mh" and number > 0:
            return Budget(minutes=number * (60 if unit == "h" else 1))
    raise UserError(f"--budget={text} is no budget: give steps (2000), minutes (20min), hours (1h), or full.")
