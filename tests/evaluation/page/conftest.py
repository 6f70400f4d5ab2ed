"""A real browser without a window, which opens pages from files and says what it heard."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.evaluation.page.examples import LEVELS, LOWEST, SLOPE

# What goes to the loudspeaker also goes to an analyser, which the test reads.
_TAP = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (to === this.context.destination) {
    window.tap ??= new AnalyserNode(this.context, { fftSize: 2048 });
    connect.call(this, window.tap);
  }
  return connect.call(this, to, ...rest);
};
"""
_HEARD = """
const x = new Float32Array(tap.fftSize);
tap.getFloatTimeDomainData(x);
return [tap.context.currentTime, tap.context.sampleRate, Array.from(x)];
"""


@dataclass(frozen=True)
class Heard:
    """The version that sounded in the last 43 ms or so, its position (s), and the audio clock (s) then."""

    label: str
    position: float
    clock: float


class Browser:
    """Chromium, with short names for what tests do."""

    def __init__(self, driver: webdriver.Chrome, downloads: Path) -> None:
        self.driver = driver
        self.downloads = downloads

    def open(self, path: Path, view: str = "", *, width: int = 1200, dark: bool = False) -> None:
        """Loads a page of its own in a view, with a window width in CSS pixels."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get("about:blank")
        self.driver.get(path.as_uri() + (f"#{view}" if view else ""))

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def click(self, selector: str) -> None:
        self.find(selector).click()

    def text(self, selector: str) -> str:
        return self.find(selector).text

    def choose(self, selector: str, value: str) -> None:
        """Sets a field, a list or a slider, and tells the page as a user's action would."""
        script = """
        arguments[0].value = arguments[1];
        for (const event of ["input", "change"]) arguments[0].dispatchEvent(new Event(event));
        """
        self.run(script, self.find(selector), value)

    def press(self, *keys: str) -> None:
        """Keys for whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def complaints(self) -> list[str]:
        """What the console has said since the last call."""
        return [str(entry["message"]) for entry in self.driver.get_log("browser")]

    def heard(self, wanted: str = "") -> Heard:
        """What sounds now, measured at the loudspeaker; waits for sound, or the wanted version."""

        def listen() -> Heard | None:
            if not self.run("return Boolean(window.tap)"):
                return None
            now, rate, samples = self.run(_HEARD)
            x = np.array(samples)
            halves = [float(np.sqrt(2 * np.square(half).mean())) for half in np.split(x, 2)]
            nearest = [min(LEVELS, key=lambda label: abs(LEVELS[label] - level)) for level in halves]
            if (
                nearest[0] != nearest[1]
                or nearest[0] != (wanted or nearest[0])
                or any(abs(level / LEVELS[nearest[0]] - 1) > 0.1 for level in halves)
            ):
                return None
            spectrum = np.abs(np.fft.rfft(x * np.hanning(len(x)), 8 * len(x)))
            hertz = float(spectrum.argmax()) * rate / (8 * len(x))
            return Heard(nearest[0], (hertz - LOWEST) / SLOPE + len(x) / 2 / rate, now)

        return self.until(listen)

    def silence(self) -> None:
        """Waits until nothing sounds any more."""
        self.until(lambda: max(map(abs, self.run(_HEARD)[2])) < 1e-4)

    @staticmethod
    def until(ask: Callable[[], Any], seconds: float = 10.0) -> Any:
        """The first answer that is true; fails when none comes in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if answer := ask():
                return answer
            time.sleep(0.02)
        raise AssertionError(f"nothing came in {seconds:g} s")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Debian's chromium with its own chromedriver; nothing is downloaded."""
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    for name, path in found.items():
        assert path, f"{name} is not installed: apt-get install chromium chromium-driver brings it."
    options = Options()
    options.binary_location = found["chromium"] or ""
    flags = (
        "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --disable-dev-shm-usage "
        "--autoplay-policy=no-user-gesture-required"
    )
    for flag in (*flags.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(found["chromedriver"]))
    try:
        downloads = tmp_path_factory.mktemp("downloads")
        allow = {"behavior": "allow", "downloadPath": str(downloads)}
        driver.execute_cdp_cmd("Browser.setDownloadBehavior", allow)
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _TAP})
        yield Browser(driver, downloads)
    finally:
        driver.quit()
