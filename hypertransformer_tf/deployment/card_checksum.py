"""The checksum that card.json holds of itself: an edited temperature or threshold does not pass for measured."""

import hashlib
import json
from typing import Any, Mapping

KEY = "sha256"


def card_checksum(card: Mapping[str, Any]) -> str:
    """SHA-256, in hexadecimal, of all that a card says but its checksum.

    It is that of the UTF-8 JSON text with sorted keys, no spaces, and Python's shortest decimals that give the same
    float64 again, so that layout and order of the file do not matter.

    Args:
      card: JSON values.

    Raises:
      ValueError: a number is not finite, which JSON has not.
    """
    said = {key: value for key, value in card.items() if key != KEY}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
