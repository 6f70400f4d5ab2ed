"""`codec bench loss`: figures that can be reproduced, of filling gaps in several ways."""

from __future__ import annotations

from tests.cli.conftest import MakeSpeech, Run


def test_bench_loss_compares_ways_to_fill_gaps(run: Run, make_speech: MakeSpeech) -> None:
    path = make_speech("a.wav", 3.0)
    results = [run("bench", "loss", path, "--lost", "0,10", "--bursts", "1", "--json") for _ in range(2)]
    assert results[0] == results[1]
    rows = {(row["lost"], row["fill"]): row["stoi"] for row in results[0].json}
    fills = {fill for _, fill in rows}
    assert fills == {"zero codes", "repeat", "repeat and fade"}
    assert len({rows[0, fill] for fill in fills}) == 1
    assert rows[0, "zero codes"] > rows[0.1, "repeat and fade"] > rows[0.1, "zero codes"]
    table = run("bench", "loss", path, "--lost", "0", "--kbps", "1.5").out
    assert "PESQ-WB / STOI" in table
    assert "0 %" in table


def test_bench_loss_says_what_it_cannot_measure(run: Run, make_speech: MakeSpeech) -> None:
    assert run("bench", "loss", make_speech("a.wav"), "--lost", "150").code == 2
    result = run("bench", "loss", "none.wav")
    assert result.code == 1
    assert "does not exist" in result.complaint
