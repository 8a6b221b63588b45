"""A suite: a name, what it is about, and its cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from typing import Literal, Protocol

from benchmarks.runner.clock import Action, interleaved
from benchmarks.runner.rows import ABSENT, FAILED, AbsentError, Row
from benchmarks.runner.settings import Settings


class Case(Protocol):
    """Something that a suite measures by itself; `rows` yields the figures."""

    name: str

    def rows(self, settings: Settings) -> Iterable[Row]:
        """Measure."""

    def missing(self, status: str, note: str) -> Row:
        """Return the row for when there is nothing to measure."""


@dataclass(frozen=True)
class Ratio:
    """The time of one action over that of another, measured in turn in this process.

    Attributes
    ----------
    name : str
    prepare : callable
        Settings -> the action, or an `AbsentError`. What it does isn't timed.
    over : callable
        Settings -> what the action is held against.
    unit : str
    floor, aim : float, optional
        What the ratio must be, and should.
    better : {"less", "more"}
    inverse : bool
        Report how many times as fast instead.
    repeats : int, optional
        Fewer than the settings' at most.
    """

    name: str
    prepare: Callable[[Settings], Action]
    over: Callable[[Settings], Action]
    unit: str = "x plain loop"
    floor: float | None = None
    aim: float | None = None
    better: Literal["less", "more"] = "less"
    inverse: bool = False
    repeats: int | None = None

    def rows(self, settings: Settings) -> Iterable[Row]:
        """Time both."""
        action, base, clock = self.prepare(settings), self.over(settings), settings.clock
        repeats = min(settings.repeats, self.repeats or settings.repeats)
        times = interleaved(action, base, repeats=repeats, budget=settings.budget, clock=clock)
        ratios = sorted(1 / ratio if self.inverse else ratio for ratio in times.ratios)
        median = 1 / times.ratio if self.inverse else times.ratio
        yield Row(
            name=self.name,
            value=round(median, 3),
            unit=self.unit,
            low=round(ratios[0], 3),
            high=round(ratios[-1], 3),
            better=self.better,
            floor=self.floor,
            aim=self.aim,
            note="" if times.warmed else "one timing, not warmed up",
            details={
                "clock": clock.name,
                "seconds": [round(t, 4) for t in times.action],
                "seconds_of_base": [round(t, 4) for t in times.base],
            },
        )

    def missing(self, status: str, note: str) -> Row:
        """Return the row without a figure."""
        return Row(
            self.name,
            None,
            self.unit,
            better=self.better,
            floor=self.floor,
            aim=self.aim,
            status=status,
            note=note,
        )


@dataclass(frozen=True)
class Figures:
    """Figures that a function finds by itself.

    Attributes
    ----------
    name : str
    find : callable
        Settings -> rows.
    unit : str
        Of the row that says why there is nothing.
    """

    name: str
    find: Callable[[Settings], Iterable[Row]]
    unit: str = ""

    def rows(self, settings: Settings) -> Iterable[Row]:
        """Yield what the function finds."""
        return self.find(settings)

    def missing(self, status: str, note: str) -> Row:
        """Return the row without a figure."""
        return Row(self.name, None, self.unit, better=None, status=status, note=note)


@dataclass(frozen=True)
class Suite:
    """What is measured together.

    Attributes
    ----------
    name : str
    about : str
        What it measures, in a sentence or two.
    cases : sequence of Case
    cpu_only : bool
        Whether it makes no use of an accelerator.
    strict : bool
        Whether a row below its floor is a failure.
    """

    name: str
    about: str
    cases: Sequence[Case] = field(default=())
    cpu_only: bool = False
    strict: bool = False

    def measure(
        self, settings: Settings, only: Sequence[str] = (), tell: Callable[[Row], object] = lambda _: None
    ) -> list[Row]:
        """Measure every case that `only` chooses; what can't be measured is named in its row.

        Parameters
        ----------
        settings : Settings
        only : sequence of str
            Patterns of names, as in a shell; all by default.
        tell : callable
            Called with every row as it comes.
        """
        found: list[Row] = []
        for case in self.chosen(only):
            for row in self._rows(case, settings):
                if settings.quick and not self.strict:
                    row = replace(row, floor=None, aim=None)  # so little work reaches nothing
                found.append(row)
                tell(row)
        return found

    def failures(self, rows: Iterable[Row]) -> int:
        """Return how many rows failed."""
        return sum(row.status == FAILED or (self.strict and row.verdict == "MISSED") for row in rows)

    def chosen(self, only: Sequence[str] = ()) -> list[Case]:
        """Return the cases whose names match one of the patterns."""
        return [case for case in self.cases if not only or any(_matches(case.name, each) for each in only)]

    def _rows(self, case: Case, settings: Settings) -> Iterable[Row]:
        try:
            yield from case.rows(settings)
        except AbsentError as error:
            yield case.missing(ABSENT, str(error))
        except Exception as error:  # noqa: BLE001 - named in the row, and the other cases go on
            yield case.missing(FAILED, f"{type(error).__name__}: {error}"[:500])


def _matches(name: str, pattern: str) -> bool:
    return fnmatch(name.lower(), f"*{pattern.lower()}*")
