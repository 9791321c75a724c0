"""The graphs that are served: what they compute, what padding changes (nothing), and what they refuse."""

import functools

import numpy as np
import pytest
import served_model as served
import small_model as small
import tensorflow as tf

from hypertransformer_tf.serving.signatures import ServedWeights, SignatureGraphs


@functools.lru_cache(maxsize=None)
def _model_and_signatures():
    model = served.make_model()
    return model, SignatureGraphs(model).build()


def _ask(signature, **inputs):
    outputs = _model_and_signatures()[1][signature](**{name: tf.constant(value) for name, value in inputs.items()})
    (output,) = outputs.values()
    return output.numpy()


def _expected(task, queries=small.QUERY):
    model, classes = _model_and_signatures()[0], served.CLASSES[task]
    weights = model.generate(small.SUPPORT[task], served.LABELS[task], served.MASK[task], n_way=classes)
    return tf.nn.softmax(model.classify(queries[task], weights)).numpy()


def test_each_task_has_the_models_probabilities_for_as_many_classes_as_its_labels_say():
    answer = _ask("few_shot", **served.few_shot())
    for task, classes in enumerate(served.CLASSES):
        np.testing.assert_allclose(answer[task, :, :classes], _expected(task), atol=1e-5)
        np.testing.assert_array_equal(answer[task, :, classes:], 0.0)


def test_generate_once_and_classify_often_is_few_shot():
    weights = _ask("generate", **served.support())
    whole = _ask("few_shot", **served.few_shot())
    one_by_one = [_ask("classify", weights=weights, query_images=small.QUERY[:, i : i + 1]) for i in range(4)]
    np.testing.assert_allclose(np.concatenate(one_by_one, 1), whole, atol=1e-6)


def test_a_padded_support_sample_changes_nothing_whatever_it_holds():
    request = served.few_shot()
    noise = np.random.default_rng(9).integers(0, 256, (2, 3, *small.SHAPE), dtype=np.uint8)
    padded = {
        "support_images": np.concatenate([noise[:, :1], small.SUPPORT, noise[:, 1:]], 1),
        "support_labels": np.pad(served.LABELS, ((0, 0), (1, 2)), constant_values=77),
        "support_mask": np.pad(served.MASK, ((0, 0), (1, 2)), constant_values=1),
        "query_images": small.QUERY,
    }
    np.testing.assert_allclose(_ask("few_shot", **padded), _ask("few_shot", **request), atol=1e-6)
    del padded["query_images"]
    expected = _ask("generate", **served.support())
    np.testing.assert_allclose(_ask("generate", **padded), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_padding_changes_nothing_of_a_model_with_shared_batch_norm():
    features = {"shared_batch_norm": True, "shared_layers": 2, "shared_dim": 5}
    model = served.make_model(cnn={"normalisation": "task"}, transformer={"layers": 1}, features=features)
    graph, request = SignatureGraphs(model).build()["few_shot"], served.few_shot()
    padded = dict(request)
    for name, value in {"support_images": 200, "support_labels": 77, "support_mask": 1}.items():
        widths = [(0, 0), (2, 1)] + [(0, 0)] * (request[name].ndim - 2)
        padded[name] = np.pad(request[name], widths, constant_values=value)
    answers = [
        graph(**{name: tf.constant(value) for name, value in given.items()})["probabilities"].numpy()
        for given in (request, padded)
    ]
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-5)


def test_tasks_of_one_request_do_not_see_each_other():
    together = _ask("few_shot", **served.few_shot())
    alone = [_ask("few_shot", **{name: value[i : i + 1] for name, value in served.few_shot().items()}) for i in (0, 1)]
    np.testing.assert_allclose(np.concatenate(alone), together, atol=1e-6)


@pytest.mark.parametrize("changes", [{"cnn": {"normalisation": "support"}}, {"generator": {"bias": True}}])
@pytest.mark.slow
def test_other_models_are_served_as_well(changes):
    cnn = {"normalisation": "task", **changes.pop("cnn", {})}
    model = served.make_model(cnn=cnn, transformer={"layers": 1}, features={"shared_layers": 0}, **changes)
    signatures = SignatureGraphs(model).build()
    weights = signatures["generate"](**{name: tf.constant(value) for name, value in served.support().items()})
    answer = signatures["classify"](query_images=tf.constant(small.QUERY), **weights)["probabilities"].numpy()
    generated = model.generate(small.SUPPORT, served.LABELS, served.MASK, n_way=tf.constant(served.CLASSES))
    np.testing.assert_allclose(answer, tf.nn.softmax(model.classify(small.QUERY, generated)), atol=1e-5)


@pytest.mark.parametrize(
    "change, says",
    [
        ({"support_labels": np.where(served.LABELS == 2, 3, served.LABELS)}, "labels go from 0 to 2 for this 3-way"),
        ({"support_labels": np.where(served.LABELS == -1, -2, served.LABELS)}, "-1 means no label"),
        (
            {"support_labels": np.where(served.LABELS == 1, -1, served.LABELS)},
            "every class from 0 to the highest label",
        ),
        ({"support_labels": np.minimum(served.LABELS, 0)}, "at least 2 classes"),
        ({"support_mask": np.ones_like(served.MASK)}, "at least 2 classes"),
        ({"support_mask": 2 * served.MASK}, "1 ignores a sample and 0 does not"),
        ({"support_mask": served.MASK[:, 1:]}, "differ in (tasks, samples)"),
        ({"support_images": small.SUPPORT[:, 1:]}, "differ in (tasks, samples)"),
        ({"query_images": small.QUERY[:1]}, "different numbers of tasks"),
        ({"query_images": small.QUERY[:, :0]}, "give at least one per task"),
    ],
)
def test_a_wrong_request_is_refused_with_a_sentence(change, says):
    with pytest.raises(tf.errors.InvalidArgumentError) as refused:
        _ask("few_shot", **{**served.few_shot(), **change})
    assert says in refused.value.message


def test_weights_that_are_not_finite_are_refused():
    weights = _ask("generate", **served.support())
    weights[1, 5] = np.nan
    with pytest.raises(tf.errors.InvalidArgumentError, match="weights: not finite"):
        _ask("classify", weights=weights, query_images=small.QUERY)


def test_every_variable_that_is_read_is_kept_once():
    model, signatures = _model_and_signatures()
    kept = ServedWeights(model, signatures).variables_by_name
    assert sorted(kept) == sorted(model.named_variables())
    assert len({id(variable) for variable in kept.values()}) == len(kept)
