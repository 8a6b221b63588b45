"""The contract between the library and a framework, and what all frameworks share."""

from dataval.backend.contract import Array, Backend, Batches, Ensemble, Linearization, Objective, Signature

__all__ = ["Array", "Backend", "Batches", "Ensemble", "Linearization", "Objective", "Signature"]
