"""The list of files in a card."""

import hashlib
import json

from hypertransformer_tf.deployment.card import file_list, write_card
from hypertransformer_tf.deployment.card_checksum import card_checksum


def test_files_in_folders_are_named_with_slashes(tmp_path):
    (tmp_path / "savedmodel" / "variables").mkdir(parents=True)
    (tmp_path / "savedmodel" / "variables" / "a").write_bytes(b"123")
    (tmp_path / "b").write_bytes(b"")
    assert file_list(tmp_path) == {
        "b": {"bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()},
        "savedmodel/variables/a": {"bytes": 3, "sha256": hashlib.sha256(b"123").hexdigest()},
    }


def test_what_is_written_holds_its_own_checksum(tmp_path):
    card = {"threshold": 0.1 + 0.2, "classes": ("Bäume", "三"), "leave_one_out": None}
    written = write_card(tmp_path, card)
    read = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    assert read["sha256"] == written["sha256"] == card_checksum(read) == card_checksum(card)
    assert write_card(tmp_path, written) == written


def test_names_stay_readable(tmp_path):
    write_card(tmp_path, {"classes": ["Bäume", "三"]})
    assert "Bäume" in (tmp_path / "card.json").read_text(encoding="utf-8")
