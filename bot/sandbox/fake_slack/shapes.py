"""Small, composable checks of JSON values that report problems in the form of Slack's response_metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

#: Checks a value at a JSON pointer and appends a sentence for each problem.
Check = Callable[[Any, str, list[str]], None]


def complain(problems: list[str], sentence: str, pointer: str) -> None:
    """Append one problem in Slack's form."""
    problems.append(f"[ERROR] {sentence} [json-pointer:{pointer}]")


def string(*, at_most: int, at_least: int = 0) -> Check:
    """Accept a string of `at_least` to `at_most` characters."""

    def check(value: Any, pointer: str, problems: list[str]) -> None:
        if not isinstance(value, str):
            complain(problems, "must be a string", pointer)
        elif len(value) > at_most:
            complain(problems, f"must be less than {at_most + 1} characters", pointer)
        elif len(value) < at_least:
            complain(problems, f"must be more than {at_least - 1} characters", pointer)

    return check


def integer(*, at_least: int, at_most: int) -> Check:
    """Accept an integer from `at_least` to `at_most`."""

    def check(value: Any, pointer: str, problems: list[str]) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            complain(problems, "must be an integer", pointer)
        elif not at_least <= value <= at_most:
            complain(problems, f"must be between {at_least} and {at_most}", pointer)

    return check


def one_of(*words: str) -> Check:
    """Accept only these words."""

    def check(value: Any, pointer: str, problems: list[str]) -> None:
        if value not in words:
            complain(problems, f"must be a valid enum value ({', '.join(words)})", pointer)

    return check


def boolean(value: Any, pointer: str, problems: list[str]) -> None:
    """Accept only true and false."""
    if not isinstance(value, bool):
        complain(problems, "must be a boolean", pointer)


def anything(_value: Any, _pointer: str, _problems: list[str]) -> None:
    """Accept every value."""


def array(each: Check, *, at_most: int, at_least: int = 1) -> Check:
    """Accept a list of `at_least` to `at_most` values, each of which passes `each`."""

    def check(value: Any, pointer: str, problems: list[str]) -> None:
        if not isinstance(value, list):
            complain(problems, "must be an array", pointer)
        elif len(value) > at_most:
            complain(problems, f"no more than {at_most} items allowed", pointer)
        elif len(value) < at_least:
            complain(problems, f"must contain at least {at_least} item", pointer)
        else:
            for index, inner in enumerate(value):
                each(inner, f"{pointer}/{index}", problems)

    return check


def shape(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """Accept an object with all `required` keys, any of the `optional` ones, and no others."""
    known = {**required, **(optional or {})}

    def check(value: Any, pointer: str, problems: list[str]) -> None:
        if not isinstance(value, dict):
            complain(problems, "must be an object", pointer)
            return
        for key in required.keys() - value.keys():
            complain(problems, f"missing required field: {key}", pointer)
        for key, inner in value.items():
            if key in known:
                known[key](inner, f"{pointer}/{key}", problems)
            else:
                complain(problems, f"invalid additional property: {key}", pointer)

    return check


def variant(shapes: Mapping[str, Check]) -> Check:
    """Accept an object that passes the check for its `type`."""

    def check(value: Any, pointer: str, problems: list[str]) -> None:
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in shapes:
            complain(problems, f"unsupported type: {kind}", f"{pointer}/type")
        else:
            shapes[kind](value, pointer, problems)

    return check
