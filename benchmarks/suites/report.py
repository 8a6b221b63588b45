"""The report of 10,000 images in headless Chromium: its size, first paint, filters, and what it asks for.

First paint is the browser's own figure. A filter is timed in the page from the change of the address to the
frame in which the new tiles are drawn; beside it, the CPU that the page's main thread took, which other work on
the machine doesn't change.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

import dataval as dv
from benchmarks.browser import Browser, find_chromium
from benchmarks.runner.rows import AbsentError, Row
from benchmarks.runner.settings import Settings
from benchmarks.runner.suite import Figures, Suite
from dataval.reports import Report

FILTERS = (
    "given=3",
    "differs=true",
    "sign=negative",
    "low=0&high=1",
    "search=12",
    "order=disagree",
    "order=random",
)

TIMED = """(async () => {{
  const start = performance.now();
  location.hash = "{fragment}";
  await new Promise((done) => addEventListener("hashchange", done, {{ once: true }}));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - start;
}})()"""

PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def make(n: int) -> Report:
    """Make a report of images of Fashion-MNIST under two methods."""
    data = dv.datasets.load_fashion_mnist(n_train=n, n_val=1)
    y, is_noisy = dv.noise.flip_labels(data.y_train, 0.1, seed=0)
    rng = np.random.default_rng(0)
    values = rng.normal(size=n) - 2 * is_noisy
    methods = {"first": values, "second": values + rng.normal(size=n)}
    suggested = np.where(rng.random(n) < 0.9, data.y_train, y)
    return dv.report(
        methods, data.X_train, y, predictions=suggested, is_noisy=is_noisy, class_names=list(data.class_names)
    )


def find(settings: Settings) -> Iterator[Row]:
    executable = find_chromium()
    if executable is None:
        raise AbsentError("there is no Chromium")
    n = settings.pick(10_000, 500)
    start = time.perf_counter()
    page = make(n)
    yield Row(f"making it of {n} images", round(time.perf_counter() - start, 2), "s")
    yield Row("its size", round(page.n_bytes / 1e6, 2), "MB", floor=25.0)
    with tempfile.TemporaryDirectory() as folder, Browser(executable) as browser:
        yield from shown(browser, page.save(Path(folder) / "report.html"), settings.repeats)


def shown(browser: Browser, path: Path, repeats: int) -> Iterator[Row]:
    """Yield what a browser takes to show a report."""
    paints, elapsed, worked, requests = [], [], [], 0
    for _ in range(repeats):
        browser.open(path)
        paints.append(browser.until(PAINT))
        times, works = zip(*(filtered(browser, fragment) for fragment in FILTERS), strict=True)
        elapsed.append(times)
        worked.append(works)
        requests += len(browser.requests)
    yield timed("first paint", paints, 1000.0)
    yield slowest("elapsed", elapsed, None)
    yield slowest("the main thread's CPU", worked, 100.0)
    yield Row("requests", float(requests), "requests", floor=0.0)


def filtered(browser: Browser, fragment: str) -> tuple[float, float]:
    """Return the milliseconds that a filter took, and those of CPU."""
    before = browser.work()
    elapsed = float(browser.run(TIMED.format(fragment=fragment)))
    return elapsed, 1000 * (browser.work() - before)


def slowest(what: str, found: list[tuple[float, ...]], floor: float | None) -> Row:
    """Return the filter with the largest median, and the medians of all."""
    medians = np.median(found, axis=0)
    details = {name: round(each, 1) for name, each in zip(FILTERS, medians.tolist(), strict=True)}
    times = np.array(found)[:, medians.argmax()].tolist()
    return timed(f"the slowest of {len(FILTERS)} filters, {what}", times, floor, details)


def timed(name: str, found: list[float], floor: float | None, details: dict[str, float] | None = None) -> Row:
    """Return the median of times in milliseconds, with their range."""
    low, high = round(min(found), 1), round(max(found), 1)
    return Row(name, round(median(found), 1), "ms", low=low, high=high, floor=floor, details=details or {})


SUITE = Suite(
    "report",
    "The report of 10,000 images of Fashion-MNIST in headless Chromium: size, first paint, filters from the "
    "change of the address to the drawn tiles, and requests to a network.",
    [Figures("report", find, "")],
    cpu_only=True,
)
