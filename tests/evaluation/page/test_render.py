"""The page as text: complete, safe with any name, and without the parts that there is nothing for."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.evaluation.page import render
from codec.evaluation.page.tables import worst_first
from codec.evaluation.page.text import clean, escape, figure, script_json, seconds
from codec.evaluation.results import METRICS, Clip, Recording, Report
from tests.evaluation.page.examples import EVIL, RATE, clip, clips, recording, report, sweep

PESQ = METRICS[0]


class Elements(HTMLParser):
    """Element names, attributes, text, and what scripts hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.text = ""
        self._script: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self._script = dict(attrs).get("id") or ""
            self.scripts[self._script] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[self._script] += data
        self.text += data


@pytest.fixture(scope="module")
def page() -> Elements:
    return Elements(render(report(), clips()))


def test_the_policy_allows_the_own_script_and_nothing_from_elsewhere(page: Elements) -> None:
    (policy,) = [a["content"] for tag, a in page.found if tag == "meta" and "http-equiv" in a]
    digest = base64.b64encode(hashlib.sha256(page.scripts[""].encode()).digest()).decode()
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    links = [str(a[name]) for _, a in page.found for name in ("src", "href", "action") if a.get(name)]
    assert [link for link in links if not link.startswith(("data:", "#"))] == []


def test_names_become_no_elements_and_no_attributes(page: Elements) -> None:
    assert [tag for tag, _ in page.found if tag == "img"] == []
    assert [name for _, a in page.found for name in a if name.startswith("on")] == []
    assert {a["data-file"] for _, a in page.found if "data-file" in a} == {EVIL, "good.wav", "middle.wav"}
    assert json.loads(page.scripts["data"])["clips"][0]["file"] == EVIL


def test_the_worst_clip_comes_first_and_every_version_has_sound_and_pictures(page: Elements) -> None:
    shown = json.loads(page.scripts["data"])["clips"]
    assert [item["file"] for item in shown] == [EVIL, "good.wav"]
    for item in shown:
        assert [version["label"] for version in item["versions"]] == ["Original", *clips()[0].decoded]
        for version in item["versions"]:
            assert base64.b64decode(page.scripts[version["sound"]]).startswith(b"fLaC")
            pictures = [version["image"], *([version["difference"]] if "difference" in version else [])]
            assert all(base64.b64decode(page.scripts[name]).startswith(b"\x89PNG") for name in pictures)
        assert base64.b64decode(page.scripts[item["anchor"]]).startswith(b"fLaC")


def test_ids_are_unique(page: Elements) -> None:
    ids = [a["id"] for _, a in page.found if "id" in a]
    assert len(ids) == len(set(ids))


def test_what_failed_is_said(page: Elements) -> None:
    text = render(report())
    assert "Without a value: 4" in text
    assert "broken.wav</bdi>: it is no audio." in text
    assert "STOI: less than 0.4 seconds are left" in text


@pytest.mark.parametrize(
    ("made", "views"),
    [
        (render(report()), "results codebooks"),
        (render(Report("t", (), ()), [clip("a.wav", 0.1)]), "listen abx mushra"),
        (render(Report("t", (), (recording("a", 2.0),)), [clip("a", 0.1)]), "results listen abx mushra"),
    ],
)
def test_views_without_content_are_left_out(made: str, views: str) -> None:
    tag, attributes = Elements(made).found[0]
    assert (tag, attributes["data-views"]) == ("html", views)
    assert attributes["data-first"] == ("listen" if "listen" in views else "results")


def test_names_are_shown_without_the_folder_that_all_share() -> None:
    files = ("/home/me/set/a/x.wav", "/home/me/set/b/x.wav")
    made = render(Report("t", (), tuple(recording(file, 1.0) for file in files)), [clip(files[1], 0.1)])
    assert "/home" not in made
    parsed = Elements(made)
    assert {a["data-file"] for _, a in parsed.found if "data-file" in a} == {"a/x.wav", "b/x.wav"}
    assert json.loads(parsed.scripts["data"])["clips"][0]["file"] == "b/x.wav"


def test_recordings_without_a_value_are_the_worst() -> None:
    good, bad, none = recording("good", 2.0), recording("bad", 1.0), Recording("none", 1.0, RATE, 1, ())
    assert [item.file for item in worst_first([good, none, bad], PESQ)] == ["none", "bad", "good"]
    assert [item.file for item in worst_first([good, bad], None)] == ["good", "bad"]


def test_sound_of_no_length_silence_and_stereo_make_pages() -> None:
    for original in (sweep(0.5, 0.0), 0 * sweep(0.5, 0.5), sweep(0.5, 0.5).repeat(2, axis=0)):
        made = Elements(render(Report("t", (), ()), [Clip("a", RATE, original, {"x": original})]))
        assert len(json.loads(made.scripts["data"])["clips"][0]["versions"]) == 2


@given(st.text())
@settings(derandomize=True, deadline=None)
def test_any_text_survives_as_text(text: str) -> None:
    parsed = Elements(f'<p title="{escape(text)}">{escape(text)}</p>')
    parsed.close()
    assert parsed.found == [("p", {"title": clean(text)})]
    assert parsed.text == clean(text)
    assert not re.search("[<>&]", script_json(text))
    assert json.loads(script_json(text)) == text


def test_figures_have_a_real_minus_and_no_negative_zero() -> None:
    shown = [figure(x, 1) for x in (1.25, -3.0, -0.01, math.nan, math.inf)]
    assert shown == ["1.2", "\u22123.0", "0.0", "\u2013", "\u2013"]
    assert [seconds(x) for x in (1.234, 59.9, 125)] == ["1.2 s", "59.9 s", "2 min 5 s"]
