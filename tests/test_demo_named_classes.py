"""Classes that a visitor of the page collects, and what is refused of them."""

import numpy as np
import pytest

from hypertransformer_tf.demo.named_classes import add_class, add_pictures, remove_class, support_of
from hypertransformer_tf.deployment.support_folder import MOST_PICTURES
from hypertransformer_tf.errors import UserError

PICTURES = [np.full((4, 4, 1), value, np.uint8) for value in range(3)]


def test_pictures_come_into_their_class_in_order():
    classes = add_pictures(add_pictures({}, " one ", PICTURES[:1]), "two", PICTURES[1:2])
    classes = add_pictures(classes, "one", PICTURES[2:])
    images, labels = support_of(classes, most_classes=2)
    assert labels == ["one", "one", "two"]
    np.testing.assert_array_equal(images, np.stack([PICTURES[0], PICTURES[2], PICTURES[1]]))


def test_classes_are_values_that_nothing_changes():
    before = add_pictures({}, "one", PICTURES[:1])
    add_pictures(before, "one", PICTURES)
    add_pictures(before, "two", PICTURES)
    remove_class(before, "one")
    assert list(before) == ["one"] and len(before["one"]) == 1


def test_a_class_can_be_removed():
    classes = add_class(add_class({}, "one"), "two")
    assert list(remove_class(classes, " one")) == ["two"]


def _classes(*sizes):
    return {f"class {index}": tuple(PICTURES[:size]) for index, size in enumerate(sizes)}


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: add_class({}, "  "), "The class has no name"),
        (lambda: add_class({}, "a\nb"), "cannot be saved"),
        (lambda: add_class({}, "none of these"), "cannot be saved"),
        (lambda: add_class({"tree": ()}, "Tree"), "'tree' and 'Tree' differ only in case"),
        (lambda: add_pictures({}, "a", PICTURES[:1] * (MOST_PICTURES + 1)), "2,001 pictures and at most 2,000"),
        (lambda: remove_class({"a": ()}, "b"), "There is no class 'b'"),
        (lambda: support_of({}, 5), "There is no class yet"),
        (lambda: support_of(_classes(1), 5), "one class only, 'class 0'"),
        (lambda: support_of(_classes(1, 1, 1), 2), "3 classes and the model tells at most 2 apart"),
        (lambda: support_of(_classes(1, 0, 1), 5), "Class 'class 1' has no picture"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(call, said):
    with pytest.raises(UserError) as error:
        call()
    assert said in str(error.value) and "\n" not in str(error.value)
