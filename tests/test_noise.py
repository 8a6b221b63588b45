"""Injected noise: exact counts, right classes, honest masks, and arrays left alone."""

import numpy as np
import pytest

from dataval import noise

LABELS = np.arange(1000) % 4


def sample(seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((50, 2, 6, 5)), rng.integers(0, 3, size=50)


CALLS = {
    "flip_labels": lambda seed: noise.flip_labels(LABELS, 0.3, seed=seed),
    "pair_flips": lambda seed: noise.pair_flips(LABELS, 0.3, seed=seed),
    "class_dependent_flips": lambda seed: noise.class_dependent_flips(LABELS, np.full((4, 4), 0.25), seed=seed),
    "target_noise": lambda seed: noise.target_noise(np.arange(30.0), 0.5, seed=seed),
    "feature_noise": lambda seed: noise.feature_noise(sample()[0], 0.5, seed=seed),
    "outliers": lambda seed: noise.outliers(sample()[0], 0.5, seed=seed),
    "backdoor_patch": lambda seed: noise.backdoor_patch(*sample(), 0.4, target=1, seed=seed),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_seed_decides(call):
    first, again, other = call(3), call(3), call(4)
    from_generator = call(np.random.default_rng(3))
    for a, b, c in zip(first, again, from_generator, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    assert not np.array_equal(first.is_noisy, other.is_noisy)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("seed", [-1, 0.5, None, True, "0"])
def test_seed_is_checked(call, seed):
    with pytest.raises(ValueError, match="seed must be a whole number"):
        call(seed)


@pytest.mark.parametrize("flip", [noise.flip_labels, noise.pair_flips])
@pytest.mark.parametrize(("fraction", "count"), [(0.0, 0), (0.2, 2), (0.26, 3), (1.0, 10)])
def test_flips_change_exactly_the_share_asked_for(flip, fraction, count):
    y = np.arange(10) % 3
    noisy = flip(y, fraction)
    assert noisy.is_noisy.sum() == count
    assert noisy.is_noisy.dtype == np.bool_
    np.testing.assert_array_equal(noisy.y != np.arange(10) % 3, noisy.is_noisy)
    np.testing.assert_array_equal(y, np.arange(10) % 3)
    assert noisy.y is not y
    assert not np.shares_memory(noisy.y, y)


def test_symmetric_flips_are_uniform_over_the_other_classes():
    y = np.full(30_000, 2)
    flipped = noise.flip_labels(y, 1.0, classes=[0, 1, 2, 3]).y
    counts = np.bincount(flipped, minlength=4)
    assert counts[2] == 0
    # Binomial(30,000, 1/3) has standard deviation 82.
    np.testing.assert_allclose(counts[[0, 1, 3]], 10_000, atol=400)


def test_flipped_samples_are_chosen_from_everywhere():
    where = np.flatnonzero(noise.flip_labels(LABELS, 0.5).is_noisy)
    assert where.mean() == pytest.approx(500, abs=60)


def test_pair_flips_go_to_the_next_class():
    noisy = noise.pair_flips([5, 7, 9, 9], 1.0)
    assert noisy.y.tolist() == [7, 9, 5, 5]
    assert noise.pair_flips([5, 7, 9], 1.0, classes=[9, 7, 5]).y.tolist() == [9, 5, 7]


@pytest.mark.parametrize("flip", [noise.flip_labels, noise.pair_flips])
def test_flips_keep_the_dtype_and_take_strings(flip):
    assert flip(LABELS.astype(np.uint8), 0.2).y.dtype == np.uint8
    assert flip(np.array([False, True]), 1.0).y.tolist() == [True, False]
    assert flip(["a", "bb"], 1.0).y.tolist() == ["bb", "a"]
    assert flip(["a", "a"], 1.0, classes=["a", "long"]).y.tolist() == ["long", "long"]


def test_class_dependent_flips_follow_their_matrix():
    y = np.repeat([0, 1, 2], 20_000)
    transition = np.array([[1.0, 0.0, 0.0], [0.3, 0.5, 0.2], [0.0, 1.0, 0.0]])
    noisy = noise.class_dependent_flips(y, transition)
    shares = [np.bincount(noisy.y[y == c], minlength=3) / 20_000 for c in range(3)]
    np.testing.assert_array_equal(shares[0], [1, 0, 0])
    np.testing.assert_array_equal(shares[2], [0, 1, 0])
    np.testing.assert_allclose(shares[1], [0.3, 0.5, 0.2], atol=0.02)
    np.testing.assert_array_equal(noisy.y != y, noisy.is_noisy)


@pytest.mark.parametrize(("relative", "expected"), [(True, 0.5 * 3.0), (False, 0.5)])
def test_target_noise_has_the_scale_asked_for(relative, expected):
    y = 7.0 + 3.0 * np.where(np.arange(20_000) % 2, 1.0, -1.0)
    before = y.copy()
    noisy = noise.target_noise(y, 0.5, scale=0.5, relative=relative)
    assert noisy.is_noisy.sum() == 10_000
    added = noisy.y - y
    assert added[noisy.is_noisy].std() == pytest.approx(expected, rel=0.05)
    assert added[noisy.is_noisy].mean() == pytest.approx(0.0, abs=0.05 * expected)
    np.testing.assert_array_equal(added != 0, noisy.is_noisy)
    np.testing.assert_array_equal(y, before)


def test_target_noise_scales_each_target_by_its_own_spread():
    y = np.outer(np.where(np.arange(20_000) % 2, 1.0, -1.0), [1.0, 100.0])
    noisy = noise.target_noise(y, 1.0)
    np.testing.assert_allclose((noisy.y - y).std(axis=0), [1.0, 100.0], rtol=0.05)
    assert noisy.is_noisy.shape == (20_000,)


def test_mask_marks_what_really_changed():
    # The noise is lost in float32's rounding.
    y = np.array([1.0, 2.0, 1e6], dtype=np.float32)
    noisy = noise.target_noise(y, 1.0, scale=1e-6, relative=False)
    assert noisy.y.dtype == np.float32
    assert not noisy.is_noisy[2]
    np.testing.assert_array_equal(noisy.is_noisy, noisy.y != y)


def test_whole_number_targets_become_floats():
    assert noise.target_noise([1, 2, 3], 1.0).y.dtype == np.float64


def test_feature_noise_changes_whole_samples_and_spares_constant_features():
    X = np.random.default_rng(0).normal(size=(2000, 3)) * [1.0, 10.0, 0.0]
    before = X.copy()
    noisy = noise.feature_noise(X, 0.25, scale=2.0)
    assert noisy.is_noisy.sum() == 500
    added = (noisy.X - X)[noisy.is_noisy]
    np.testing.assert_allclose(added.std(axis=0), [2.0, 20.0, 0.0], rtol=0.1)
    np.testing.assert_array_equal(noisy.X[~noisy.is_noisy], X[~noisy.is_noisy])
    np.testing.assert_array_equal(X, before)


def test_feature_noise_is_clipped_in_the_changed_samples_alone():
    X = np.random.default_rng(0).random((100, 1, 4, 4)) * 3.0
    noisy = noise.feature_noise(X, 0.5, relative=False, clip=(0.0, 1.0))
    assert noisy.X[noisy.is_noisy].min() == 0.0
    assert noisy.X[noisy.is_noisy].max() == 1.0
    np.testing.assert_array_equal(noisy.X[~noisy.is_noisy], X[~noisy.is_noisy])


@pytest.mark.parametrize(
    ("layout", "shape", "patch"),
    [
        ("NCHW", (50, 2, 6, 5), np.s_[:, :, 4:, 3:]),
        ("NHWC", (50, 6, 5, 2), np.s_[:, 4:, 3:, :]),
        ("NHW", (50, 6, 5), np.s_[:, 4:, 3:]),
    ],
)
def test_backdoor_patch_by_layout(layout, shape, patch):
    X, y = np.random.default_rng(0).random(shape), np.arange(50) % 5
    X_before, y_before = X.copy(), y.copy()
    noisy = noise.backdoor_patch(X, y, 0.2, target=3, layout=layout, size=2)
    mask = noisy.is_noisy
    assert mask.sum() == 10
    assert (y[mask] != 3).all()
    assert (noisy.y[mask] == 3).all()
    np.testing.assert_array_equal(noisy.y[~mask], y[~mask])
    assert (noisy.X[mask][patch] == X.max()).all()
    outside = np.ones(X.shape, dtype=bool)
    outside[patch] = False
    outside[~mask] = True
    np.testing.assert_array_equal(noisy.X[outside], X[outside])
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)


@pytest.mark.parametrize(
    ("corner", "where"),
    [
        ("top_left", np.s_[:2, :2]),
        ("top_right", np.s_[:2, -2:]),
        ("bottom_left", np.s_[-2:, :2]),
        ("bottom_right", np.s_[-2:, -2:]),
    ],
)
def test_backdoor_corner_and_value(corner, where):
    X = np.zeros((2, 5, 7), dtype=np.uint8)
    noisy = noise.backdoor_patch(X, [0, 1], 0.5, target=1, layout="NHW", size=2, corner=corner, value=200)
    expected = np.zeros((5, 7))
    expected[where] = 200
    np.testing.assert_array_equal(noisy.X[0], expected)
    assert noisy.X.dtype == np.uint8
    assert noisy.is_noisy.tolist() == [True, False]


def test_outliers_fill_the_range_of_each_feature_and_of_all_pixels():
    X = np.random.default_rng(0).normal(size=(4000, 3)) * [1.0, 10.0, 0.0] + [0.0, 5.0, 2.0]
    before = X.copy()
    noisy = noise.outliers(X, 0.5)
    np.testing.assert_array_equal(X, before)
    assert noisy.is_noisy.sum() == 2000
    np.testing.assert_array_equal(noisy.X[~noisy.is_noisy], X[~noisy.is_noisy])
    drawn, low, high = noisy.X[noisy.is_noisy], X.min(axis=0), X.max(axis=0)
    assert (drawn >= low).all()
    assert (drawn <= high).all()
    # Uniform: mean and spread of 2,000 draws, to four standard errors.
    np.testing.assert_allclose(drawn.mean(axis=0), (low + high) / 2, atol=0.03 * np.ptp(X, axis=0).max())
    np.testing.assert_allclose(drawn.std(axis=0), (high - low) / 12**0.5, rtol=0.05)
    images = np.zeros((10, 1, 4, 4), dtype=np.float32)
    images[:, :, 0] = 1.0
    noisy = noise.outliers(images, 0.3)
    assert noisy.X.dtype == np.float32
    assert (noisy.X[noisy.is_noisy][:, 0, 1] > 0).all()
    assert noisy.is_noisy.sum() == 3


def test_outliers_refuse_bad_features():
    for X, message in [(np.array([[np.nan]]), "NaN"), (np.array([[1, 2]]), "astype")]:
        with pytest.raises(ValueError, match=message):
            noise.outliers(X, 0.5)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, np.nan])
