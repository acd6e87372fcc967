"""What `check` says of the second factor: its provider, and one real proof."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from certificate import make_certificate, needs_openssl
from given_settings import COMPLETE
from joserfc.jwk import KeySet
from scripted_provider import ADA, CLIENT_ID, KEY, ScriptedProvider, scripted
from world.worker import run_command

from bot.cli.checks.factor import check_factor, check_proof
from bot.cli.checks.findings import CheckStatus, Finding
from bot.clock import utc_now
from bot.sandbox.child_process import bare_environment
from bot.settings.settings import Purpose, Settings, load_settings

pytestmark = needs_openssl

SETTINGS = "correct the settings FACTOR_… (docs/reference.md)"
NETWORK = (
    "check FACTOR_ISSUER, DNS, firewall and proxy (HTTPS_PROXY, NO_PROXY; SSL_CERT_FILE for a private CA)"
)
PROVIDER = "correct this at the provider: it must offer CIBA in poll mode, and have a client for this bot"

Load = Callable[..., Settings]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def provider(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ScriptedProvider]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with scripted(certificate) as provider:
        provider.pushes = [(200, {"auth_req_id": "push-1", "expires_in": 60, "interval": 0.01})]
        yield provider


@pytest.fixture
def load(provider: ScriptedProvider, tmp_path: Path) -> Load:
    (tmp_path / "alerts.toml").write_text('[alert.vpn]\nfactor = "required"\n')

    def load(**changes: str) -> Settings:
        environ = {
            **COMPLETE,
            "FACTOR_ISSUER": provider.issuer,
            "FACTOR_CLIENT_ID": CLIENT_ID,
            "FACTOR_CLIENT_SECRET": "hunter2",
            "CONFIG_DIR": str(tmp_path),
            **changes,
        }
        return load_settings(Purpose.CHECK, environ=environ, directory=tmp_path)

    return load


def told(findings: Any) -> list[tuple[str, CheckStatus]]:
    assert "hunter2" not in repr(findings)
    return [(each.subject.split("127")[0].strip(), each.status) for each in findings]


async def test_a_provider_that_can_be_used_is_fine_with_its_keys_and_its_clock(load: Load) -> None:
    findings = await check_factor(load())

    assert told(findings) == [
        ("second factor", CheckStatus.OK),
        ("keys of the second factor", CheckStatus.OK),
        ("clock and", CheckStatus.OK),
    ]


async def test_nothing_is_said_where_none_is_set_and_none_is_needed(load: Load, tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").unlink()

    assert await check_factor(load(FACTOR_ISSUER="")) == []


@pytest.mark.parametrize(
    ("changes", "detail", "remedy"),
    [
        ({"FACTOR_ISSUER": ""}, "FACTOR_ISSUER is not set; alerts.toml requires it of vpn", SETTINGS),
        (
            {"FACTOR_CLIENT_ID": "", "FACTOR_CLIENT_SECRET": ""},
            "FACTOR_CLIENT_ID is not set; expected it with FACTOR_ISSUER; FACTOR_CLIENT_SECRET is not set",
            SETTINGS,
        ),
        ({"FACTOR_CLIENT_AUTH": "private_key_jwt"}, "FACTOR_CLIENT_KEY is not set", SETTINGS),
        (
            {"FACTOR_ISSUER": "https://127.0.0.1:9"},
            "127.0.0.1 cannot be reached",
            NETWORK,
        ),
        *(
            (
                {"FACTOR_CLIENT_AUTH": "private_key_jwt", "FACTOR_CLIENT_KEY": key},
                "FACTOR_CLIENT_KEY is not a",
                SETTINGS,
            )
            for key in ("x", '{"d":' * 9999)
        ),
        (
            {
                "FACTOR_CLIENT_AUTH": "private_key_jwt",
                "FACTOR_CLIENT_KEY": json.dumps(KEY.as_dict(private=True, use="enc")),
            },
            "FACTOR_CLIENT_KEY cannot sign (unsupported_key_use",
            SETTINGS,
        ),
    ],
)
async def test_a_provider_that_is_missing_or_cannot_be_reached_fails(
    load: Load, changes: dict[str, str], detail: str, remedy: str
) -> None:
    [finding] = await check_factor(load(**changes))

    assert finding.status is CheckStatus.FAILED
    assert finding.detail.startswith(detail)
    assert finding.remedy == remedy


async def test_a_provider_without_keys_or_with_another_time_is_told(
    load: Load, provider: ScriptedProvider
) -> None:
    provider.keys = KeySet([])
    provider.headers = {"Date": format_datetime(utc_now() - timedelta(hours=1), usegmt=True)}

    findings = await check_factor(load())

    assert [each.status for each in findings] == [CheckStatus.OK, CheckStatus.FAILED, CheckStatus.FAILED]
    assert findings[1].remedy == PROVIDER


async def prove(settings: Settings) -> tuple[Finding, str]:
    said: list[str] = []
    [finding] = await check_proof(settings, "Ada@example.com", said.append)
    return finding, "".join(said)


def approved_by(provider: ScriptedProvider, who: str) -> None:
    now = int(utc_now().timestamp())
    token = provider.token(email=who, iat=now, exp=now + 300)
    provider.polls = [(400, {"error": "authorization_pending"}), (200, {"id_token": token})]


async def test_one_real_proof_is_made_and_says_what_the_device_must_show(
    load: Load, provider: ScriptedProvider
) -> None:
    approved_by(provider, ADA)

    finding, said = await prove(load())

    assert finding.status is CheckStatus.OK
    [form] = [form for path, form in provider.asked if path == "/push"]
    assert form["login_hint"] == "Ada@example.com"
    assert form["binding_message"] in said


@pytest.mark.slow
async def test_the_command_makes_the_proof_and_ends_as_it_ended(
    provider: ScriptedProvider, certificate: Path, tmp_path: Path
) -> None:
    environment = {
        **bare_environment(tmp_path),
        **COMPLETE,
        "FACTOR_ISSUER": provider.issuer,
        "FACTOR_CLIENT_ID": CLIENT_ID,
        "FACTOR_CLIENT_SECRET": "hunter2",
        "CONFIG_DIR": str(tmp_path),
        "SSL_CERT_FILE": str(certificate),
    }

    async def run() -> tuple[int, str]:
        command = ("check", "--factor", "Ada@example.com")
        done = await asyncio.to_thread(run_command, *command, folder=tmp_path, environment=environment)
        return done.returncode, done.stdout + done.stderr

    approved_by(provider, ADA)
    approved = await run()
    provider.polls = [(400, {"error": "access_denied"})]
    denied = await run()

    [first, _] = [form["binding_message"] for path, form in provider.asked if path == "/push"]
    assert (approved[0], denied[0]) == (0, 1), (approved, denied)
    assert f"the device must show the code {first.split()[-1]}" in approved[1]
    assert "hunter2" not in approved[1] + denied[1]


async def test_where_somebody_else_approves_both_are_shown_with_the_entry_that_would_say_so(
    load: Load, provider: ScriptedProvider
) -> None:
    approved_by(provider, "lovelace@example.com")

    finding, _ = await prove(load())

    assert finding.status is CheckStatus.FAILED
    asked = "Ada@example.com was asked, and the claim email says that lovelace@example.com approved"
    assert finding.detail == asked
    assert finding.remedy == (
        'if that is the same person, put "ada@example.com" = "lovelace@example.com"'
        " under [factor] in people.toml; if not, correct the device that the provider has for them"
    )


@pytest.mark.parametrize(
    ("reply", "detail", "remedy"),
    [
        (
            (400, {"error": "access_denied"}),
            "not given (refused",
            "the person refused on their device: there is nothing to correct",
        ),
        (
            (400, {"error": "not_me"}),
            "not given (fraud)",
            "the person reported a fraud: find out whether they expected this check",
        ),
        (
            (400, {"error": "expired_token"}),
            "not given (timed out",
            "the person did not respond: ask them to have their device at hand, and try again",
        ),
        ((400, {"error": "invalid_grant"}), "not given (lost", PROVIDER),
        (
            (200, {"id_token": "x"}),
            "not given (unavailable: the ID token is not valid",
            "correct this at the provider, or change FACTOR_SUBJECT_CLAIM and FACTOR_SCOPE",
        ),
    ],
)
async def test_a_proof_that_is_not_given_says_why(
    load: Load, provider: ScriptedProvider, reply: Any, detail: str, remedy: str
) -> None:
    provider.polls = [reply]

    finding, _ = await prove(load(FACTOR_FRAUD_ERROR="not_me"))

    assert finding.status is CheckStatus.FAILED
    assert finding.detail.startswith(detail)
    assert finding.remedy == remedy


async def test_a_push_that_the_worker_would_not_accept_is_no_proof(
    load: Load, provider: ScriptedProvider
) -> None:
    provider.pushes = [(200, {"auth_req_id": "push-1", "expires_in": 301, "interval": 0.01})]
    approved_by(provider, ADA)

    finding, said = await prove(load())

    assert (finding.status, said) == (CheckStatus.FAILED, "")
    assert finding.detail.endswith(" lets a push last 301 s, and the worker accepts none over 300 s")
    assert finding.remedy == "let requests of this client expire after at most 300 s at the provider"


async def test_nobody_is_asked_for_a_proof_while_a_setting_that_it_needs_is_wrong(
    load: Load, provider: ScriptedProvider
) -> None:
    settings = load(FACTOR_SCOPE="email", FACTOR_SUBJEC_CLAIM="sub", REMIND_AFTER="soon")

    findings = await check_proof(settings, "Ada@example.com", print)

    assert [(each.subject, each.status) for each in findings] == [
        ("FACTOR_SCOPE", CheckStatus.FAILED),
        ("settings", CheckStatus.WARNING),
        ("proof", CheckStatus.SKIPPED),
    ]
    assert provider.asked == []


async def test_whoever_has_no_device_is_told(load: Load, provider: ScriptedProvider) -> None:
    provider.pushes = [(400, {"error": "unknown_user_id"})]

    finding, said = await prove(load())

    assert finding.detail == "the provider knows no device of Ada@example.com"
    assert finding.remedy == (
        "enrol a device there, or put the provider's name for them under [factor] in people.toml"
    )
    assert said == ""


async def test_a_file_or_a_setting_that_is_wrong_is_told(load: Load, tmp_path: Path) -> None:
    (tmp_path / "people.toml").write_text("[factor]\nada = 1\n")

    finding, _ = await prove(load())

    assert finding.status is CheckStatus.FAILED
    assert finding.remedy == "correct the settings FACTOR_…, or people.toml"
