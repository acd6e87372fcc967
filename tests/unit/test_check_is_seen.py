"""Every line with which `check` can report a problem is one that a test has seen, with its remedy.

Read off the sources: the sentences of what is not in order, and the words that the tests quote.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "bot" / "cli" / "checks").rglob("*.py"))
TESTS = [*(ROOT / "tests/integration").glob("test_check*.py"), ROOT / "tests/unit/test_checks.py"]

#: What makes a finding of what is not in order; the last two arguments are detail and remedy.
COMPLAINTS = {"Finding.failed", "Finding.warning", "judge", "_failed_finding"}

#: A quotation shorter than this could be of anything.
QUOTED_MIN = 10

#: What stands in a sentence for what is only known at run time.
HOLE = "\0"


class Module:
    """A module's sentences, found by following names and calls within it."""

    def __init__(self, path: Path) -> None:
        self._tree = ast.parse(path.read_text(encoding="utf-8"))
        self._functions = {
            node.name: node
            for node in ast.walk(self._tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        self._assigned: dict[str, list[ast.expr]] = {}
        for node in ast.walk(self._tree):
            self._note(node)

    def complaints(self) -> Iterator[str]:
        """Yield each sentence of a finding that is not in order."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in COMPLAINTS:
                for sentence in node.args[-2:]:
                    yield from self._texts(sentence)

    def _note(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._assigned.setdefault(name, []).append(value)
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                for target, value in zip(names, values, strict=True):
                    self._assigned.setdefault(ast.unparse(target), []).append(value)

    def _texts(self, node: ast.expr) -> list[str]:
        """Return what an expression may be, HOLEs included; nothing for what comes from elsewhere."""
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.JoinedStr(values=parts):
                return ["".join(self._part(part) for part in parts)]
            case ast.IfExp(body=body, orelse=orelse):
                return [*self._texts(body), *self._texts(orelse)]
        return self._followed(node)

    def _followed(self, node: ast.expr) -> list[str]:
        match node:
            case ast.Name(id=name):
                return [text for value in self._assigned.get(name, []) for text in self._texts(value)]
            case ast.Call(func=ast.Attribute(value=ast.Name(id=table), attr="get"), args=[_, *default]):
                return [text for value in [*self._values(table), *default] for text in self._texts(value)]
            case ast.Call(func=ast.Name(id=name)) if name in self._functions:
                return [text for value in _returned(self._functions[name]) for text in self._texts(value)]
        return []

    def _values(self, table: str) -> list[ast.expr]:
        return [
            value for each in self._assigned[table] if isinstance(each, ast.Dict) for value in each.values
        ]

    def _part(self, part: ast.expr) -> str:
        inner = part.value if isinstance(part, ast.FormattedValue) else part
        is_constant = isinstance(inner, ast.Constant) or (isinstance(inner, ast.Name) and inner.id.isupper())
        return next(iter(self._texts(inner)), HOLE) if is_constant else HOLE


def _returned(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.expr]:
    return [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value]


def quotations() -> set[str]:
    """Return the texts of the tests, with HOLEs where a test fills something in."""
    found = [node for path in TESTS for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    return {text for node in found if len(text := _text(node)) >= QUOTED_MIN}


def _text(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) or HOLE for part in parts)
    return ""


def meant_by(quotation: str, sentences: Sequence[str]) -> list[str]:
    """Return the sentences that these words are of; a whole one is of no other."""
    if quotation in sentences:
        return [quotation]
    return [sentence for sentence in sentences if is_of(quotation, sentence)]


def is_of(quotation: str, sentence: str) -> bool:
    """Whether these words are a piece of the sentence, or have one whole in them."""
    pieces = [piece for piece in sentence.split(HOLE) if len(piece) >= QUOTED_MIN]
    return any(quotation in piece or piece in quotation for piece in pieces)


def unseen(sentences: Sequence[str]) -> list[str]:
    """Return those that no test quotes in words that are of no other. What is too short is of anything."""
    told = [sentence for sentence in sentences if max(map(len, sentence.split(HOLE))) >= QUOTED_MIN]
    meant = [meant_by(quotation, told) for quotation in quotations()]
    seen = [found[0] for found in meant if len(found) == 1]
    return [sentence for sentence in told if sentence not in seen]


def test_every_complaint_and_every_remedy_is_quoted_by_a_test() -> None:
    sentences = sorted({sentence for path in SOURCES for sentence in Module(path).complaints()})

    assert len(sentences) > 60
    assert unseen(sentences) == []
