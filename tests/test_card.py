"""The list of files in a card."""

import hashlib

from hypertransformer_tf.deployment.card import file_list, write_card


def test_files_in_folders_are_named_with_slashes(tmp_path):
    (tmp_path / "savedmodel" / "variables").mkdir(parents=True)
    (tmp_path / "savedmodel" / "variables" / "a").write_bytes(b"123")
    (tmp_path / "b").write_bytes(b"")
    assert file_list(tmp_path) == {
        "b": {"bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()},
        "savedmodel/variables/a": {"bytes": 3, "sha256": hashlib.sha256(b"123").hexdigest()},
    }


def test_names_stay_readable(tmp_path):
    write_card(tmp_path, {"classes": ["Bäume", "三"]})
    assert "Bäume" in (tmp_path / "card.json").read_text(encoding="utf-8")
