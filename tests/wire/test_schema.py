"""The table of the contract fits the classes it is about, and every rule of it can be read."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from wire import messages, outcomes, schema
from wire.schema import MESSAGES, SCHEMA, Plain, Union


@pytest.mark.parametrize("kind", SCHEMA)
def test_each_field_of_a_class_has_a_rule(kind: str) -> None:
    cls, rules = SCHEMA[kind]
    assert len(rules) == len(fields(cls))


def test_each_class_of_the_contract_has_one_kind() -> None:
    classes = [cls for cls, _ in SCHEMA.values()]
    every = [each for module in (messages, outcomes) for each in vars(module).values()]
    known = {each for each in every if hasattr(each, "__dataclass_fields__")}
    assert len(classes) == len(set(classes))
    assert known - set(classes) == {outcomes.TimedOut}, "TimedOut alone is never sent"


def test_each_kind_that_a_field_may_be_exists_and_each_kind_may_stand_somewhere() -> None:
    named = set(MESSAGES.kinds)
    for _, rules in SCHEMA.values():
        named |= {kind for rule in rules if isinstance(rule, Union) for kind in rule.kinds}
    assert named == set(SCHEMA)


@pytest.mark.parametrize("value", [None, True, 0, -1, 2**64, "", "a", b"", b"a", (), ("",), (b"",), {}, 1.5])
def test_a_rule_tells_of_any_value_whether_it_fits_and_never_raises(value: Any) -> None:
    rules = {rule for _, its in SCHEMA.values() for rule in its if isinstance(rule, Plain)}
    for rule in rules:
        assert eval(rule.fits.format("value"), vars(schema), {"value": value}) in (True, False)  # noqa: S307
        assert rule.rule.startswith("must be ")


@pytest.mark.parametrize(
    ("lines", "fit"),
    [
        ((b"a",), True),
        ((None, b""), True),
        ((b"x" * 2048,), True),
        ((), False),
        ((b"x" * 2049,), False),
        (("a",), False),
    ],
)
def test_lines_are_octets_or_nil_and_not_too_long_or_too_many(lines: Any, fit: bool) -> None:
    assert schema.lines_fit(lines) is fit


@pytest.mark.parametrize(
    ("texts", "fit"), [((), True), (("ab",), True), (("abc",), False), (("",), False), ((1,), False)]
)
def test_texts_are_not_empty_and_not_too_long(texts: Any, fit: bool) -> None:
    assert schema.texts_fit(texts, 2) is fit
