"""What has to be said of all answers together, after the last one."""

from typing import Optional

from hypertransformer_tf.deployment.answers import Answer
from hypertransformer_tf.deployment.picture_files import shown
from hypertransformer_tf.deployment.support_folder import NONE_OF_THESE

_OTHER = {"light": "dark", "dark": "light"}


class Remarks:
    """Counts answers that a reader could take for what they are not.

    Args:
      background: of the pictures that the classifier was made from, `light` or `dark`; None where they have none in
        common.
      threshold: the resemblance below which the answer is "none of these".
    """

    def __init__(self, background: Optional[str], threshold: float):
        self._background, self._threshold = background, threshold
        self._asked, self._none_of_these, self._greatest = 0, 0, 0.0
        self._on_other_background: list[str] = []

    def note(self, answer: Answer) -> None:
        """Counts an answer about a picture that could be read."""
        self._asked += 1
        if answer.class_name == NONE_OF_THESE:
            self._none_of_these += 1
            self._greatest = max(self._greatest, answer.resemblance)
        if answer.on_other_background:
            self._on_other_background.append(answer.file)

    def sentences(self) -> list[str]:
        """One for each kind of answer that there was."""
        said = []
        if self._none_of_these:
            greatest, threshold = _told_apart(self._greatest, self._threshold)
            said.append(
                f"{_share(self._none_of_these, self._asked)} none of these: the greatest resemblance to a class is "
                f"{greatest}, and {threshold} is asked for. The probability beside it is that of the class which it "
                "would be if it had to be one."
            )
        if self._on_other_background and self._background is not None:
            said.append(
                on_other_ground(
                    len(self._on_other_background),
                    self._asked,
                    shown(self._on_other_background[0]),
                    self._background,
                )
            )
        return said


def on_other_ground(count: int, total: int, first: str, background: str) -> str:
    """What to say of pictures on another ground than those that the classifier was made from.

    Args:
      count, total: how many are, of how many.
      first: names the first of them.
      background: of those that the classifier was made from, `light` or `dark`.
    """
    return (
        f"{_share(count, total)} on {_OTHER[background]} ground, first {first}, and the classifier was made from "
        f"pictures on {background} ground: the answer may well be wrong. Invert such pictures, or make a classifier "
        "from some of them."
    )


def _share(count: int, total: int) -> str:
    """'3 of 9 pictures are'."""
    return f"{count:,} of {total:,} picture{'' if total == 1 else 's'} {'is' if count == 1 else 'are'}"


def _told_apart(smaller: float, larger: float) -> tuple[str, str]:
    """Both with as many digits, two at least, as it takes to see that they differ."""
    digits = next((digits for digits in range(2, 9) if f"{smaller:.{digits}f}" != f"{larger:.{digits}f}"), 9)
    return f"{smaller:.{digits}f}", f"{larger:.{digits}f}"
