"""What calls take of memory, told beforehand."""

import numpy as np
import pytest

import dataval as dv
from dataval import memory_plan as memory
from dataval.errors import InsufficientMemoryError
from dataval.memory_plan import MemoryPlan, Need, available_memory


def test_what_does_not_fit_names_the_largest_need_and_its_cure():
    needs = [Need("small things", 2**20, "do less"), Need("large things", 3 * 2**20, "do much less")]
    plan = MemoryPlan.of("a call", [*needs, Need("nothing", 0, "")], 2**21)
    assert (plan.n_bytes, plan.fits, len(plan.needs)) == (2**22, False, 2)
    with pytest.raises(InsufficientMemoryError, match=r"4 MiB, and 2 MiB .* large things .* do much less"):
        plan.check()
    MemoryPlan.of("a call", needs, None).check()
    MemoryPlan.of("a call", needs, 2**22).check()
    assert str(plan).splitlines()[1].split() == ["3", "MiB", "large", "things", "(do", "much", "less)"]


def test_the_least_of_machine_and_container_is_available(tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemTotal: 10 kB\nMemAvailable: 8 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert available_memory() == 8192
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("2000\n")
    assert available_memory() == 3000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory() == 8192
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "nowhere")
    assert available_memory() is None


@pytest.fixture(scope="module")
def fitted():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    training = dv.Training(optimizer=dv.Adam(learning_rate=0.01), epochs=3, batch_size=5)
    learner = dv.Learner(torch.nn.Linear(4, 3).double(), training=training, progress=False)
    return learner, dv.HyDRA(learner, hessian=True).fit(X, y), X, y


def test_plans_count_what_is_kept(fitted):
    learner, hydra, X, y = fitted
    plan = learner.plan_memory(X, y)
    assert any(need.n_bytes == (12 + 3) * 3 * 15 * 8 for need in plan.needs)  # states of P = 15, Adam's slots
    asked = hydra.plan_memory(7, call="attribute")
    assert any(need.n_bytes == 8 * 7 * 20 for need in asked.needs)
    assert any("7 questions" in need.what for need in asked.needs)
    assert asked.n_bytes > hydra.plan_memory(7).n_bytes
    with pytest.raises(ValueError, match="call must be"):
        hydra.plan_memory(7, call="explain")


def test_calls_are_refused_before_work(fitted, monkeypatch):
    learner, hydra, X, y = fitted
    monkeypatch.setattr("dataval.backend.contract.available_memory", lambda: 3000)
    with pytest.raises(InsufficientMemoryError, match=r"training would take .*max_bytes"):
        learner.train(X, y)
    with pytest.raises(InsufficientMemoryError, match=r"HyDRA.attribute would take .* chunk_size"):
        hydra.attribute(X, y)
    monkeypatch.setattr("dataval.backend.contract.available_memory", lambda: None)
    assert hydra.attribute(X[:2], y[:2]).shape == (2, 20)


def test_results_count_where_they_lie(fitted, monkeypatch):
    _, hydra, X, y = fitted
    monkeypatch.setattr(type(hydra._replay.program.backend), "is_accelerated", True)
    assert not any("values" in need.what for need in hydra.plan_memory(7, call="attribute").needs)
    monkeypatch.setattr("dataval.methods.of_run.available_memory", lambda: 8 * 7 * 20 - 1)
    with pytest.raises(InsufficientMemoryError, match="7 x 20 values"):
        hydra.attribute(X[:7], y[:7])
