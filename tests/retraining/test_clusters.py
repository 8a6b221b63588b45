"""Leave-one-out on Dask's and Ray's workers: the same values to the last bit, also where a worker is killed."""

from __future__ import annotations

import os
import signal
import warnings
from importlib import import_module
from threading import Thread
from time import sleep

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import dataval as dv
from dataval.errors import WorkerLostWarning
from tests.runs import N, make_learner, make_samples

SAMPLES = make_samples()


@pytest.fixture(scope="module")
def torch_zoo():
    pytest.importorskip("torch")
    return import_module("tests.zoo.torch_models")


@pytest.fixture(scope="module")
def run(torch_zoo):
    learner = make_learner(torch_zoo)
    return learner, learner.train(*SAMPLES)


@pytest.fixture(scope="module")
def serial(run):
    return leave_one_out(run)


def leave_one_out(run, **options):
    learner, trained = run
    options = {"group_size": 1} | options
    return dv.LeaveOneOut(learner, **options).fit(*SAMPLES, run=trained).score(*SAMPLES)


@pytest.fixture(scope="module")
def dask():
    distributed = pytest.importorskip("distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ports, and of what Dask's own dependencies do
        cluster = distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None, silence_logs=50)
        with cluster, distributed.Client(cluster) as client:
            yield client


def test_dask_gives_the_same_though_a_worker_is_killed(run, serial, dask, tmp_path):
    """It is killed when a third is there; those results stay, and its work is done by the other."""
    pids = list(dask.run(os.getpid).values())

    def kill():
        while sum(len(p.read_bytes().splitlines()) for p in tmp_path.glob("*/*.jsonl")) < N // 3:
            sleep(0.01)
        os.kill(pids[0], signal.SIGKILL)

    killer = Thread(target=kill)
    killer.start()
    with joblib.parallel_config("dask"), warnings.catch_warnings():
        warnings.simplefilter("ignore", WorkerLostWarning)  # only where the worker alone had what all need
        found = leave_one_out(run, folder=tmp_path)
    killer.join()
    np.testing.assert_array_equal(found, serial)


def test_dask_is_sent_the_same_few_bytes_for_every_task(dask):
    """What all tasks need goes once: a task's own size doesn't grow with the number of samples."""
    from joblib import parallel
    from joblib._dask import DaskDistributedBackend

    sizes = []

    class Counting(DaskDistributedBackend):
        async def _to_func_args(self, func):
            found = await super()._to_func_args(func)
            sizes.append(sum(len(part) for part in dask_frames(found)))
            return found

    def dask_frames(found):
        from distributed.protocol import serialize

        return serialize([[a for a in args if not hasattr(a, "key")] for _, args, _ in found[1]])[1]

    parallel.register_parallel_backend("counting", Counting)
    X = np.random.default_rng(0).normal(size=(4000, 50))
    y = (X[:, 0] > 0).astype(int)
    largest = []
    with joblib.parallel_config("counting"):
        for n in (100, 4000):
            sizes.clear()
            dv.LeaveOneOut(LogisticRegression(), indices=range(3)).fit(X[:n], y[:n]).score(X[:50], y[:50])
            largest.append(max(sizes))
    assert largest[1] <= largest[0] + 16  # a few digits more in a header


def test_ray_gives_the_same(run, serial):
    ray = pytest.importorskip("ray")
    from ray.util.joblib import register_ray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
        register_ray()
        try:
            with joblib.parallel_config("ray", n_jobs=2):
                found = leave_one_out(run)
        finally:
            ray.shutdown()
    np.testing.assert_array_equal(found, serial)
