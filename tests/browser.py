"""A headless Chromium, driven by its DevTools protocol over a WebSocket."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def installed() -> str | None:
    """The browser's command, None where there is none."""
    return next((path for name in COMMANDS if (path := shutil.which(name))), None)


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Browser]:
    """A browser whose profile lies in `folder`."""
    from websockets.sync.client import connect

    command = installed()
    assert command is not None
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    flags += ["--disable-background-networking", "--disable-component-update", "--no-first-run"]
    process = subprocess.Popen(
        [command, *flags, f"--user-data-dir={folder}", "--remote-debugging-port=0", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = folder / "DevToolsActivePort"
        for _ in range(600):
            if port.exists() and len(port.read_text().splitlines()) == 2:
                break
            assert process.poll() is None, f"{command} ended with {process.returncode}"
            time.sleep(0.1)
        number, path = port.read_text().splitlines()
        with connect(f"ws://127.0.0.1:{number}{path}", max_size=None, compression=None) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Browser:
    """A connection to a browser; `open` gives a page."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._pages: dict[str, Page] = {}

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """The result of a command; events that arrive in between go to their pages."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while True:
            answer = json.loads(self._socket.recv(timeout=120))
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            if answer.get("sessionId") in self._pages:
                self._pages[answer["sessionId"]].events.append(answer)

    def open(self, file: Path, *, width: int = 1200, height: int = 900, dark: bool = False) -> Page:
        """A page that has loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.look(width, height, dark)
        page.call("Page.navigate", url=file.resolve().as_uri())
        page.wait_for("document.readyState === 'complete'")
        return page


class Page:
    """A page in the browser.

    Attributes:
        events: what the browser has told of it.
    """

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def look(self, width: int, height: int = 900, dark: bool = False) -> None:
        """Sets the size of the window, and which colours its user prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, script: str) -> None:
        for _ in range(300):
            if self.evaluate(script):
                return
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}")

    def press(self, key: str, text: str = "") -> None:
        """Presses a key, such as Tab or Enter."""
        code = {"Tab": 9, "Enter": 13, " ": 32}[key]
        about = {"key": key, "code": {" ": "Space"}.get(key, key), "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def screenshot(self, file: Path, *, whole: bool = True, clip: dict[str, float] | None = None) -> None:
        """Writes what the page looks like, all of it or what the window shows, as PNG."""
        about: dict[str, Any] = {"captureBeyondViewport": whole}
        if whole and clip is None:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"]}
        if clip is not None:
            about["clip"] = {**clip, "scale": 1}
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **about)["data"]))

    def pdf(self) -> bytes:
        """The page as it is printed."""
        printed = self.call("Page.printToPDF", printBackground=False, preferCSSPageSize=False)
        return base64.b64decode(printed["data"])

    def accessibility(self) -> list[dict[str, Any]]:
        """What a screen reader is told: the nodes of the accessibility tree that are not ignored."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            {"role": node["role"]["value"], "name": node.get("name", {}).get("value", "")}
            for node in nodes
            if not node.get("ignored")
        ]

    @property
    def requests(self) -> list[str]:
        """Addresses that the page asked for."""
        self.evaluate("0")  # so that what has happened is told
        return [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings in the console."""
        self.evaluate("0")
        found = [e["params"]["entry"]["text"] for e in self.events if e["method"] == "Log.entryAdded"]
        found += [str(e["params"]) for e in self.events if e["method"] == "Runtime.exceptionThrown"]
        return found + [
            str(e["params"]["args"])
            for e in self.events
            if e["method"] == "Runtime.consoleAPICalled" and e["params"]["type"] in ("error", "warning", "assert")
        ]
