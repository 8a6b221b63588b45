"""Influence functions with Kronecker factors: against Gauss-Newton where exact, kept, refused, and drawn."""

from __future__ import annotations

import numpy as np
import pytest

import dataval as dv
from dataval.backend import Objective
from dataval.errors import CurvatureWarning, DamagedFileError, InvalidModelError, RunMismatchError
from tests.numpy_backend import Batch, NumpyObjective, SoftmaxRegression
from tests.zoo.data import N_CLASSES, N_FEATURES, Samples, features

pytestmark = pytest.mark.usefixtures("numpy_backend")

N, N_VAL, DECAY = 16, 5, 0.1
VALIDATION = features(N_VAL, seed=2)
ONLY = np.eye(N)[3]
EXACT = {"kfac": dv.KFAC(fisher="exact"), "ekfac": dv.EKFAC(fisher="exact")}


def model():
    rng = np.random.default_rng(0)
    return SoftmaxRegression(rng.normal(size=(N_FEATURES, N_CLASSES)), rng.normal(size=N_CLASSES))


def make(samples=None, weights=None, decay=DECAY, seed=1):
    """A learner of softmax regression, its samples and a short run."""
    samples = features(N, seed=1) if samples is None else samples
    training = dv.Training(
        optimizer=dv.SGD(learning_rate=0.1, weight_decay=decay), epochs=2, batch_size=5, seed=seed
    )
    learner = dv.Learner(model(), training=training, progress=False)
    return learner, samples, learner.train(*samples, weights)


def influence(made, **options):
    learner, samples, run = made
    return dv.InfluenceFunction(learner, **options).fit(*samples, run=run)


def same_inputs():
    """Samples whose inputs are alike, so that inputs and outputs are independent."""
    samples = features(N, seed=1)
    return Samples(np.repeat(samples.X[:1], N, axis=0), samples.y)


@pytest.fixture
def without_layers(monkeypatch):
    monkeypatch.setattr(NumpyObjective, "layer_gradients", Objective.layer_gradients)


CASES = {"one sample": lambda: make(weights=ONLY), "the same inputs": lambda: make(same_inputs())}


@pytest.fixture(params=CASES)
def factorising(request):
    """A run where the Gauss-Newton matrix is a Kronecker product."""
    return CASES[request.param]()


@pytest.mark.parametrize("curvature", EXACT)
@pytest.mark.parametrize("normalize", [False, "theta", "loss"])
def test_equals_gauss_newton_where_that_is_a_product(factorising, curvature, normalize):
    found = influence(factorising, curvature=EXACT[curvature], damping=0.2, normalize=normalize)
    expected = influence(factorising, solver="exact", damping=0.2, normalize=normalize)
    # Both are dense in float64; the matrices' condition is below 100.
    for ask in ("attribute", "score"):
        values, truth = getattr(found, ask)(*VALIDATION), getattr(expected, ask)(*VALIDATION)
        np.testing.assert_allclose(values, truth, rtol=0, atol=1e-10 * np.abs(truth).max())
    np.testing.assert_allclose(found.self_scores(), expected.self_scores(), rtol=1e-9)
    assert found.diagnostics_ == {
        "covered": ["linear"],
        "uncovered": [],
        "damping": {"linear": 0.2},
        "converged": True,
    }


@pytest.mark.parametrize("kind", [dv.KFAC, dv.EKFAC])
def test_drawn_targets_approach_all_of_them(kind):
    made = make()
    truth = influence(made, curvature=kind(fisher="exact")).score(*VALIDATION)
    errors = []
    for n_draws in (1, 400):
        found = influence(made, curvature=kind(n_draws=n_draws)).score(*VALIDATION)
        errors.append(np.linalg.norm(found - truth) / np.linalg.norm(truth))
    # 16 samples of one draw are off by tens of percent; 400 times as many draws by a twentieth of that.
    assert errors[1] < 0.05
    assert errors[1] < errors[0] / 5


def test_the_seed_alone_decides_what_is_drawn():
    made = make()
    first = influence(made, curvature="ekfac").attribute(*VALIDATION)
    np.testing.assert_array_equal(influence(made, curvature=dv.EKFAC(seed=0)).attribute(*VALIDATION), first)
    chunked = influence(made, curvature="ekfac", chunk_size=3).attribute(*VALIDATION)
    np.testing.assert_allclose(chunked, first, rtol=0, atol=1e-12)
    other = influence(made, curvature=dv.EKFAC(seed=1)).attribute(*VALIDATION)
    assert np.abs(other - first).max() > 1e-3 * np.abs(first).max()


