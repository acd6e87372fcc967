-- Version 7 of the store. Times are whole microseconds since 1970-01-01 in UTC, so that they sort and
-- round-trip; absent times are NULL, absent words are ''. PRAGMA user_version holds the version: `opening.py`
-- upgrades a file of an earlier one, which then has the same columns in the same order.

CREATE TABLE question (
    key            TEXT    PRIMARY KEY,  -- first 32 hex digits of sha256(identifier): the first part of the ref
    secret         TEXT    NOT NULL,     -- the second part of the ref: 128 random bits in hex
    identifier     TEXT    NOT NULL,     -- MozDef's id of the alert, opaque
    alert          TEXT    NOT NULL,     -- MozDef's label of the alert
    summary        TEXT    NOT NULL,     -- the text for the person, cleaned and cut; up to version 2 as received: untrusted
    user           TEXT    NOT NULL,     -- the address that MozDef named
    confidence     TEXT    NOT NULL,     -- how confident MozDef is in that address
    state          TEXT    NOT NULL,     -- accepted, posting, asked or closed: how far the question got
    version        INTEGER NOT NULL,     -- raised by each save; a save of an older version is refused
    accepted_at    INTEGER NOT NULL,     -- when the request was stored
    work           TEXT    NOT NULL,     -- redraw, ask or remind: what the sweeper must do; '': nothing
    due_at         INTEGER,              -- when the work is due
    deadline       INTEGER,              -- when the question expires unanswered; NULL: never, or it has
    paced          INTEGER NOT NULL,     -- 1: due_at was set by the person's rate limit
    attempts       INTEGER NOT NULL,     -- failures since the last success
    slack_id       TEXT    NOT NULL,     -- the Slack user with that address
    slack_name     TEXT    NOT NULL,     -- the name of that user in Slack
    time_zone      TEXT    NOT NULL,     -- from that user's profile
    offered        TEXT    NOT NULL,     -- the choices that the message offers, separated by spaces
    claimed_at     INTEGER,              -- the first claim for posting; a look-up starts here
    in_doubt_since INTEGER,              -- a post may have happened since; NULL: its result is known
    channel        TEXT    NOT NULL,     -- the conversation that holds the message
    ts             TEXT    NOT NULL,     -- the message's timestamp, its id in that conversation
    asked_at       INTEGER,              -- when a reply, a look-up or a click proved the post
    reminders      INTEGER NOT NULL,     -- reminders sent, or perhaps sent
    standing       TEXT    NOT NULL,     -- the outcome that counts; '': none yet
    reason         TEXT    NOT NULL,     -- why the question could not be delivered
    said           TEXT    NOT NULL,     -- the person's last choice, which the standing may outrank
    answered_at    INTEGER,              -- when that choice was made
    clicked_at     INTEGER,              -- when it was clicked, by Slack's clock
    first_answered_at INTEGER,           -- when the person first chose
    answers        INTEGER NOT NULL,     -- choices recorded, each different from the one before
    idle_changes   INTEGER NOT NULL,     -- those that did not raise the standing
    settled_at     INTEGER,              -- when the last report was written
    reports        INTEGER NOT NULL,     -- reports written; the next one's sequence
    shown          INTEGER NOT NULL,     -- how many of them the message shows
    note           TEXT    NOT NULL,     -- the person's last comment on the answer
    notes          INTEGER NOT NULL,     -- how many comments they wrote
    card_due_at    INTEGER,              -- when the security team's card must be posted or updated
    card_ts        TEXT    NOT NULL,     -- the timestamp of the card in the security channel
    card_shown     INTEGER NOT NULL,     -- how many of its events the card shows
    taken_by       TEXT    NOT NULL,     -- the Slack id of the person who took over the alert
    taken_name     TEXT    NOT NULL,     -- the name of that user in Slack
    taken_at       INTEGER,              -- and when
    occurred_at    INTEGER,              -- when the alert's event happened, as MozDef says
    facts          TEXT    NOT NULL DEFAULT '',  -- names and values as a JSON array of pairs: untrusted
    left_out       TEXT    NOT NULL DEFAULT '',  -- which fields broke their rule, a clause a line
    is_cut         INTEGER NOT NULL DEFAULT 0,   -- 1: the end of the summary was not kept
    note_keys      TEXT    NOT NULL DEFAULT '',  -- digests by which known notes are told, separated by spaces
    found_by       TEXT    NOT NULL DEFAULT '',  -- the rule by which the person was found
    other_slack_id TEXT    NOT NULL DEFAULT '',  -- of the same person, on Enterprise Grid
    read_at        INTEGER,              -- when its standing was made certain after the store was restored
    is_unsure      INTEGER NOT NULL DEFAULT 0,   -- 1: it could not be read then; only a no counts
    refusals       INTEGER NOT NULL DEFAULT 0,   -- clicks on it that were refused
    trail_hash     TEXT    NOT NULL DEFAULT '',  -- of its last event; '': unknown, as in an upgraded file
    report_hash    TEXT    NOT NULL DEFAULT '',  -- of its last report; '': there is none, or unknown likewise
    needs_factor   INTEGER NOT NULL DEFAULT 0,   -- 1: a yes needed a proof when it was accepted
    proofs         INTEGER NOT NULL DEFAULT 0,   -- attempts to prove a yes that were started
    proof_code     TEXT    NOT NULL DEFAULT '',  -- of the one under way whose proof would count; '': none
    retry_at       INTEGER,              -- from when a further yes starts an attempt
    proved_at      INTEGER,              -- when the yes that stands was proved
    unreported     INTEGER NOT NULL DEFAULT 0,   -- changes that the message shows and no report tells
    card_secret    TEXT    NOT NULL DEFAULT '',  -- what its card's buttons carry: 128 random bits in hex; '': none yet
    assignments    TEXT    NOT NULL DEFAULT '',  -- who took the alert, handed it over or released it, as a JSON array
    waits_for      TEXT    NOT NULL DEFAULT '',  -- whose place it waits for; '': it does not wait
    waited_since   INTEGER               -- when it first found no place
) STRICT;

