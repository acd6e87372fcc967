"""The SQL of the store in one SQLite file; `schema.sql` has its tables."""

from __future__ import annotations

from bot.store.records.rows import ATTEMPT_COLUMNS, COLUMNS, INQUIRY_COLUMNS
from bot.triage.listing import Filter
from bot.triage.model import Work
from bot.triage.outcomes import Reason

# Bound by position: looking up this many names takes as long as the insert itself.
INSERT = (
    f"INSERT INTO question ({', '.join(COLUMNS)})"
    f" VALUES ({', '.join('?' * len(COLUMNS))}) ON CONFLICT (key) DO NOTHING"
)
SELECT = f"SELECT {', '.join(COLUMNS)} FROM question"
INSERT_REPORT = (
    "INSERT INTO report (key, sequence, event_id, body, due_at, facts)"
    " VALUES (:key, :sequence, :event_id, :body, :due_at, :facts)"
)
INSERT_EVENT = """INSERT INTO event (key, version, at, kind, facts, after_gap, hash)
    VALUES (:key, :version, :at, :kind, :facts, :after_gap, :hash)"""
# The first of a subject has version 1; any other replaces the version before.
INSERT_ATTEMPT = (
    f"INSERT INTO attempt ({', '.join(ATTEMPT_COLUMNS)})"
    f" VALUES ({', '.join(f':{name}' for name in ATTEMPT_COLUMNS)}) ON CONFLICT (key) DO NOTHING"
)
UPDATE_ATTEMPT = (
    f"UPDATE attempt SET {', '.join(f'{name} = :{name}' for name in ATTEMPT_COLUMNS[1:])}"
    " WHERE key = :key AND version = :version - 1"
)
ATTEMPT = "SELECT * FROM attempt WHERE key = ?"
IS_CURRENT = "SELECT count(*) FROM question WHERE key = ? AND secret = ? AND version = ?"
ATTEMPTS_DUE = "SELECT * FROM attempt WHERE due_at <= ? ORDER BY due_at LIMIT ?"
OLD_ATTEMPTS = "DELETE FROM attempt WHERE due_at IS NULL AND started_at < :before"
INSERT_INQUIRY = (
    f"INSERT INTO inquiry ({', '.join(INQUIRY_COLUMNS)})"
    f" VALUES ({', '.join(f':{name}' for name in INQUIRY_COLUMNS)}) ON CONFLICT (key, number) DO NOTHING"
)
UPDATE_INQUIRY = (
    f"UPDATE inquiry SET {', '.join(f'{name} = :{name}' for name in INQUIRY_COLUMNS[2:])}"
    " WHERE key = :key AND number = :number AND version = :version - 1"
)
INQUIRIES = "SELECT * FROM inquiry WHERE key = ? ORDER BY number"
INQUIRIES_DUE = "SELECT * FROM inquiry WHERE due_at <= ? ORDER BY due_at LIMIT ?"
PLACES = "SELECT * FROM places WHERE person = ?"
PLACES_DUE = "SELECT * FROM places WHERE due_at <= ? ORDER BY due_at LIMIT ?"
PLACES_WITH_BURST = "SELECT * FROM places WHERE due_at IS NOT NULL"
# The first of a person has version 1; any other replaces the version before.
INSERT_PLACES = """INSERT INTO places (person, version, due_at, touched_at, facts)
    VALUES (:person, :version, :due_at, :touched_at, :facts) ON CONFLICT (person) DO NOTHING"""
UPDATE_PLACES = """UPDATE places SET version = :version, due_at = :due_at, touched_at = :touched_at,
    facts = :facts WHERE person = :person AND version = :version - 1"""
OLD_PLACES = "DELETE FROM places WHERE due_at IS NULL AND touched_at < :before"
# The index is partial, so SQLite must see that nobody waits for ''.
_WAITING = "waits_for = ? AND waits_for <> ''"
NEXT_LABEL = f"WHERE {_WAITING} AND alert > ? ORDER BY alert, accepted_at LIMIT 1"
WAITING_KINDS = f"SELECT alert, count(*) FROM question WHERE {_WAITING} GROUP BY alert"
WAITING_FIRST = f"SELECT identifier FROM question WHERE {_WAITING} ORDER BY accepted_at LIMIT ?"
HEAD = "SELECT identifier, version, trail_hash FROM question WHERE key = ?"
MOVE_HEAD = "UPDATE question SET version = ?, trail_hash = ? WHERE key = ?"
EVENTS = "SELECT * FROM event WHERE key = ? ORDER BY version"
# This process holds the file exclusively, so the worker that made these claims is dead: do not wait for it.
END_LEASES = """UPDATE question SET due_at = in_doubt_since
    WHERE work = 'ask' AND due_at > in_doubt_since AND state = 'posting'"""