@pytest.mark.parametrize("kind", [dv.KFAC, dv.EKFAC])
@pytest.mark.parametrize("fisher", ["sampled", "empirical", "exact"])
def test_score_is_the_mean_of_attribute(kind, fisher):
    method = influence(make(), curvature=kind(fisher=fisher), damping="layer")
    matrix = method.attribute(*VALIDATION)
    assert matrix.shape == (N_VAL, N)
    np.testing.assert_allclose(matrix.mean(axis=0), method.score(*VALIDATION), rtol=0, atol=1e-12)


def test_the_empirical_fisher_is_that_of_the_given_targets():
    made = make(weights=np.linspace(0, 1.5, N))
    method = influence(made, curvature=dv.EKFAC(fisher="empirical"), damping=0.3)
    replay = made[0].replay(*made[1], made[2])
    batch = replay.program.batches.take(np.arange(N))
    rows = replay.program.backend.objective().rows(replay.final.parameters, replay.final.buffers, batch)[0]
    spectrum = method._factors_at(method._replay, method._kronecker()).spectra[0]
    # 4 updates an epoch, 5 samples a batch: s = 1/20; the sum of squares is the trace.
    expected = (replay.program.weights @ rows**2).sum() / 20
    assert spectrum.eigenvalues.sum() == pytest.approx(expected, rel=1e-10)


def test_damping_and_decay_can_be_changed_without_another_pass(monkeypatch):
    made = make()
    method = influence(made, curvature="ekfac", damping=0.5)
    method.score(*VALIDATION)
    monkeypatch.setattr("dataval.methods.factored.find_spectra", lambda *_: pytest.fail("found again"))
    for damping in (0.1, {"linear": 0.1}):
        found = method.set_params(damping=damping).score(*VALIDATION)
        assert method.diagnostics_["damping"] == {"linear": 0.1}
    np.testing.assert_allclose(found, method.set_params(damping=0.1).score(*VALIDATION), rtol=1e-12)


def test_what_has_no_curvature_is_left_out_and_said():
    made = make(weights=ONLY, decay=0.0)
    method = influence(made, curvature="kfac", damping=0.0)
    with pytest.warns(dv.errors.SolverWarning, match="'linear' is singular.*positive damping"):
        values = method.score(*VALIDATION)
    assert np.isfinite(values).all()
    assert not method.diagnostics_["converged"]


def test_factors_are_in_the_plan_of_memory():
    plan = influence(make(), curvature="ekfac").plan_memory(3, call="attribute")
    (need,) = [need for need in plan.needs if "factors" in need.what]
    # S (3, 3) and A (7, 7) with their eigenvectors, and 21 eigenvalues; twice 8 bytes each.
    assert 16 * (2 * (9 + 49) + 21) <= need.n_bytes <= 16 * (2 * (9 + 64) + 21)
    assert "factors" not in str(influence(make()).plan_memory(3))


# ---- kept factors ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [dv.KFAC(), dv.EKFAC(fisher="empirical", sharing="reduce")])
def test_saved_factors_give_the_same_values(tmp_path, monkeypatch, kind):
    made = make()
    method = influence(made, curvature=kind)
    expected = method.attribute(*VALIDATION)
    assert method.save_factors(tmp_path / "kept") == tmp_path / "kept"
    monkeypatch.setattr("dataval.methods.factored.find_spectra", lambda *_: pytest.fail("found again"))
    loaded = influence(made, curvature=kind).load_factors(tmp_path / "kept")
    np.testing.assert_array_equal(loaded.attribute(*VALIDATION), expected)


def test_factors_are_found_where_they_are_saved_first(tmp_path):
    made = make()
    influence(made, curvature="ekfac").save_factors(tmp_path / "kept")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        influence(made, curvature="ekfac").save_factors(tmp_path / "kept")
    influence(made, curvature="kfac").save_factors(tmp_path / "kept", overwrite=True)
    with pytest.raises(RunMismatchError, match=r"are those of KFAC.*ask for the same"):
        influence(made, curvature="ekfac").load_factors(tmp_path / "kept")


