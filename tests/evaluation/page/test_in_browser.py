"""The page in a real browser: it plays, switches, tests ears, sorts, and obeys the keyboard."""

from __future__ import annotations

import csv
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binomtest
from selenium.webdriver.common.keys import Keys

from codec.cli import main
from codec.evaluation import page
from codec.evaluation.page import render
from tests.evaluation.page.conftest import Browser
from tests.evaluation.page.examples import EVIL, LABELS, SECONDS, clips, report

STATIC = Path(page.__file__).parent / "static"
VIEWS = ("results", "listen", "abx", "mushra", "codebooks")
MOST_APART = 0.05  # seconds that a switch may move the position


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("page") / "page.html"
    written.write_text(render(report(), clips()), encoding="utf-8")
    return written


@pytest.fixture(autouse=True)
def _no_complaints(browser: Browser) -> Iterator[None]:
    browser.complaints()
    yield
    assert browser.complaints() == []


def test_every_view_opens_and_file_names_are_only_text(browser: Browser, path: Path) -> None:
    browser.open(path)
    for view in VIEWS:
        browser.click(f"#tab-{view}")
        assert [part for part in VIEWS if browser.find(f"#{part}").is_displayed()] == [view]
    shown = EVIL  # a character that turns text around stays, isolated in its element
    browser.click("#tab-listen")
    assert browser.run("return document.querySelector('#clip').options[0].text") == shown
    assert browser.all("[onerror], body b:not([id])") == []
    assert shown in browser.run("return [...document.querySelectorAll('bdi')].map((e) => e.textContent)")
    loaded = browser.run("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []


def apart(position: float, other: float) -> float:
    """Seconds between two positions in a loop of SECONDS, forward or back."""
    return (position - other + SECONDS / 2) % SECONDS - SECONDS / 2


def test_a_player_plays_pauses_and_seeks(browser: Browser, path: Path) -> None:
    def clock() -> float:
        return float(browser.run("return tap.context.currentTime"))

    browser.open(path, "listen")
    browser.click("#next-clip")
    browser.click("#listen .play")
    first = browser.heard()
    second = browser.until(lambda: (now := browser.heard()).clock > first.clock + 0.3 and now)
    assert first.label == second.label == "Original"
    assert apart(second.position - second.clock, first.position - first.clock) == pytest.approx(
        0, abs=MOST_APART
    )

    before = clock()
    browser.click("#listen .play")
    after = clock()
    shown = float(browser.find("#listen .seek").get_attribute("value") or "nan")
    waited = apart(shown, second.position + before - second.clock)
    assert -MOST_APART <= waited <= after - before + MOST_APART
    time.sleep(0.2)
    assert float(browser.find("#listen .seek").get_attribute("value") or "nan") == shown
    browser.silence()

    browser.choose("#listen .seek", "2")
    before = clock()
    browser.click("#listen .play")
    heard = browser.heard()
    started = heard.clock - apart(heard.position, 2)
    assert before - MOST_APART <= started <= clock()


def test_switching_keeps_the_position_within_50_ms(browser: Browser, path: Path) -> None:
    browser.open(path, "listen")
    browser.press("n")
    browser.press(" ")
    before = browser.heard()
    for key, label in (("2", LABELS[0]), ("4", LABELS[2]), ("1", "Original"), (Keys.ARROW_DOWN, LABELS[0])):
        browser.press(key)
        after = browser.heard(label)
        moved = apart(after.position - after.clock, before.position - before.clock)
        assert moved == pytest.approx(0, abs=MOST_APART)


def test_without_a_loop_it_stops_at_the_end_and_starts_again(browser: Browser, path: Path) -> None:
    browser.open(path, "listen")
    browser.press("l")
    assert browser.find("#listen .loop").get_attribute("aria-pressed") == "false"
    browser.press(*[Keys.ARROW_RIGHT] * 2)
    browser.press("k")
    browser.heard()
    browser.until(lambda: browser.find("#listen .play").get_attribute("aria-label") == "Play")
    assert browser.find("#listen .seek").get_attribute("value") == "0"
    browser.press("k")
    assert browser.heard().label == "Original"


def test_abx_counts_right_and_its_p_value_is_that_of_the_binomial_test(browser: Browser, path: Path) -> None:
    browser.open(path, "abx")
    answers = [True, True, False, True, True, True, False, True]
    browser.choose("#abx-trials", "8")
    pages: dict[str, set[str]] = {}
    for number, right in enumerate(answers, start=1):
        browser.press("x")
        truth = "A" if browser.heard().label == "Original" else "B"
        browser.press("k", Keys.HOME)
        browser.silence()
        # Nothing that the page holds may depend on what X is.
        pages.setdefault(truth, set()).add(_without_results(browser))
        browser.press("1" if right == (truth == "A") else "2")
        correct = sum(answers[:number])
        assert browser.text("#abx-score") == f"{correct} of {number}"
        expected = binomtest(correct, number, alternative="greater").pvalue
        assert float(browser.text("#abx-p")) == pytest.approx(expected, abs=0.0006)
        assert f"X was {truth}" in browser.text("#abx-verdict")
    assert len(set().union(*pages.values())) == 1
    assert "Done: 6 of 8 correct, p = 0.145" in browser.text("#abx-verdict")
    assert not browser.find("#x-is-a").is_enabled()
    browser.click("#abx-reset")
    assert browser.text("#abx-score") == "0 of 0"


def _without_results(browser: Browser) -> str:
    script = """
    const copy = document.querySelector("#abx").cloneNode(true);
    copy.querySelectorAll("#abx-verdict, .score, #abx-history").forEach((e) => e.remove());
    return copy.outerHTML;
    """
    return str(browser.run(script))


def test_the_chance_of_guessing_is_exact(browser: Browser, path: Path) -> None:
    browser.open(path)
    script = (
        STATIC / "binomial.js"
    ).read_text() + "return arguments[0].map(([k, n]) => guessingChance(k, n))"
    cases = [[k, n] for n in (0, 1, 2, 5, 12, 24, 60) for k in range(n + 1)] + [[1100, 2000]]
    found = browser.run(script, cases)
    expected = [binomtest(k, n, alternative="greater").pvalue if n else 1.0 for k, n in cases]
    assert found == pytest.approx(expected, rel=1e-9)


def test_tables_sort_by_every_column_and_filter_by_file_and_rate(browser: Browser, path: Path) -> None:
    browser.open(path)

    def column(number: int) -> list[str]:
        script = """return [...document.querySelectorAll("#recordings tbody tr:not([hidden])")]
            .map((row) => row.cells[arguments[0]].dataset.value)"""
        return list(browser.run(script, number))

    assert browser.run("return document.querySelector('#recordings tbody tr').dataset.file") == EVIL
    assert column(0) == sorted(column(0))
    heads = browser.all("#recordings thead button")
    assert len(heads) == 9
    for number, head in enumerate(heads):
        for _ in range(2):
            head.click()
            order = browser.all("#recordings thead th")[number].get_attribute("aria-sort")
            values = column(number)
            there = [value for value in values if value]
            key: Callable[[str], Any] = str.casefold if number in (1, 2) else float
            assert values[len(there) :] == [""] * (len(values) - len(there))
            assert there == sorted(there, key=key, reverse=order == "descending")
    browser.find("#filter-file").send_keys("GOOD")
    assert browser.text("#filter-count") == "3 of 9 rows"
    browser.choose("#filter-rate", LABELS[2])
    assert browser.text("#filter-count") == "1 of 9 rows"
    browser.click("#recordings tbody tr:not([hidden]) .hear")
    assert browser.heard().label == LABELS[2]
    assert browser.text("#version-name") == LABELS[2]
    assert browser.run("return document.querySelector('#clip').selectedOptions[0].text") == "good.wav"


def test_the_keyboard_reaches_everything(browser: Browser, path: Path) -> None:
    browser.open(path)
    browser.press(Keys.TAB)
    assert browser.run("return document.activeElement.className") == "skip"
    browser.press(Keys.TAB)
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press("?")
    assert browser.run("return document.querySelector('#keys').open")
    browser.press(Keys.ESCAPE)
    browser.find("#tab-results").send_keys(Keys.ARROW_RIGHT)
    assert browser.run("return document.activeElement.id") == "tab-listen"
    assert browser.find("#listen").is_displayed()
    browser.press("3")
    assert browser.text("#version-name") == LABELS[1]
    browser.press(Keys.ARROW_UP)
    assert browser.text("#version-name") == LABELS[0]
    browser.press("?")
    browser.click("#keys-on")
    browser.press(Keys.ESCAPE)
    browser.find("#tab-listen").send_keys("4")
    assert browser.text("#version-name") == LABELS[0]


def test_mushra_exports_what_was_rated(browser: Browser, path: Path) -> None:
    browser.open(path, "mushra")
    browser.find("#mushra-listener").send_keys('A "quoted", listener')
    browser.run("document.querySelectorAll('#mushra-conditions input')[3].click()")  # the anchor, too
    browser.click("#mushra-start")
    assert "Original" not in browser.text("#mushra")
    browser.click("#mushra-next")
    assert browser.text("#mushra-status") == "Still to do: listen to A, B, C, D, E; rate A, B, C, D, E."
    given: list[tuple[str, int]] = []
    for trial in (1, 2):
        assert browser.text("#mushra-page") == f"Recording {trial} of 2"
        for number in range(5):
            browser.press(str(number + 1))
            label = browser.heard().label
            browser.press("k")
            browser.silence()
            rating = 100 if label == "Original" else random.Random(len(given)).randrange(90)
            browser.choose(f"#mushra-sliders .sample:nth-child({number + 1}) input", str(rating))
            given.append((label, rating))
        browser.click("#mushra-next")
    assert browser.text("#mushra-reliable").endswith("below 90 in 0 of 2.")
    browser.click("#mushra-csv")
    written = browser.until(lambda: next(iter(browser.downloads.glob("*.csv")), None))
    with written.open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    written.unlink()
    assert {row["listener"] for row in table} == {'A "quoted", listener'}
    assert [(row["page"], row["slider"]) for row in table] == [
        (str(t), str(s)) for t in (1, 2) for s in range(1, 6)
    ]
    assert {row["file"] for row in table} == {"good.wav", EVIL}
    assert [int(row["rating"]) for row in table] == [rating for _, rating in given]
    roles = {"reference": "reference", "low-pass 3.5 kHz": "anchor", **dict.fromkeys(LABELS, "system")}
    for shown in ("1", "2"):
        assert {row["version"]: row["role"] for row in table if row["page"] == shown} == roles
    # What a sample sounded like is what the file says it was; the anchor's level passes for the original's.
    sounded = {row["version"]: label for row, (label, _) in zip(table, given, strict=True)}
    del sounded["low-pass 3.5 kHz"]
    assert sounded == {"reference": "Original", **{label: label for label in LABELS}}


def test_a_page_that_codec_listen_wrote_opens_on_its_player_and_plays(
    browser: Browser, tmp_path: Path
) -> None:
    written = tmp_path / "voice.html"
    sample = Path(__file__).parents[3] / "samples" / "voice_a.flac"
    assert main(["listen", str(sample), "--end", "2", "--no-open", "-o", str(written)]) == 0
    browser.open(written)
    assert browser.find("#listen").is_displayed()
    browser.press("3", " ")
    assert browser.text("#version-name") == "speech-16k 1 kbps"
    browser.until(lambda: browser.run("return window.tap ? tap.context.currentTime > 0.2 : false"))
    browser.until(lambda: float(browser.find("#listen .seek").get_attribute("value") or 0) > 0.3)


def test_light_and_dark_follow_the_system_and_the_button(browser: Browser, path: Path) -> None:
    def brightness() -> int:
        colour = browser.run("return getComputedStyle(document.documentElement).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    browser.open(path, dark=True)
    assert brightness() < 150
    browser.click("#theme")
    assert (browser.text("#theme-name"), brightness() > 600) == ("light", True)
    browser.open(path)
    assert brightness() > 600
    browser.press("t", "t")
    assert (browser.text("#theme-name"), brightness() < 150) == ("dark", True)


@pytest.mark.parametrize("width", [390, 320])
def test_nothing_sticks_out_of_a_phone(browser: Browser, path: Path, width: int) -> None:
    browser.open(path, width=width)
    for view in VIEWS:
        browser.run("document.querySelector(`#tab-${arguments[0]}`).click()", view)
        if view == "mushra":
            browser.run("document.querySelector('#mushra-start').click()")
        assert browser.run("return document.documentElement.scrollWidth") <= width


def test_plots_and_pictures_say_what_they_show(browser: Browser, path: Path) -> None:
    browser.open(path)
    shown = [frame for frame in browser.all(".plot-frame[data-metric]") if frame.is_displayed()]
    assert [frame.get_attribute("data-metric") for frame in shown] == ["pesq_wb"]
    browser.choose("#metric", "mel_distance")
    shown = [frame for frame in browser.all(".plot-frame[data-metric]") if frame.is_displayed()]
    assert [frame.get_attribute("data-metric") for frame in shown] == ["mel_distance"]
    names = browser.run("""
        const said = (svg) => svg.getAttribute("aria-labelledby").split(" ");
        return [...document.querySelectorAll("svg[role=img]")]
          .map((svg) => said(svg).map((id) => document.getElementById(id).textContent));
    """)
    assert len(names) == 4
    assert all(title and description for title, description in names)
    browser.click("#tab-listen")
    browser.press("2")
    browser.until(lambda: browser.run("return [...document.images].every((image) => image.complete)"))
    pictures = browser.run("return [...document.images].map((i) => [i.naturalWidth, i.naturalHeight, i.alt])")
    assert len(pictures) == 3
    for width, height, alt in pictures:
        assert 100 <= width <= 400
        assert height == 128
        assert "0 to 8000 Hz" in alt
