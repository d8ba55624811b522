"""What is said of a drink: templates that hold no surprises, names that do no harm, volumes as people write them."""

from __future__ import annotations

import pytest

from kegapps.publish.template import TemplateError, parse
from kegapps.publish.wording import MAX_NAME_CHARS, NAMES, Pour, cut, harmless, volume, words

POUR = Pour(
    key="u", drink_id=7, username="alice", tap="the left tap", beverage="Stout", volume_ml=473.176473,
    start_unix_s=1_790_000_000.0, end_unix_s=1_790_000_012.4,
)  # fmt: skip


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (
            "{user} poured {volume} of {beverage} from {tap}",
            "alice poured 16.0 oz of Stout from the left tap",
        ),
        ("{{{user}}}: {{x}}", "{alice}: {x}"),
        ("in {duration}, drink {drink}", "in 12 s, drink 7"),
        ("plain", "plain"),
        ("{user}{user}", "alicealice"),
    ],
)
def test_a_name_in_braces_stands_for_what_it_means(template: str, said: str) -> None:
    assert parse(template, NAMES).fill(words(POUR, "oz")) == said


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{usr} drinks", "has no meaning for {usr}, perhaps {user}?; it knows {user}, {volume},"),
        ("{user.__class__}", "has no meaning for {user.__class__}"),
        ("{user!r}", "has no meaning for {user!r}"),
        ("{volume:>9}", "has no meaning for {volume:>9}"),
        ("{0}", "has no meaning for {0}"),
        ("{}", "has no meaning for {}"),
        ("a { b", "has a single {"),
        ("a } b", "has a single }"),
        (" ", "is empty"),
    ],
)
def test_a_template_that_cannot_work_is_refused_with_the_cure(template: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=r"^(has|is) ") as error:
        parse(template, NAMES)
    assert reason in str(error.value)


def test_a_user_whose_name_is_a_template_stays_a_name() -> None:
    values = {**words(POUR, "ml"), "user": "{volume} {0.__class__}"}
    assert parse("{user}", NAMES).fill(values) == "{volume} {0.__class__}"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("alice", "alice"),
        ("Zoë Müller-Łoś 李", "Zoë Müller-Łoś 李"),
        ("@everyone", "@\u200beveryone"),
        ("a@b #beer", "a@\u200bb #\u200bbeer"),
        ("<!channel> <@123>", "‹!channel› ‹@\u200b123›"),
        ("https://example.org/x", "https:\u200b//example.\u200borg/x"),
        ("evil.com", "evil.\u200bcom"),
        ("www.evil.com/x", "www.\u200bevil.\u200bcom/x"),
        ("evil．com evil。com", "evil．\u200bcom evil。\u200bcom"),
        ("4evil.xn--p1ai", "4evil.\u200bxn--p1ai"),
        ("＠everyone ＃beer", "＠\u200beveryone ＃\u200bbeer"),
        ("$TSLA ＄TSLA", "$\u200bTSLA ＄\u200bTSLA"),
        ("Dr. Who, 4.5 % at 1.2.3", "Dr. Who, 4.5 % at 1.2.3"),
        ("J. Doe jr.", "J. Doe jr."),
        ("two\nlines\r\n\tand more", "two lines and more"),
        ("\u202eevil\u200b\u2066\x00\x1b[1m", "evil[1m"),
        ("  ", ""),
        ("x" * 100, "x" * (MAX_NAME_CHARS - 2) + "…"),
    ],
)
def test_a_name_calls_nobody_links_nowhere_and_stays_on_its_line(name: str, shown: str) -> None:
    assert harmless(name) == shown


@pytest.mark.parametrize(
    ("units", "said"),
    [
        ("ml", "473 mL"),
        ("l", "0.47 L"),
        ("oz", "16.0 oz"),
        ("pint", "1.00 pints"),
        ("imperial_oz", "16.7 oz"),
        ("imperial_pint", "0.83 pints"),
    ],
)
def test_a_volume_is_said_in_the_units_wanted(units: str, said: str) -> None:
    assert volume(473.176473, units) == said


def test_what_is_not_known_has_words_of_its_own() -> None:
    nobody = Pour(
        key="u",
        drink_id=1,
        username=None,
        tap="t",
        beverage="",
        volume_ml=0.0,
        start_unix_s=0.0,
        end_unix_s=0.0,
    )
    known = words(nobody, "ml")
    assert (known["user"], known["beverage"], known["volume"]) == ("somebody", "beer", "some")


@pytest.mark.parametrize(
    ("text", "most", "short"),
    [
        ("twelve chars", 12, "twelve chars"),
        ("thirteen char", 12, "thirteen c…"),
        ("ab cd", 4, "ab…"),
        ("啤酒啤酒", 8, "啤酒啤酒"),
        ("啤酒啤酒啤", 8, "啤酒啤…"),
        ("🍺🍺🍺", 5, "🍺…"),
    ],
)
def test_a_message_is_cut_where_the_strictest_network_would_refuse_it(
    text: str, most: int, short: str
) -> None:
    assert cut(text, most) == short
