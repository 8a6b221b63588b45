"""BM25 by its definition, and similarities of inputs."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.errors import InvalidDataError
from tests.runs import N, make_learner, make_samples

DOCUMENTS = np.array([[1, 2, 3, 0, 0], [2, 2, 4, 5, 0], [6, 7, 8, 9, 10], [1, 6, 0, 0, 0]])
QUERIES = np.array([[2, 2, 3, 99, 0], [7, 0, 0, 0, 0]])
LABELS, ASKED = np.array([0, 1, 0, 1]), np.array([0, 1])


def plain_bm25(k1, b):
    documents = [[t for t in row if t] for row in DOCUMENTS]
    mean = np.mean([len(d) for d in documents])
    found = np.zeros((2, 4))
    for i, query in enumerate(QUERIES):
        for t in query[query != 0]:
            n = sum(t in d for d in documents)
            rarity = np.log(1 + (4 - n + 0.5) / (n + 0.5))
            for j, d in enumerate(documents):
                if not (count := d.count(t)):
                    continue
                found[i, j] += rarity * count * (k1 + 1) / (count + k1 * (1 - b + b * len(d) / mean))
    return found


@pytest.mark.parametrize(("k1", "b"), [(1.2, 0.75), (0.0, 0.5), (2.0, 0.0), (1.5, 1.0)])
def test_bm25_equals_its_definition(k1, b):
    bm25 = dv.BM25(k1=k1, b=b, ignore=[0]).fit(DOCUMENTS, LABELS)
    expected = plain_bm25(k1, b)
    np.testing.assert_allclose(bm25.attribute(QUERIES, ASKED), expected, rtol=1e-12)
    np.testing.assert_allclose(bm25.score(QUERIES, ASKED), expected.mean(axis=0), rtol=1e-12)


def test_tokens_that_do_not_count_and_queries_of_another_length():
    masked = {"input_ids": DOCUMENTS, "attention_mask": (DOCUMENTS != 0).astype(int)}
    asked = {"input_ids": QUERIES[:, :4], "attention_mask": (QUERIES[:, :4] != 0).astype(int)}
    found = dv.BM25().fit(masked, LABELS).attribute(asked, ASKED)
    np.testing.assert_allclose(found, plain_bm25(1.2, 0.75), rtol=1e-12)
    named = {"words": DOCUMENTS, "places": np.zeros_like(DOCUMENTS)}
    bm25 = dv.BM25(tokens="words", ignore=[0]).fit(named, LABELS)
    found = bm25.attribute({"words": QUERIES, "places": np.zeros_like(QUERIES)}, ASKED)
    np.testing.assert_allclose(found, plain_bm25(1.2, 0.75), rtol=1e-12)


def test_another_label_changes_the_sign():
    signed = dv.BM25(ignore=[0], signed=True).fit(DOCUMENTS, LABELS).attribute(QUERIES, ASKED)
    signs = np.where(ASKED[:, None] == LABELS, 1, -1)
    np.testing.assert_allclose(signed, signs * plain_bm25(1.2, 0.75), rtol=1e-12)
    with pytest.raises(InvalidDataError, match="signed=True needs one label a sample"):
        dv.BM25(signed=True).fit(DOCUMENTS, LABELS + 0.5).score(QUERIES, ASKED)


def test_what_holds_no_tokens_is_named():
    with pytest.raises(InvalidDataError, match="token ids, whole numbers: the inputs X hold X"):
        dv.BM25().fit(*make_samples())
    two = {"a": DOCUMENTS, "b": DOCUMENTS}
    with pytest.raises(InvalidDataError, match="name one by tokens="):
        dv.BM25().fit(two, LABELS)
    with pytest.raises(InvalidDataError, match="tokens='c' is none of whole numbers"):
        dv.BM25(tokens="c").fit(two, LABELS)


def test_nothing_in_common_and_nothing_at_all():
    assert (dv.BM25(ignore=[0]).fit(DOCUMENTS, LABELS).score([[77, 78]], [0]) == 0).all()
    assert (dv.BM25(ignore=[0]).fit(np.zeros((3, 2), int), [0, 1, 1]).score([[0, 1]], [0]) == 0).all()


@pytest.mark.parametrize("signed", [False, True])
def test_similarity_of_inputs(signed):
    samples, validation = make_samples(), make_samples(n=4, seed=2)
    found = {
        metric: dv.InputSimilarity(metric=metric, signed=signed).fit(*samples).attribute(*validation)
        for metric in ("cosine", "euclidean")
    }
    for i, j in np.ndindex(4, N):
        x, z = validation.X[i], samples.X[j]
        sign = -1 if signed and validation.y[i] != samples.y[j] else 1
        assert found["cosine"][i, j] == pytest.approx(sign * x @ z / np.linalg.norm(x) / np.linalg.norm(z))
        assert found["euclidean"][i, j] == pytest.approx(sign / (1 + np.linalg.norm(x - z)))
    method = dv.InputSimilarity(signed=signed).fit(*samples)
    np.testing.assert_allclose(method.score(*validation), found["cosine"].mean(axis=0), rtol=1e-12)


def test_similarity_of_features():
    samples, validation = make_samples("cnn_batch_norm"), make_samples("cnn_batch_norm", 4, seed=2)
    method = dv.InputSimilarity(features=lambda X: X.mean(axis=(2, 3)), metric="euclidean").fit(*samples)
    means = [each.X.mean(axis=(1, 2, 3)) for each in (validation, samples)]
    expected = 1 / (1 + np.abs(means[0][:, None] - means[1]))
    np.testing.assert_allclose(method.attribute(*validation), expected, rtol=1e-6)
    with pytest.raises(InvalidDataError, match=r"features returned shape \(1,\) for 20 samples"):
        dv.InputSimilarity(features=lambda X: np.ones(1)).fit(*samples)
    with pytest.raises(InvalidDataError, match="features returned numbers that are not finite"):
        dv.InputSimilarity(features=lambda X: np.full(len(X), np.nan)).fit(*samples)


@pytest.mark.parametrize("kind", [dv.BM25, dv.InputSimilarity])
def test_no_learner_is_needed_but_to_verify(zoo, kind):
    tokens = make_samples("transformer")
    assert kind().fit(*tokens).run_ is None
    with pytest.raises(TypeError, match="verify trains again, and so needs a learner"):
        kind().fit(*tokens).verify(*tokens)
    with pytest.raises(TypeError, match=f"learner of {kind.__name__} must be"):
        kind(3).fit(*tokens)
    assert kind(make_learner(zoo)).fit(*make_samples("transformer")).score(*tokens).shape == (N,)