CREATE INDEX question_due ON question (work, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX question_deadline ON question (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX question_ended ON question (settled_at) WHERE work = '' AND deadline IS NULL;
CREATE INDEX question_card ON question (card_due_at) WHERE card_due_at IS NOT NULL;
CREATE INDEX question_person ON question (slack_id, answered_at);
CREATE INDEX question_other_person ON question (other_slack_id) WHERE other_slack_id <> '';
CREATE INDEX question_taken ON question (taken_by, accepted_at) WHERE taken_by <> '';
CREATE INDEX question_accepted ON question (accepted_at);
CREATE INDEX question_open ON question (accepted_at) WHERE standing = '';
CREATE INDEX question_waiting ON question (waits_for, alert, accepted_at) WHERE waits_for <> '';
CREATE INDEX question_invalid ON question (accepted_at) WHERE reason = 'invalid_request';

CREATE TABLE report (
    key        TEXT    NOT NULL REFERENCES question (key),  -- the question it belongs to
    sequence   INTEGER NOT NULL,  -- 0 for the first outcome, then one more for each change or note
    event_id   TEXT    NOT NULL,  -- the same each time the report is sent
    body       TEXT    NOT NULL,  -- the text sent to the queue; never changes
    due_at     INTEGER NOT NULL,  -- not to be sent before
    sent_at    INTEGER,           -- when the queue accepted it
    parked_at  INTEGER,           -- when the queue refused it for good; a person must look
    replays    INTEGER NOT NULL DEFAULT 0,  -- how often it was replayed
    facts      TEXT    NOT NULL DEFAULT '',  -- the body's source, as JSON; '': not kept (version 1)
    PRIMARY KEY (key, sequence)
) STRICT;

CREATE INDEX report_unsent ON report (due_at) WHERE sent_at IS NULL AND parked_at IS NULL;
CREATE INDEX report_parked ON report (parked_at) WHERE parked_at IS NOT NULL;

-- The trail: every decision about an alert. Rows are added, none changes, and they go with their question, in
-- one transaction. (No foreign key: looking it up costs more than the rest of an insert.)
CREATE TABLE event (
    key       TEXT    NOT NULL,  -- the question it belongs to
    version   INTEGER NOT NULL,  -- of the question as stored with it: events are ordered by it
    at        INTEGER NOT NULL,  -- when it was stored
    kind      TEXT    NOT NULL,  -- what was decided
    facts     TEXT    NOT NULL,  -- a JSON object of words of ours, ids of Slack's, counts and hashes
    after_gap INTEGER NOT NULL,  -- 1: what came before is unknown; 0: the event before is the one that it follows
    hash      TEXT    NOT NULL,  -- sha256 of all that, of the identifier, and of the hash before
    PRIMARY KEY (key, version)
) STRICT, WITHOUT ROWID;

-- What each person was last asked to prove: one row a subject, so that nobody has two pushes at a time.
CREATE TABLE attempt (
    key        TEXT    PRIMARY KEY,       -- first 32 hex digits of the sha256 of the subject, in small letters
    version    INTEGER NOT NULL,          -- raised by each save; a save of an older version is refused
    subject    TEXT    NOT NULL,          -- as the provider knows the person
    ref        TEXT    NOT NULL,          -- of the question
    code       TEXT    NOT NULL,          -- which the device shows
    started_at INTEGER NOT NULL,          -- when the person clicked
    due_at     INTEGER,                   -- when somebody must go on with it; NULL: it is over
    sent_at    INTEGER,                   -- set before the push is sent; NULL: none was
    push_id    TEXT    NOT NULL,          -- the provider's; '': there is none, or it is lost
    interval   INTEGER NOT NULL,          -- between two polls, in microseconds
    dead_at    INTEGER,                   -- from when on nobody can approve the last push
    pushes     TEXT    NOT NULL,          -- when the last ones were reserved, separated by spaces
    refused_at INTEGER                    -- when the person last refused one
) STRICT;

CREATE INDEX attempt_due ON attempt (due_at) WHERE due_at IS NOT NULL;

-- Follow-up questions of the security team to the person about an alert. The replies are reports.
CREATE TABLE inquiry (
    key            TEXT    NOT NULL,     -- the question it belongs to
    number         INTEGER NOT NULL,     -- from 1 on
    secret         TEXT    NOT NULL,     -- the second part of its ref, of its own: 128 random bits in hex
    version        INTEGER NOT NULL,     -- raised by each save; a save of an older version is refused
    identifier     TEXT    NOT NULL,     -- of the alert
    text           TEXT    NOT NULL,     -- what is asked: literal
    slack_id       TEXT    NOT NULL,     -- the Slack id of who asks
    slack_name     TEXT    NOT NULL,     -- and their name
    window         TEXT    NOT NULL,     -- digest of the window in which it was written, and of the text
    sequence       INTEGER NOT NULL,     -- of the note to MozDef that tells of it
    delivery       TEXT    NOT NULL,     -- waiting, claimed, asked or failed: how far it got
    accepted_at    INTEGER NOT NULL,     -- when it was stored
    due_at         INTEGER,              -- when somebody must go on with it; NULL: nobody needs to
    attempts       INTEGER NOT NULL,     -- failures since the last success
    claimed_at     INTEGER,              -- the first claim for posting; a look-up starts here
    in_doubt_since INTEGER,              -- a post may have happened since; NULL: its result is known
    channel        TEXT    NOT NULL,     -- the conversation that holds its message
    ts             TEXT    NOT NULL,     -- the message's timestamp, its id in that conversation
    asked_at       INTEGER,              -- when a reply, a look-up or Slack's answer proved the post
    reason         TEXT    NOT NULL,     -- why it failed
    replies        TEXT    NOT NULL,     -- digests of its replies' windows, separated by spaces
    PRIMARY KEY (key, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX inquiry_due ON inquiry (due_at) WHERE due_at IS NOT NULL;
-- The places of each person's open questions, and the burst of those that wait for one.
CREATE TABLE places (
    person     TEXT    PRIMARY KEY,  -- the Slack id; on Enterprise Grid the one that sorts first
    version    INTEGER NOT NULL,     -- raised by each save; a save of an older version is refused
    due_at     INTEGER,              -- when somebody must look at the burst; NULL: there is none
    touched_at INTEGER NOT NULL,     -- when it was last saved
    facts      TEXT    NOT NULL      -- the places, and what the burst's line and card are about, as JSON
) STRICT;

CREATE INDEX places_due ON places (due_at) WHERE due_at IS NOT NULL;

-- Written to test whether the store takes writes; nobody reads it.
CREATE TABLE probe (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;

-- What the store knows of its own past: one row. `NAME.head`, beside the file, has identity and count as well.
CREATE TABLE past (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    identity      TEXT    NOT NULL,            -- which store this is: 128 random bits in hex
    commits       INTEGER NOT NULL,            -- write transactions so far; never lowered
    written_at    INTEGER,                     -- when the last one was committed; NULL: unknown (an upgraded file)
    is_backup     INTEGER NOT NULL DEFAULT 0,  -- 1: a copy that `backup` made; `run --restored` takes the mark away
    restored_at   INTEGER,                     -- when `run --restored` drew the identity; NULL: never
    restored_from INTEGER,                     -- and `written_at` before that, the backup's last commit; NULL: unknown
    replaces      TEXT    NOT NULL DEFAULT ''  -- the head that this identity replaces, until its own is on disk
) STRICT;

-- That the store was restored: one row. What was posted in between may be missing in the table `question`.
CREATE TABLE restore (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    since INTEGER NOT NULL,  -- half an hour before the backup's last commit, or before that of an earlier restore
    until INTEGER NOT NULL   -- when it was restored
) STRICT;

-- Conversations that were read after a restore, before their person was asked anything.
CREATE TABLE conversation (
    slack_id TEXT    PRIMARY KEY,
    read_at  INTEGER NOT NULL
) STRICT;

-- Questions that were found there.
CREATE TABLE found_question (
    key      TEXT    PRIMARY KEY,  -- the first part of the ref
    facts    TEXT    NOT NULL,     -- what the message says of it, as JSON
    found_at INTEGER NOT NULL
) STRICT;

CREATE INDEX found_question_at ON found_question (found_at);