def test_stale_factors_are_refused(tmp_path):
    influence(make(), curvature="ekfac").save_factors(tmp_path / "kept")
    weights = np.linspace(0.5, 1.5, N)
    others = {
        "at other parameters": make(seed=2),
        "on other training data": make(features(N, seed=4)),
        "under other sample weights": make(weights=weights),
    }
    for message, made in others.items():
        with pytest.raises(RunMismatchError, match=message):
            influence(made, curvature="ekfac").load_factors(tmp_path / "kept")
    with pytest.raises(RunMismatchError, match="are those of"):
        influence(make(), curvature=dv.EKFAC(seed=3)).load_factors(tmp_path / "kept")


def test_damaged_and_missing_factors_are_named(tmp_path):
    made = make()
    method = influence(made, curvature="ekfac")
    with pytest.raises(FileNotFoundError, match="no set of curvature factors"):
        method.load_factors(tmp_path)
    method.save_factors(tmp_path / "kept")
    (path,) = (tmp_path / "kept").glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DamagedFileError, match="damaged"):
        method.load_factors(tmp_path / "kept")
    with pytest.raises(ValueError, match="curvature='gauss_newton' has no factors"):
        influence(made).save_factors(tmp_path / "other")


# ---- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"curvature": "kron"}, ValueError, "curvature must be 'hessian'.*'ekfac'"),
        ({"curvature": "kfac", "solver": "lissa"}, ValueError, "closed form.*leave solver out"),
        ({"curvature": "kfac", "damping": "auto"}, ValueError, "damping must be.*'layer'"),
        ({"curvature": "kfac", "damping": -1}, ValueError, "damping must be"),
        ({"curvature": "kfac", "damping": {"conv": 0.1}}, ValueError, "no layer 'conv'.*they are linear"),
        ({"curvature": "kfac", "damping": {}}, ValueError, "'linear' has none"),
        ({"damping": "layer"}, TypeError, "damping must be a number.*'kfac' or 'ekfac' alone"),
        ({"damping": {"linear": 0.1}}, TypeError, "damping must be a number"),
    ],
)
def test_nonsense_is_refused_before_training(options, error, message, monkeypatch):
    learner, samples, _ = make()
    monkeypatch.setattr("dataval.methods.of_run.carry_out", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(error, match=message):
        dv.InfluenceFunction(learner, **options).fit(*samples)


@pytest.mark.parametrize("option", [{"n_draws": 2}, {"seed": 1}])
def test_options_that_play_no_part_are_refused(option):
    with pytest.raises(ValueError, match=r"is for fisher='sampled'"):
        dv.EKFAC(fisher="empirical", **option)


@pytest.mark.usefixtures("without_layers")
def test_a_sample_without_a_finite_gradient_is_named(monkeypatch):
    made, plain = make(), Batch.rows

    def rows(self, parameters):
        return np.where(self.x[:, :1] == made[1].X[5, 0], np.nan, plain(self, parameters))

    monkeypatch.setattr(Batch, "rows", rows)
    method = influence(made, curvature=dv.EKFAC(fisher="empirical"))
    with pytest.raises(dv.errors.InvalidDataError, match="training sample 5"):
        method.score(*VALIDATION)


# ---- backends that know no layers -----------------------------------------------------------------


@pytest.mark.usefixtures("without_layers")
def test_without_layers_a_warning_names_what_is_not_covered():
    method = influence(make(), curvature=dv.EKFAC(fisher="empirical", uncovered="block"), damping=0.3)
    with pytest.warns(CurvatureWarning, match=r"no Kronecker factors are known for 'the model'.*'block'"):
        found = method.score(*VALIDATION)
    assert method.diagnostics_["uncovered"] == ["the model"]
    method.score(*VALIDATION)  # said once
    learner, samples, run = make()
    replay = learner.replay(*samples, run)
    at = replay.final.parameters, replay.final.buffers
    objective = replay.program.backend.objective()
    rows = objective.rows(*at, replay.program.batches.take(np.arange(N)))[0]
    matrix = rows.T @ rows / 20 + (DECAY + 0.3) * np.eye(rows.shape[1])  # s = 1/20
    held_out = replay.program.backend.batches(dv.data.as_data(*VALIDATION)).take(np.arange(N_VAL))
    slope = objective.rows(*at, held_out)[0].mean(axis=0)
    np.testing.assert_allclose(found, rows @ np.linalg.solve(matrix, slope) / 20, rtol=1e-9)


@pytest.mark.usefixtures("without_layers")
def test_without_layers_given_targets_are_all_there_is():
    learner, samples, _ = make()
    with pytest.raises(InvalidModelError, match=r"'numpy' has gradients of given targets alone.*'empirical'"):
        dv.InfluenceFunction(learner, curvature="ekfac").fit(*samples)
