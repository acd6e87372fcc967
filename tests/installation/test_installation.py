"""From a Debian with nothing in it to an answer, an upgrade and a rollback; then the same from a clone.

Slow, and only where root can make a Debian. `pytest -m slow -n0 -s tests/installation` prints the transcript.
Each stage begins where the one before it ended; a test asks for the stage that it looks at.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from world import until
from world.slack import SlackSide, newcomer

from bot import __version__
from bot.sandbox.fake_slack import SECURITY_CHANNEL
from installation.debian_root import READER, DebianRoot, codename
from installation.reader import INSTALL, OPERATE, Reader, commands_of
from installation.service import BOOTED, PROGRAM, Service

CHECKOUT = Path(__file__).parents[2]

#: Everything that `check` looks at is in order.
ALL_OK = re.compile(r"^\d+ ok\.$", re.MULTILINE)

PACKAGE = "triage-bot_{}~deb12_amd64.deb"

#: The release after this one.
NEWER = "9999.0.0"

SETTINGS = "etc/triage-bot.env"
TOKEN = "etc/triage-bot/slack_bot_token"
ENABLED = "etc/systemd/system/multi-user.target.wants/triage-bot.service"
STORE = "var/lib/private/triage-bot/triage-bot.db"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a Debian in a folder"),
    pytest.mark.skipif(codename() != "bookworm", reason="the package is built for and in Debian 12"),
    pytest.mark.skipif(
        not shutil.which("debootstrap") and "CI" not in os.environ, reason="debootstrap is missing"
    ),
]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a stage printed, and each stop and start of the worker in it with the version installed then."""

    printed: str
    systemd: list[tuple[str, str]]