END_INQUIRY_LEASES = """UPDATE inquiry SET due_at = in_doubt_since
    WHERE delivery = 'claimed' AND due_at > in_doubt_since"""
# Nor does anybody remember which strangers' questions waited in line: those are due, whether or not they were
# claimed before. One with a time zone that was never claimed waits for working hours.
END_WAITS = """UPDATE question SET due_at = accepted_at WHERE work = 'ask' AND due_at > accepted_at
    AND attempts = 0 AND paced = 0 AND in_doubt_since IS NULL AND (state = 'posting' OR time_zone = '')
    AND waits_for = ''"""
OPENED = (END_LEASES, END_INQUIRY_LEASES, END_WAITS)
NOT_AMONG = "key NOT IN (SELECT value FROM json_each(?))"
# The kind of work is part of the SQL: as a parameter it makes the query ten times slower (SQLite 3.40.1).
WORK_DUE = {
    work: f"WHERE work = '{work}' AND due_at <= ? AND {NOT_AMONG} ORDER BY due_at LIMIT ?"
    for work in Work
    if work is not Work.CARD
}
CARDS_DUE = f"WHERE card_due_at <= ? AND {NOT_AMONG} ORDER BY card_due_at LIMIT ?"
OPEN_FOR = """WHERE slack_id = ? AND answered_at IS NULL AND state = 'asked'
    ORDER BY asked_at DESC LIMIT ?"""
ANSWERED_BY = "WHERE slack_id = ? AND answered_at >= ? ORDER BY answered_at DESC LIMIT ?"
ASKED_AS = "SELECT slack_id FROM question WHERE other_slack_id = ? AND other_slack_id <> '' LIMIT 1"
TAKEN_BY = "WHERE taken_by = ? AND taken_by <> '' ORDER BY accepted_at DESC LIMIT ?"
OVERDUE = "WHERE deadline <= ? ORDER BY deadline LIMIT ?"
NEXT_DUE = """SELECT min(moment) FROM (
    SELECT min(due_at) AS moment FROM question WHERE work = 'redraw' AND due_at > :after
    UNION ALL SELECT min(due_at) FROM question WHERE work = 'ask' AND due_at > :after
    UNION ALL SELECT min(due_at) FROM question WHERE work = 'remind' AND due_at > :after
    UNION ALL SELECT min(card_due_at) FROM question WHERE card_due_at > :after
    UNION ALL SELECT min(deadline) FROM question WHERE deadline > :after)"""
ENDED = """SELECT key FROM question
    WHERE work = '' AND deadline IS NULL AND card_due_at IS NULL AND settled_at < :before
    AND NOT EXISTS (SELECT 1 FROM report WHERE report.key = question.key
    AND (report.sent_at IS NULL OR report.sent_at >= :before)) ORDER BY settled_at LIMIT :limit"""
OLD_FINDS = (
    "DELETE FROM found_question WHERE found_at < :before",
    "DELETE FROM conversation WHERE read_at < :before",
)
KEEP_RESTORE = "INSERT OR REPLACE INTO restore (id, since, until) VALUES (1, :since, :until)"
KEEP_CONVERSATION = "INSERT OR REPLACE INTO conversation (slack_id, read_at) VALUES (?, ?)"
KEEP_FOUND = "INSERT OR REPLACE INTO found_question (key, facts, found_at) VALUES (?, ?, ?)"
PROBE = "INSERT INTO probe VALUES (1, unixepoch()) ON CONFLICT (id) DO UPDATE SET at = excluded.at"
# A restored copy does not know what was asked after it was made, nor which deadlines have passed.
RESTORED = (
    """UPDATE question SET deadline = :now + min(deadline - coalesce(asked_at, accepted_at),
        coalesce(:longest, deadline - coalesce(asked_at, accepted_at))) WHERE deadline IS NOT NULL""",
    # Nor what was answered: each open question is read in Slack, which is due as a reminder is.
    """UPDATE question SET work = 'remind', due_at = :settled_at, paced = 0, attempts = 0
        WHERE standing = '' AND state = 'asked' AND work <> 'redraw' AND ts <> ''""",
    """UPDATE question SET in_doubt_since = :now, due_at = :now, paced = 0
        WHERE state IN ('accepted', 'posting')""",
    """UPDATE inquiry SET delivery = 'claimed', claimed_at = coalesce(claimed_at, accepted_at),
        in_doubt_since = :now, due_at = :now WHERE delivery IN ('waiting', 'claimed')""",
    # Accepted by a clock that was ahead: it came before the restore, whatever that clock said.
    "UPDATE question SET accepted_at = :now WHERE accepted_at > :now",
)

