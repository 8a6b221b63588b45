"""The machine and the versions that figures were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from benchmarks.runner.settings import Settings

VERSIONS = ("dataval", "numpy", "scipy", "scikit-learn", "torch", "tensorflow", "keras")


def machine(settings: Settings) -> dict[str, Any]:
    """Describe the machine, the settings that bear on speed, and the versions."""
    found = {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_GiB": _memory(),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "threads": settings.threads,
        "device": settings.device,
        "device_name": _device_name(settings.device),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {name: version for name in VERSIONS if (version := _version(name))},
    }
    return {key: value for key, value in found.items() if value is not None}


def in_words(described: dict[str, Any]) -> str:
    """Return the machine in one line."""
    versions = described.get("versions", {})
    where = described.get("device_name") or described.get("device", "cpu")
    frameworks = ", ".join(f"{name} {versions[name]}" for name in ("torch", "tensorflow") if name in versions)
    return (
        f"{described.get('cpu', 'unknown processor')}, {described.get('cores')} cores, "
        f"{described.get('threads')} threads, on {where}; Python {described.get('python')}, {frameworks}; "
        f"load {described.get('load_before', 'unknown')}"
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _device_name(device: str) -> str | None:
    if not device.startswith("cuda"):
        return None
    import torch

    return torch.cuda.get_device_name(device)


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