@pytest.fixture(scope="module")
def root() -> Iterator[DebianRoot]:
    """A Debian with this checkout's release and a newer one at the reader's, and the repository in /srv."""
    with tempfile.TemporaryDirectory(prefix="debian-") as name:
        root = DebianRoot(Path(name) / "root")
        release = Path(name) / "release"
        # While the Debian is fetched. To compress would take longer than all the rest.
        with subprocess.Popen(  # noqa: S603 - ours
            [CHECKOUT / "scripts/build_release", release],
            env=os.environ | {"DPKG_DEB_COMPRESSOR_TYPE": "none"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as building:
            root.make()
            _, complaints = building.communicate()
        assert building.returncode == 0, complaints.decode()
        repository = root.path / "srv/triage-bot.git"
        _run("git", "clone", "--quiet", "--bare", CHECKOUT, repository)
        _run("git", "-C", repository, "tag", "--force", f"v{__version__}")
        shutil.copytree(release, root.path / "home" / READER, dirs_exist_ok=True)
        _make_newer(root.path / "home" / READER)
        yield root


def _make_newer(folder: Path) -> None:
    """Make the next release's package out of the one in this folder: it differs in its version alone."""
    with tempfile.TemporaryDirectory() as name:
        _run("dpkg-deb", "--raw-extract", folder / PACKAGE.format(__version__), name)
        program = Path(name, PROGRAM)
        program.write_text(program.read_text().replace(__version__, NEWER))
        (program.parent / "__pycache__/__init__.cpython-311.pyc").unlink()
        control = Path(name, "DEBIAN/control")
        control.write_text(control.read_text().replace(f"Version: {__version__}", f"Version: {NEWER}"))
        _run("dpkg-deb", "--root-owner-group", "-Znone", "--build", name, folder / PACKAGE.format(NEWER))


def _run(*words: str | Path) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - the tests'


@pytest.fixture(scope="module")
def slack() -> Iterator[SlackSide]:
    slack = SlackSide()
    slack.start()
    slack.admit(newcomer("you"))
    yield slack
    slack.close()


@pytest.fixture(scope="module")
def service(root: DebianRoot) -> Iterator[Service]:
    service = Service(root)
    yield service
    service.close()


@pytest.fixture(scope="module")
def reader(
    root: DebianRoot,
    service: Service,
    slack: SlackSide,
    create_queue: Callable[..., str],
    aws_environment: Mapping[str, str],
) -> Reader:
    """Somebody who has made the Slack app and the queues, and has their facts ready."""
    settings = {
        **_queues(create_queue),
        **aws_environment,
        "SLACK_API_URL": slack.api_url,
        "SECURITY_CHANNEL": SECURITY_CHANNEL,
        "STORE_URL": "sqlite:////var/lib/triage-bot/triage-bot.db",
        "MOZDEF_SYNC_SECONDS": "0",
    }
    root.lay_ready("triage-bot", "".join(f"{name}={value}\n" for name, value in settings.items()))
    root.lay_ready("slack_bot_token", f"{slack.bot_token}\n")
    root.lay_ready("slack_app_token", f"{slack.app_token}\n")
    return Reader(
        root, service, {"REPOSITORY": "/srv/triage-bot.git", "VERSION": __version__, "NEWER": NEWER}
    )


def _queues(create_queue: Callable[..., str]) -> dict[str, str]:
    invalid = create_queue()
    target = f"arn:aws:sqs:us-west-2:123456789012:{invalid.rpartition('/')[2]}"
    redrive = f'{{"deadLetterTargetArn":"{target}","maxReceiveCount":"10"}}'
    return {
        "REQUEST_QUEUE_URL": create_queue(RedrivePolicy=redrive),
        "RESPONSE_QUEUE_URL": create_queue(fifo=True),
        "DEAD_LETTER_QUEUE_URL": invalid,
    }


@pytest.fixture(scope="module")
def installed(reader: Reader, service: Service) -> Stage:
    return _stage(service, reader.follow(INSTALL, "3. Install the worker"))


@pytest.fixture(scope="module")
def operated(reader: Reader, service: Service, slack: SlackSide, installed: Stage) -> Stage:  # noqa: ARG001 - before it
    asked = until(slack.all_questions, what="the question is in Slack")
    assert slack.press(asked[0], "no").acknowledged
    printed = [
        reader.do("sudo triage-bot list"),
        reader.follow(OPERATE, "Back up and restore"),
        reader.follow(OPERATE, "Replay what MozDef lost"),
    ]
    return _stage(service, "".join(printed))


@pytest.fixture(scope="module")
def upgraded(reader: Reader, service: Service, operated: Stage) -> Stage:  # noqa: ARG001 - before it
    printed = reader.follow(OPERATE, "Upgrade")
    return _stage(service, printed + reader.do("triage-bot --version"))


@pytest.fixture(scope="module")
def rolled_back(reader: Reader, service: Service, upgraded: Stage) -> Stage:  # noqa: ARG001 - before it
    printed = reader.follow(OPERATE, "Roll back")
    return _stage(service, printed + reader.do("triage-bot --version") + reader.do("sudo triage-bot check"))


@pytest.fixture(scope="module")
def upgraded_at_rest(reader: Reader, service: Service, rolled_back: Stage) -> Stage:  # noqa: ARG001 - before it
    reader.do("sudo systemctl stop triage-bot")
    service.history.clear()
    return _stage(service, reader.do(f"sudo apt install ./{PACKAGE.format(NEWER)}"))


@pytest.fixture(scope="module")
def purged(
    root: DebianRoot,
    reader: Reader,
    service: Service,
    upgraded_at_rest: Stage,  # noqa: ARG001 - before it
) -> Stage:
    reader.do("sudo systemctl start triage-bot")
    enabled = root.path / ENABLED
    enabled.parent.mkdir(exist_ok=True)
    enabled.symlink_to("/usr/lib/systemd/system/triage-bot.service")
    service.history.clear()
    return _stage(service, reader.do("sudo apt purge triage-bot"))


@pytest.fixture(scope="module")
def cloned(reader: Reader, service: Service, purged: Stage) -> Stage:  # noqa: ARG001 - before it
    reader.follow(INSTALL, "From a clone")
    reader.do("sudo systemctl enable --now triage-bot")
    return _stage(service, reader.do("sudo triage-bot check"))


def _stage(service: Service, printed: str) -> Stage:
    stage = Stage(printed=printed, systemd=list(service.history))
    service.history.clear()
    return stage


def test_from_the_package_to_a_worker_whose_check_is_all_ok_takes_twelve_commands_at_the_most(
    installed: Stage, slack: SlackSide
) -> None:
    commands = commands_of(INSTALL, "3. Install the worker")

    assert len(commands) <= 12
    assert commands[-1] == "sudo triage-bot check"
    assert ALL_OK.search(installed.printed), installed.printed
    assert "open in the running worker" in installed.printed
    assert until(slack.all_questions, what="the question is in Slack")


def test_a_release_is_what_its_checksums_say_and_the_package_needs_no_network(installed: Stage) -> None:
    checked = set(re.findall(r"^(\S+): OK$", installed.printed, re.MULTILINE))
    archives = {f"triage_bot-{__version__}{suffix}" for suffix in (".tar.gz", "-py3-none-any.whl")}

    assert checked == archives | {"sbom.json", PACKAGE.format(__version__)}
    assert f"Setting up triage-bot ({__version__}~deb12)" in installed.printed


def test_a_first_installation_starts_nothing(installed: Stage) -> None:
    # The one start is the reader's.
    assert installed.systemd == [("start", __version__)]


def test_settings_are_made_for_root_alone_where_there_are_none(root: DebianRoot, installed: Stage) -> None:
    assert "SLACK_BOT_TOKEN=" in (root.path / SETTINGS).read_text()
    assert stat.S_IMODE((root.path / SETTINGS).stat().st_mode) == 0o600
    assert "Configuration file" not in installed.printed  # dpkg asks about conffiles


def test_the_drop_ins_are_examples_until_they_are_copied(root: DebianRoot, installed: Stage) -> None:
    shipped = {file.name for file in (CHECKOUT / "systemd/triage-bot.service.d").iterdir()}

    assert {file.name for file in (root.path / "usr/share/doc/triage-bot/examples").iterdir()} == shipped
    assert not (root.path / "usr/lib/systemd/system/triage-bot.service.d").exists()
    copied = (root.path / "etc/systemd/system/triage-bot.service.d").iterdir()
    assert [file.name for file in copied] == ["instance-profile.conf"]
    assert installed


def test_the_package_s_unit_is_the_one_of_the_repository_but_for_its_paths(
    root: DebianRoot, installed: Stage
) -> None:
    ours = (CHECKOUT / "systemd/triage-bot.service").read_text().splitlines()
    packaged = (root.path / "usr/lib/systemd/system/triage-bot.service").read_text().splitlines()

    assert [after for before, after in zip(ours, packaged, strict=True) if before != after] == [
        "Documentation=file:///usr/share/doc/triage-bot/docs/operate.md",
        "ExecStart=/usr/bin/triage-bot run",
    ]
    assert installed


def test_the_environment_holds_what_is_locked_and_nothing_that_installs(
    root: DebianRoot, installed: Stage
) -> None:
    home = root.path / "usr/lib/triage-bot"
    packages = home / "lib/python3.11/site-packages"
    names = {re.sub(r"[-_.]+", "-", path.name.split("-")[0]) for path in packages.glob("*.dist-info")}
    lock = (CHECKOUT / "config/requirements.lock").read_text()
    locked = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    bill = json.loads((root.path / "home" / READER / "sbom.json").read_text())

    assert names == {*locked, "triage-bot"}
    assert {each["name"].replace("_", "-") for each in bill["components"]} == locked
    assert {path.name for path in (home / "bin").iterdir()} == {
        "python",
        "python3",
        "python3.11",
        "triage-bot",
    }
    # Compiled, and never to be compiled again (PEP 552): what root's commands wrote would stay behind.
    compiled = list(packages.rglob("*.pyc"))
    assert len(compiled) == len(list(packages.rglob("*.py")))
    assert {path.read_bytes()[4:8] for path in compiled} == {b"\1\0\0\0"}
    assert installed


def test_the_guide_to_operation_restores_a_backup_and_replays_and_nobody_is_asked_twice(
    operated: Stage, slack: SlackSide
) -> None:
    assert "you@example.com" in operated.printed
    assert len(slack.all_questions()) == 1


def test_an_upgrade_stops_a_running_worker_before_files_change_and_starts_it_afterwards(
    upgraded: Stage,
) -> None:
    assert upgraded.systemd == [("stop", __version__), ("start", NEWER)]
    assert ALL_OK.search(upgraded.printed), upgraded.printed
    assert upgraded.printed.endswith(f"triage-bot {NEWER}\n")


def test_a_rollback_is_the_installation_of_the_older_package(rolled_back: Stage, slack: SlackSide) -> None:
    assert rolled_back.systemd == [("stop", NEWER), ("start", __version__)]
    assert f"triage-bot {__version__}\n" in rolled_back.printed
    assert ALL_OK.search(rolled_back.printed), rolled_back.printed
    assert len(slack.all_questions()) == 1


def test_a_worker_at_rest_is_not_started_by_an_upgrade(upgraded_at_rest: Stage) -> None:
    assert f"Setting up triage-bot ({NEWER}~deb12)" in upgraded_at_rest.printed
    assert upgraded_at_rest.systemd == []


def test_the_package_s_scripts_work_without_systemd(
    root: DebianRoot, reader: Reader, service: Service, upgraded_at_rest: Stage
) -> None:
    (root.path / BOOTED).rename(root.path / "run/booted")

    for script in ("prerm upgrade", "postinst configure", "prerm remove", "postrm remove"):
        reader.do(f"sudo /var/lib/dpkg/info/triage-bot.{script}")

    (root.path / "run/booted").rename(root.path / BOOTED)
    assert service.history == upgraded_at_rest.systemd == []


def test_a_purge_leaves_settings_tokens_and_store_and_says_where(root: DebianRoot, purged: Stage) -> None:
    for left in (SETTINGS, "etc/triage-bot", "var/lib/private/triage-bot"):
        assert f"left in place: /{left}\n" in purged.printed
    assert all((root.path / kept).stat().st_size for kept in (SETTINGS, TOKEN, STORE))
    assert purged.systemd == [("stop", NEWER)]
    assert not (root.path / ENABLED).is_symlink()


def test_from_a_clone_everything_is_installed_under_hashes_and_check_is_all_ok(cloned: Stage) -> None:
    installing = [each for each in commands_of(INSTALL, "From a clone") if "pip install" in each]

    assert all("--require-hashes" in each or "--no-build-isolation" in each for each in installing)
    assert ALL_OK.search(cloned.printed), cloned.printed


def test_the_package_warns_of_an_older_unit_and_command_that_would_win_and_says_how_to_change_over(
    root: DebianRoot, reader: Reader, cloned: Stage
) -> None:
    printed = reader.do(f"sudo apt install ~/{PACKAGE.format(__version__)}")
    for remedy in re.findall(r"^    (sudo .+)$", printed, re.MULTILINE):
        reader.do(remedy)
    checked = reader.do("sudo triage-bot check")

    assert "/etc/systemd/system/triage-bot.service takes precedence over this package's unit" in printed
    assert "/usr/local/bin/triage-bot takes precedence over this package's command" in printed
    assert not (root.path / "etc/systemd/system/triage-bot.service").exists()
    assert ALL_OK.search(checked), checked
    assert cloned
