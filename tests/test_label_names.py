"""Labels come back from their names as they were."""

import numpy as np
import pytest

from hypertransformer_tf.deployment.label_names import check_class_names, labels_of_names, type_of_labels
from hypertransformer_tf.errors import UserError


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["a b", "é"]),
        np.array(["1", "2"]),
        np.array([-3, 7]),
        np.array([1, 2], np.uint8),
        np.array([0.5, 1e-30]),
        np.array([False, True]),
    ],
)
def test_labels_come_back_as_they_were(labels):
    again = labels_of_names([str(label) for label in labels], type_of_labels(labels))
    np.testing.assert_array_equal(again, labels)
    assert again.dtype.kind == labels.dtype.kind


def test_without_a_type_they_are_names():
    assert labels_of_names(["1", "2"], None).tolist() == ["1", "2"]


@pytest.mark.parametrize("label_type", ["int64", "nonsense"])
def test_what_is_no_such_label_is_refused(label_type):
    with pytest.raises(UserError, match=label_type):
        labels_of_names(["cat"], label_type)


@pytest.mark.parametrize("name", ["", "none of these", "two\nlines", "\udcff"])
def test_names_that_would_not_come_back_are_refused(name):
    check_class_names(["cat", "é"])
    with pytest.raises(UserError, match="cannot be saved"):
        check_class_names(["cat", name])
