"""The rules about follow-up questions: each is asked once, each reply is on the card and in a report."""

from __future__ import annotations

from collections import Counter

from .case import Case, without_repeats
from .messages import INQUIRY_EVENT, ref_of, text_of
from .promises import Findings, Promise


def asked_back(case: Case, *, is_heard: bool) -> Findings:
    """Judge that each question that was taken is put to the person once, or said not to be; and no other.

    This holds for a restored store as well, as far as it asks nobody twice; and where the queue takes no
    report of the alert (not `is_heard`), which could say that a question was not put.
    """
    posts = Counter(ref_of(message, event=INQUIRY_EVENT) for message in case.asked_back)
    for ref, times in posts.items():
        if times > 1:
            yield Promise.ECHOED, f"{times} times: {ref}"
    shown = Counter(text_of(message, "inquiry") for message in case.asked_back)
    for message in case.asked_back:
        if message.channel != f"D{case.alert.person[1:]}":
            yield Promise.MISDIRECTED, f"{message.channel} {message.ts}"
    if case.restored_at:
        return
    for text in shown.keys() - {each.text for each in case.inquiries}:
        yield Promise.UNSPOKEN, f"nobody asked: {text}"
    told = without_repeats(case.receipts)
    failed = {each.in_reply_to for each in told if each.in_reply_to is not None and not each.comment}
    numbers = {each.question: each.sequence for each in told if each.question}
    for inquiry in case.inquiries:
        if shown[inquiry.text] > 1:
            yield Promise.ECHOED, inquiry.text
        is_put = shown[inquiry.text] == 1 or numbers.get(inquiry.text) in failed
        if is_heard and inquiry.acknowledged and not (is_put and inquiry.text in numbers):
            yield Promise.UNSPOKEN, f"lost: {inquiry.text}"


def replies(case: Case) -> Findings:
    """Judge that each acknowledged reply is told once, below the card and to MozDef; and no other."""
    told = without_repeats(case.receipts)
    numbers = {each.sequence for each in told if each.question}
    reported = Counter(each.comment for each in told if each.in_reply_to is not None and each.comment)
    lines = [text_of(line, "note") for line in case.lines]
    for reply in case.replies:
        if reply.acknowledged and not reported[reply.text]:
            yield Promise.UNSPOKEN, f"not reported: {reply.text}"
        if reply.acknowledged and reply.text not in lines:
            yield Promise.UNSPOKEN, f"not below the card: {reply.text}"
    for text, times in reported.items():
        if times > 1 or text not in {each.text for each in case.replies}:
            yield Promise.UNSPOKEN, f"reported {times} times: {text}"
    for each in told:
        if each.in_reply_to is not None and each.in_reply_to not in numbers:
            yield Promise.UNSPOKEN, f"sequence {each.sequence} replies to nothing: {each.in_reply_to}"
