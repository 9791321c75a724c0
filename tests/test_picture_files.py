"""Files are found and read one after another; what is wrong with one does not touch the others."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from small_classifier import draw

from hypertransformer_tf.deployment.picture_files import (
    any_colourful,
    entries,
    find_pictures,
    folded_name,
    read_pictures,
    shown,
)
from hypertransformer_tf.deployment.preprocessing import Preprocessing
from hypertransformer_tf.errors import UserError

GREY = Preprocessing(16, 1)


def _save(path, pixels=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw(0, 0) if pixels is None else pixels).save(path, "PNG")
    return str(path)


def _error(path):
    (picture,) = read_pictures([str(path)], GREY)
    assert picture.image is None and str(path) in picture.error
    return picture.error


def _bomb(path, width, height):
    """A PNG file whose header names many pixels."""

    def chunk(name, content):
        checked = name + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


def test_pictures_come_in_the_order_of_their_paths_whichever_is_read_first(tmp_path):
    paths = [
        _save(tmp_path / f"{index}.png", np.full((4 + 90 * (index % 2), 9), index, np.uint8)) for index in range(99)
    ]
    read = list(read_pictures(iter(paths), GREY))
    assert [picture.path for picture in read] == paths
    assert [int(picture.image.max()) for picture in read] == list(range(99))


def test_paths_are_taken_as_they_are_needed(tmp_path):
    path, taken = _save(tmp_path / "a.png"), []

    def many():
        for index in range(10_000):
            taken.append(index)
            yield path

    pictures = read_pictures(many(), GREY)
    next(pictures)
    pictures.close()
    assert len(taken) < 200


def test_a_picture_of_one_pixel_is_a_picture(tmp_path):
    (picture,) = read_pictures([_save(tmp_path / "a.png", np.full((1, 1), 77, np.uint8))], GREY)
    assert picture.image.shape == (16, 16, 1) and set(picture.image.ravel()) == {77}


def test_the_content_counts_and_not_the_ending(tmp_path):
    (picture,) = read_pictures([_save(tmp_path / "picture.txt")], GREY)
    np.testing.assert_array_equal(picture.image[..., 0], draw(0, 0))
    (tmp_path / "text.png").write_text("this is text")
    assert "no known image format" in _error(tmp_path / "text.png")


@pytest.mark.parametrize("size", [(20_000, 20_000), (65_000, 65_000), (1_000_000, 100)])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(tmp_path, size):
    assert "80,000,000" in _error(_bomb(tmp_path / "bomb.png", *size))


def test_what_cannot_be_read_is_named(tmp_path):
    whole = _save(tmp_path / "whole.png", np.random.default_rng(0).integers(0, 256, (50, 50), dtype=np.uint8))
    cut = tmp_path / "cut.png"
    with open(whole, "rb") as file:
        cut.write_bytes(file.read()[:1000])
    (tmp_path / "empty.png").touch()
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "nothing")
    for name in ("cut.png", "empty.png", "loop.png", "nowhere.png"):
        assert "replace or remove it" in _error(tmp_path / name)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert "no regular file" in _error(tmp_path / "pipe.png")


def test_a_folder_gives_all_files_below_it_without_hidden_ones(tmp_path):
    paths = [_save(tmp_path / name) for name in ("a.png", "b/c d.png", "b/é.png")]
    _save(tmp_path / ".hidden/x.png")
    (tmp_path / "b" / ".DS_Store").touch()
    (tmp_path / "Thumbs.db").touch()
    assert find_pictures(str(tmp_path)) == paths
    assert find_pictures(paths[1]) == [paths[1]]
    assert entries(tmp_path) == [str(tmp_path / "a.png"), str(tmp_path / "b")]


def test_a_loop_of_links_ends(tmp_path):
    path = _save(tmp_path / "a" / "picture.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert find_pictures(str(tmp_path)) == [path]


def test_a_path_to_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        find_pictures(str(tmp_path / "nothing"))


def test_colour_is_noticed_only_where_some_would_be_lost(tmp_path):
    grey = _save(tmp_path / "grey.png", np.repeat(draw(0, 0)[..., np.newaxis], 3, axis=2))
    plain = _save(tmp_path / "plain.png")
    (tmp_path / "text.png").write_text("no picture")
    assert not any_colourful([grey, plain, str(tmp_path / "text.png")])
    red = np.zeros((9, 9, 3), np.uint8)
    red[4, 4, 0] = 255
    assert any_colourful([grey, plain, _save(tmp_path / "red.png", red)])


def test_colour_is_noticed_wherever_among_many_files_it_begins(tmp_path):
    grey = [_save(tmp_path / f"{index:02}.png") for index in range(40)]
    red = np.zeros((9, 9, 3), np.uint8)
    red[4, 4, 0] = 255
    assert not any_colourful(grey) and not any_colourful([])
    assert any_colourful([*grey, *(_save(tmp_path / f"red {index}.png", red) for index in range(5))])


def test_names_that_some_file_systems_take_for_one_are_told(tmp_path):
    assert folded_name("Cat") == folded_name("cAT") and folded_name("é") == folded_name("E\u0301")
    assert folded_name("cat") != folded_name("cats")


def test_names_are_shown_without_what_a_terminal_would_act_on():
    assert shown("a b é 三.png") == "a b é 三.png"
    assert shown("a\x1b[2Jb\n\udcff") == "a\\x1b[2Jb\\n\\udcff"
