"""A directory appears complete or not at all."""

import pytest

from hypertransformer_tf.deployment.whole_directory import whole_directory
from hypertransformer_tf.errors import SaveError, UserError


def _write(path, content, overwrite=False):
    with whole_directory(path, marker="card.json", overwrite=overwrite) as folder:
        (folder / "card.json").write_text(content)
        assert not (path / "card.json").exists() or (path / "card.json").read_text() != content


def _refused(path, says, overwrite=False):
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(UserError, match=says):
        _write(path, "new", overwrite)
    assert sorted(path.parent.rglob("*")) == before


def test_parents_are_made_and_nothing_else_is_left(tmp_path):
    _write(tmp_path / "a" / "b", "new")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_an_existing_one_is_replaced_only_if_asked(tmp_path):
    _write(tmp_path / "it", "old")
    _refused(tmp_path / "it", "exists already")
    (tmp_path / "it" / "more").touch()
    _write(tmp_path / "it", "new", overwrite=True)
    assert [path.name for path in (tmp_path / "it").iterdir()] == ["card.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["it"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_after_an_error_everything_is_as_before(tmp_path, error):
    _write(tmp_path / "it", "old")
    for path in (tmp_path / "it", tmp_path / "other"):
        with pytest.raises(error), whole_directory(path, "card.json", overwrite=True) as folder:
            (folder / "card.json").write_text("half")
            raise error
    assert [path.name for path in tmp_path.iterdir()] == ["it"]
    assert (tmp_path / "it" / "card.json").read_text() == "old"


def test_what_is_something_else_is_never_overwritten(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").touch()
    _refused(tmp_path / "thesis", "something else", overwrite=True)
    (tmp_path / "link").symlink_to(tmp_path / "thesis")
    _refused(tmp_path / "link", "something else", overwrite=True)
    (tmp_path / "empty").mkdir()
    _write(tmp_path / "empty", "new", overwrite=True)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    _refused(tmp_path / "file" / "it", "cannot be written")


def test_a_full_disk_is_said(tmp_path):
    with pytest.raises(SaveError, match="No space left"), whole_directory(tmp_path / "it", "card.json"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []
