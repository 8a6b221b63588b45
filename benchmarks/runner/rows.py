"""One figure that a suite measured, with what it is held against."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

MEASURED, ABSENT, FAILED = "measured", "absent", "failed"


class AbsentError(Exception):
    """What a case measures isn't there: a method, a package or a device."""


@dataclass(frozen=True)
class Row:
    """A figure.

    Attributes
    ----------
    name : str
        Tells it from the other figures of its suite.
    value : float or None
        The median of the repeats, or the one figure there is; None where nothing was measured.
    unit : str
        What it counts, such as "x plain loop" or "MiB".
    low, high : float or None
        The least and the greatest of the repeats; None where there are none.
    better : {"less", "more"} or None
        Which way is better; None where neither is.
    floor, aim : float or None
        What it must reach, and what it should.
    status : {"measured", "absent", "failed"}
    note : str
        Why nothing was measured, or what one has to know.
    details : dict
        Whatever else was found; JSON.
    """

    name: str
    value: float | None
    unit: str
    low: float | None = None
    high: float | None = None
    better: Literal["less", "more"] | None = "less"
    floor: float | None = None
    aim: float | None = None
    status: str = MEASURED
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def spread(self) -> float | None:
        """How far the repeats lie apart."""
        return None if self.low is None or self.high is None else self.high - self.low

    @property
    def verdict(self) -> str:
        """Return which of floor and aim were reached."""
        if self.value is None:
            return self.status
        if self._reaches(self.aim):
            return "aim"
        if self.floor is None:
            return "below aim" if self.aim is not None else ""
        return "floor" if self._reaches(self.floor) else "MISSED"

    def _reaches(self, bound: float | None) -> bool:
        if bound is None or self.value is None:
            return False
        return self.value >= bound if self.better == "more" else self.value <= bound

    def as_json(self) -> dict[str, Any]:
        """Return what a document keeps; what is not set is left out."""
        return {
            key: value for key, value in asdict(self).items() if value is not None and value not in ("", {})
        }

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Row:
        """Read what `as_json` returned."""
        known = {each.name for each in fields(cls)}
        return cls(**{"value": None, "better": None} | {key: kept[key] for key in kept if key in known})