def test_fraction_is_checked(fraction):
    with pytest.raises(ValueError, match=r"fraction must (lie between 0 and 1|be a finite number)"):
        noise.flip_labels(LABELS, fraction)
    with pytest.raises(ValueError, match=r"fraction must (lie between 0 and 1|be a finite number)"):
        noise.target_noise(np.arange(3.0), fraction)


@pytest.mark.parametrize(
    ("y", "classes", "message"),
    [
        ([0.5, 1.5], None, "choose target_noise"),
        ([[0, 1]], None, "shape"),
        (np.array([], dtype=int), None, "n > 0"),
        ([1, 1], None, "one class"),
        ([0, 1, 5], [0, 1, 2], "y holds 5"),
        ([0, 1, 9], [9, 1], "y holds 0"),
        ([0, 1], [0, 0, 1], "different labels"),
        ([0, 1], ["0", "1"], "use one kind"),
        (np.array([0, 1], dtype=np.uint8), [0, 1, 300], "do not fit"),
    ],
)
@pytest.mark.parametrize("flip", [noise.flip_labels, noise.pair_flips])
def test_bad_labels_are_refused(flip, y, classes, message):
    with pytest.raises(ValueError, match=message):
        flip(y, 0.5, classes=classes)


@pytest.mark.parametrize(
    ("transition", "message"),
    [
        (np.eye(3), r"shape \(4, 4\)"),
        (np.eye(4) * 0.9, "sum to 1"),
        (np.eye(4) + np.diag([-1, 1, 0], 1) * 0.5, "negative"),
        (np.full((4, 4), np.nan), "NaN"),
    ],
)
def test_bad_transitions_are_refused(transition, message):
    with pytest.raises(ValueError, match=message):
        noise.class_dependent_flips(LABELS, transition)


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        (np.array([[np.nan]]), {}, "NaN"),
        (np.array([[1, 2]]), {}, "astype"),
        (np.zeros((0, 3)), {}, "n > 0"),
        (np.ones((3, 2)), {}, "relative=False"),
        (np.eye(3), {"scale": 0.0}, "scale"),
        (np.eye(3), {"scale": np.inf}, "scale"),
        (np.eye(3), {"clip": (1, 0)}, "clip"),
    ],
)
def test_bad_features_are_refused(X, options, message):
    with pytest.raises(ValueError, match=message):
        noise.feature_noise(X, 0.5, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 7}, "target 7 is not among"),
        ({"target": "1"}, "target '1' is not among"),
        ({"fraction": 0.9}, "only .* have another"),
        ({"layout": "CHW"}, "layout must be "),
        ({"layout": "NHW"}, "3 axes"),
        ({"corner": "middle"}, "corner must be "),
        ({"size": 6}, "5 pixels"),
        ({"size": 0}, "size must be"),
        ({"value": np.nan}, "finite number"),
        ({"y": [0, 1]}, "50 images and y 2 labels"),
    ],
)
def test_bad_backdoors_are_refused(options, message):
    X, y = sample()
    arguments = {"X": X, "y": y, "fraction": 0.2, "target": 1, **options}
    with pytest.raises(ValueError, match=message):
        noise.backdoor_patch(**arguments)


@pytest.mark.parametrize("value", [0.5, 256, -1])
def test_patch_that_bytes_cannot_hold_is_refused(value):
    X = np.zeros((2, 5, 5), dtype=np.uint8)
    with pytest.raises(ValueError, match="uint8"):
        noise.backdoor_patch(X, [0, 1], 0.5, target=1, layout="NHW", value=value)
