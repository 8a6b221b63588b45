"""A page on which a person looks at samples and decides: one file, and the way back from its decisions."""

from dataval.reports.report import Report, report
from dataval.reports.review import Review, apply_review

__all__ = ["Report", "Review", "apply_review", "report"]
