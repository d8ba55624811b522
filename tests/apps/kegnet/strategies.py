"""Hypothesis strategies: any event that can be sent, at the second resolution of the wire."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from kegapps.kegnet.events import (
    ALL_TAPS,
    MAX_READING,
    BoardStatus,
    CoreStatus,
    Credentials,
    DrinkCreatedEvent,
    DrinkFacts,
    Drinks,
    DrinksRequest,
    Event,
    FlowRequest,
    FlowUpdate,
    MeterUpdate,
    Ping,
    Refusal,
    Session,
    SetRelayOutputEvent,
    StatusRequest,
    Taken,
    ThermoEvent,
    TokenAuthEvent,
)

names = st.text(min_size=1, max_size=128).filter(str.isprintable)
counts = st.integers(0, 2**63 - 1)
measures = st.floats(0, 1e12)
ages_s = st.just(0.0) | st.floats(0, 3e8)
times = st.datetimes(
    min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)
).map(lambda time: time.replace(microsecond=0))
labels = st.text(max_size=200).filter(str.isprintable)
texts = st.text(max_size=512).filter(str.isprintable)
tokens = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=256)
reports = st.dictionaries(
    st.text(max_size=10),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63) + 1, 2**63 - 1)
        | st.floats(-1e300, 1e300)
        | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)

drinks = st.builds(
    DrinkFacts,
    drink_id=counts,
    uuid=names,
    flow_id=counts,
    tap_name=names,
    username=st.none() | names,
    ticks=counts,
    volume_ml=measures,
    start_unix_s=measures,
    end_unix_s=measures,
    beverage=labels,
)

events: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        MeterUpdate,
        tap_name=names,
        reading=st.integers(0, MAX_READING),
        age_s=ages_s,
        gap_s=ages_s,
        board_uptime_s=ages_s,
    ),
    st.builds(
        FlowRequest,
        tap_name=names,
        request=st.sampled_from(("start_flow", "stop_flow", "report_status")),
        age_s=ages_s,
    ),
    st.builds(
        TokenAuthEvent,
        tap_name=names | st.just(ALL_TAPS),
        auth_device_name=names,
        token_value=names,
        status=st.sampled_from(("added", "removed")),
        age_s=ages_s,
    ),
    st.builds(ThermoEvent, sensor_name=names, sensor_value=st.floats(-1e12, 1e12), age_s=ages_s),
    st.builds(
        FlowUpdate,
        flow_id=counts,
        tap_name=names,
        state=st.sampled_from(("initial", "active", "idle", "completed", "close_wait")),
        username=st.none() | names,
        start_time=times,
        last_activity_time=times,
        ticks=counts,
        volume_ml=measures,
    ),
    st.builds(
        DrinkCreatedEvent,
        flow_id=counts,
        drink_id=counts,
        tap_name=names,
        start_time=times,
        end_time=times,
        username=names,
    ),
    st.builds(SetRelayOutputEvent, output_name=names, output_mode=st.sampled_from(("enabled", "disabled"))),
    st.just(Ping()),
    st.builds(Credentials, token=tokens),
    st.builds(
        BoardStatus,
        board_name=names,
        state=st.sampled_from(("online", "silent", "absent", "too_old", "refused")),
        detail=texts,
        firmware_version=st.none() | counts,
        serial_number=texts,
        device=texts,
        uptime_s=st.none() | ages_s,
        listened_s=st.none() | ages_s,
    ),
    st.just(StatusRequest()),
    st.builds(CoreStatus, report=reports),
    st.builds(DrinksRequest, after=st.integers(-1, 2**63 - 1), limit=st.integers(1, 100)),
    st.builds(Drinks, drinks=st.lists(drinks, max_size=3).map(tuple), last_id=counts),
    st.builds(Refusal, reason=texts),
    st.builds(Session, session=names, next=counts),
    st.builds(Taken, took=counts),
)
