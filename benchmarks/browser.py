"""Headless Chromium, driven through a pair of pipes: the DevTools protocol, without any package or port."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

__all__ = ["Browser", "find_chromium"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_WAIT = 30.0
_PIPES = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)
"""Chromium reads commands from file 3 and writes to file 4, each message ended by a zero byte."""

_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--mute-audio",
)


def find_chromium() -> str | None:
    """Return the path of a Chromium, or None."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Browser:
    """A page in a headless browser. As a context manager it ends the browser.

    Attributes
    ----------
    requests : list of str
        The addresses that were asked for since the last `open`, but for the page's own and data in the page.
    messages : list of str
        Errors, warnings and blocked content since then.
    """

    def __init__(self, executable: str) -> None:
        self.requests: list[str] = []
        self.messages: list[str] = []
        self.home = Path(tempfile.mkdtemp(prefix="dataval-chromium-"))
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        flags = [*_FLAGS, f"--user-data-dir={self.home}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PIPES, str(commands), str(answers), executable, *flags],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self._attach()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the browser, and remove what it kept."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._commands)
        os.close(self._answers)
        shutil.rmtree(self.home, ignore_errors=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Carry out a command of the protocol and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._commands, data) :]
        number, end = self._number, time.monotonic() + _WAIT
        while True:
            found = self._read(end, method)
            if found.get("id") == number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']}")
                result: dict[str, Any] = found["result"]
                return result
            self._notice(found)

    def open(self, address: str | Path, width: int = 1400, height: int = 900, *, dark: bool = False) -> None:
        """Open a page in a window of a size, in light or dark colours."""
        self.resize(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url="about:blank")
        self.requests, self.messages = [], []
        self.call("Page.navigate", url=Path(address).as_uri() if isinstance(address, Path) else address)
        self.until("document.readyState === 'complete' && performance.getEntriesByName('start').length")

    def resize(self, width: int, height: int) -> None:
        """Give the window another size."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def run(self, script: str) -> Any:
        """Return what an expression is in the page; promises are awaited."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    @contextmanager
    def frame(self) -> Iterator[None]:
        """Be in the page's sandboxed frame, a target of its own, for a while."""
        session, self._session = self._session, None
        targets = self.call("Target.getTargets")["targetInfos"]
        frame = next(each["targetId"] for each in targets if each["type"] == "iframe")
        self._session = self.call("Target.attachToTarget", targetId=frame, flatten=True)["sessionId"]
        try:
            yield
        finally:
            self._session = session

    def until(self, script: str) -> Any:
        """Wait until an expression is true."""
        end = time.monotonic() + _WAIT
        while not (found := self.run(script)):
            if time.monotonic() > end:
                raise TimeoutError(f"{script} is not true; {self.messages}")
            time.sleep(0.02)
        return found

    def settle(self) -> None:
        """Wait until the page has been drawn twice."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def work(self) -> float:
        """Return the seconds of CPU that the page's main thread has taken, whatever else the machine does."""
        found = self.call("Performance.getMetrics")["metrics"]
        return float(next(each["value"] for each in found if each["name"] == "TaskDuration"))

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=_code(key), **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=_code(key))

    def picture(self, path: Path) -> Path:
        """Write what the window shows as a PNG."""
        self.settle()
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
        return path

    @contextmanager
    def downloads(self) -> Iterator[Path]:
        """Keep what is downloaded in a folder for a while."""
        with tempfile.TemporaryDirectory() as name:
            session, self._session = self._session, None
            self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=name)
            self._session = session
            yield Path(name)

    def _attach(self) -> None:
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Performance.enable", timeDomain="threadTicks")

    def _read(self, end: float, what: str) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise TimeoutError(f"the browser does not answer {what}")
            data = os.read(self._answers, 2**20)
            if not data:
                raise RuntimeError("the browser has ended")
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _notice(self, event: dict[str, Any]) -> None:
        name, given = event.get("method"), event.get("params", {})
        if name == "Network.requestWillBeSent":
            address = given["request"]["url"]
            is_own = given.get("type") == "Document" and given["requestId"] == given["loaderId"]
            if not is_own and not address.startswith(("data:", "blob:")):
                self.requests.append(address)
        elif name == "Runtime.exceptionThrown":
            self.messages.append(str(given["exceptionDetails"].get("exception", given)))
        elif name == "Log.entryAdded":
            self.messages.append(given["entry"]["text"])


def _code(key: str) -> str:
    return f"Key{key.upper()}" if len(key) == 1 and key.isalpha() else key
