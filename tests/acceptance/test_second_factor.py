"""The real worker and a certified OpenID provider: what is done on the device is what MozDef is told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from certificate import make_certificate, needs_openssl
from ciba_provider import CibaProvider, needs_node
from wording import WORDING
from world import World, newcomer, paragraphs, until

from bot.triage.outcomes import Status

pytestmark = [needs_openssl, needs_node, pytest.mark.slow]

#: Whom the provider knows otherwise: see its program.
SHARED = newcomer("shared")
SECRET = "a secret: 100 % of/it"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CibaProvider]:
    folder = tmp_path_factory.mktemp("provider")
    with CibaProvider(folder, make_certificate(folder)) as provider:
        yield provider


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory,
    create_shared_world: Callable[..., World],
    provider: CibaProvider,
) -> World:
    folder = tmp_path_factory.mktemp("policies")
    (folder / "alerts.toml").write_text('[default]\nfactor = "required"\n', encoding="utf-8")
    world = create_shared_world(
        CONFIG_DIR=str(folder),
        FACTOR_ISSUER=provider.issuer,
        FACTOR_CLIENT_ID="basic",
        FACTOR_CLIENT_SECRET=SECRET,
        SSL_CERT_FILE=str(provider.certificate),
    )
    world.slack.admit(SHARED)
    world.start()
    return world


def code_in(world: World, identifier: str) -> str:
    """Wait until the message shows a code; return it."""

    def look() -> str:
        text = " ".join(paragraphs(world.slack.question(identifier)))
        found = re.search(r"the code ([A-Z2-9]{6})\b", text)
        return found[1] if found else ""

    return until(look, what=f"the message about {identifier} shows a code")


@pytest.mark.parametrize(
    ("user", "action", "outcome", "reason", "status"),
    [
        ("ada@example.com", "approve", "yes", None, Status.ACKNOWLEDGED),
        ("grace@example.com", "deny", "unproven", "factor_refused", Status.MANUAL),
        ("alan@example.com", "expire", "unproven", "factor_timed_out", Status.MANUAL),
        ("shared@example.com", "approve", "unproven", "factor_unavailable", Status.MANUAL),
    ],
)
def test_a_yes_counts_by_what_is_done_on_the_device(  # noqa: PLR0913, PLR0917 - each is a column
    world: World,
    provider: CibaProvider,
    user: str,
    action: str,
    outcome: str,
    reason: str | None,
    status: Status,
) -> None:
    identifier, question = world.ask(user=user)
    assert world.slack.press(question, "yes").acknowledged
    code = code_in(world, identifier)
    assert world.responses.letters() == [
        one for one in world.responses.letters() if one.details["identifier"] != identifier
    ]

    until(lambda: provider.device(action, code), what="the push is on the device")

    told = world.reports(identifier)[0].details["triagebot"]
    assert (told["outcome"], told.get("reason")) == (outcome, reason)
    assert world.status(identifier) == status
    if status is Status.ACKNOWLEDGED:
        assert told["factor"]["method"] == "ciba"
        world.slack.redrawn(identifier, WORDING["answer"]["yes"])
    else:
        world.slack.redrawn(identifier, WORDING["answer"]["unproven"])
    assert SECRET not in world.worker.log
    assert user not in world.worker.log


def test_a_no_counts_at_once_and_an_approval_after_it_changes_nothing(
    world: World, provider: CibaProvider
) -> None:
    identifier, question = world.ask(user="katherine@example.com")
    world.slack.press(question, "yes")
    code = code_in(world, identifier)
    world.slack.press(world.slack.question(identifier), "no")
    assert world.status(identifier) == Status.ESCALATED

    until(lambda: provider.device("approve", code), what="the push is on the device")

    world.worker.until_logged("proof.ignored", identifier)
    assert len(world.reports(identifier)) == 1
