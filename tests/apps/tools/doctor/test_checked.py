"""What a core or a store says is taken only in the right types: nothing that they say makes the doctor fall."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kegapps.tools.doctor import checked
from kegapps.tools.doctor.facts import CoreFacts
from kegapps.tools.doctor.show import as_text
from tests.apps.tools.doctor.test_judge import HEALTHY, REPORT, SETTINGS, judged

FULL = {**REPORT, "server": {"state": "ok"}, "outbox": {"waiting": 1, "dead": 0, "oldest_unix_s": 1.0}}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=4,
)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_report_of_whatever_kind_is_survived(data: st.DataObject) -> None:
    said = json.loads(json.dumps(FULL))
    places: list[tuple[Any, Any]] = [(said, key) for key in said]
    for part in (said["taps"][0], said["boards"][0], said["store"], said["server"], said["outbox"]):
        places += [(part, key) for key in part]
    for number in data.draw(st.sets(st.sampled_from(range(len(places))), max_size=6)):
        place, key = places[number]
        place[key] = data.draw(VALUES)
    found = checked.report(said)
    if found is not None:
        facts = replace(HEALTHY, core=CoreFacts(address="localhost:9805", answer="report", report=found))
        text = as_text(judged(facts), SETTINGS, user="ann", colours=False, width=80)
        assert text.replace("\n", "").isprintable()


def test_an_honest_report_keeps_what_the_doctor_looks_at() -> None:
    found = checked.report(FULL)
    assert found is not None
    assert found["taps"] == REPORT["taps"]
    assert found["boards"] == REPORT["boards"]
    assert found["outbox"] == {"waiting": 1, "held": None, "dead": 0, "oldest_unix_s": 1.0}


@pytest.mark.parametrize("said", [{}, {**FULL, "taps": None}, {**FULL, "boards": {}}, {**FULL, "store": "x"}])
def test_what_is_no_report_is_none(said: dict[str, Any]) -> None:
    assert checked.report(said) is None


@pytest.mark.parametrize("value", [True, "5", 5.5, 2**64, None, [5]])
def test_a_count_is_a_whole_number_or_nothing(value: object) -> None:
    (tap,) = checked.rows([{"name": "kegboard.flow0", "counted_ticks": value}])
    assert tap["counted_ticks"] is None