REPORTS = "SELECT report.*, question.identifier FROM report JOIN question USING (key)"
REPORTS_OF = f"{REPORTS} WHERE key = ? ORDER BY sequence"
UNSENT = "report.sent_at IS NULL AND report.parked_at IS NULL"
SENDABLE = f"""{REPORTS} WHERE {UNSENT} AND report.due_at <= :now AND NOT EXISTS (
    SELECT 1 FROM report AS earlier WHERE earlier.key = report.key AND earlier.sequence < report.sequence
    AND (earlier.sent_at > :apart OR (earlier.sent_at IS NULL AND earlier.parked_at IS NULL)))
    ORDER BY report.due_at LIMIT :limit"""
NEXT_SENDABLE = f"""SELECT min(moment) FROM (
    SELECT min(due_at) AS moment FROM report WHERE {UNSENT} AND due_at > :now
    UNION ALL
    SELECT max(earlier.sent_at) - :apart + :now AS moment FROM report JOIN report AS earlier
    ON earlier.key = report.key AND earlier.sequence < report.sequence
    WHERE {UNSENT} AND report.due_at <= :now AND earlier.sent_at > :apart
    GROUP BY +report.key, report.sequence)"""

# All answers of an identifier are replayed, in order: one alone could overwrite what a later one has changed.
# A report held for MozDef stays held: sent sooner, it would be lost.
REPLAY = """UPDATE report SET sent_at = NULL, parked_at = NULL, due_at = max(due_at, :now),
    replays = replays + 1 WHERE key = :key AND sequence = :sequence"""
COUNT = f"""SELECT (SELECT count(*) FROM question WHERE standing = '') AS open_questions,
    (SELECT count(*) FROM report WHERE {UNSENT}) AS unsent_reports,
    (SELECT count(*) FROM report WHERE parked_at IS NOT NULL) AS parked_reports,
    (SELECT count(*) FROM question WHERE reason = '{Reason.INVALID_REQUEST}') AS invalid_requests"""
OLDEST_OPEN = "SELECT min(accepted_at) FROM question WHERE standing = ''"
OLDEST_UNSENT = "SELECT min(due_at) FROM report WHERE sent_at IS NULL AND parked_at IS NULL"

#: All keys, in slices: they begin with hex digits of a hash, so the slices are about even. One query over a
#: million rows would delay every click by a second; a slice takes a few milliseconds.
SLICES = [f"{number:02x}" for number in range(256)]

ALERTS_BETWEEN = """SELECT key FROM question WHERE key >= :slice AND key < :slice || 'g'
    AND (accepted_at >= :since AND accepted_at < :until OR EXISTS (SELECT 1 FROM event
    WHERE event.key = question.key AND event.at >= :since AND event.at < :until)) ORDER BY key"""

ASKED = """SELECT alert, standing, first_answered_at - asked_at FROM question
    WHERE key >= :slice AND key < :slice || 'g' AND asked_at >= :since"""

SENT_SINCE = """SELECT DISTINCT accepted_at, identifier FROM report CROSS JOIN question USING (key)
    WHERE report.key >= :slice AND report.key < :slice || 'g' AND report.sent_at >= :since"""

WITH_UNSENT = f"""SELECT identifier FROM question WHERE key IN (
    SELECT key FROM report WHERE {UNSENT} UNION SELECT key FROM report WHERE parked_at IS NOT NULL)
    ORDER BY accepted_at"""

#: Questions that one step of a list looks at: a few milliseconds.
LIST_STEP = 1000

#: What a list may begin before and end at.
FIRST, LAST = -(1 << 62), 1 << 62

_TAKEN = "taken_by = :taken_by AND taken_by <> ''"

#: Conditions that an index answers: they bound the questions that are looked at.
_INDEXED = ("standing = ''", "accepted_at >= :since", _TAKEN)
_BETWEEN = "accepted_at < :before AND accepted_at >= :end"


def list_statements(only: Filter) -> tuple[str, str]:
    """Return a query for the moment at which a step ends, and the condition for the questions in it."""
    given = {
        "standing = ''": only.is_open,
        "accepted_at >= :since": only.since is not None,
        "user = :user COLLATE NOCASE": bool(only.user),
        "alert = :alert": bool(only.alert),
        "standing = :outcome": only.outcome is not None,
        _TAKEN: bool(only.taken_by),
    }
    conditions = [condition for condition, is_given in given.items() if is_given]
    indexed = [condition for condition in conditions if condition in _INDEXED]
    seen, wanted = ("".join(f" AND {each}" for each in every) for every in (indexed, conditions))
    end = f"""SELECT accepted_at FROM question WHERE accepted_at < :before{seen}
        ORDER BY accepted_at DESC LIMIT 1 OFFSET {LIST_STEP - 1}"""
    return end, f"WHERE {_BETWEEN}{wanted} ORDER BY accepted_at DESC LIMIT :limit"
