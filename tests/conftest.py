"""What all tests share: how much of a property is tried, and one local SQS for each process of the run."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings
from mypy_boto3_sqs import SQSClient
from world import World

from bot.aws.access import Access
from bot.sandbox.aws_server import create_server
from bot.sqs.clients import Connector
from bot.store.dynamodb.schema import table_description
from bot.worker.log import close_log

REGION = "us-west-2"

#: The folders whose tests mostly compute. All others mostly wait: for processes, a browser, each other.
COMPUTES = {"unit", "contract"}

#: The folders and modules whose slow tests take a minute or more each.
TAKES_MINUTES = {"installation", "torture", "bench", "test_page_access", "test_fuzz"}

# A busy machine must not fail a property: how long an example takes says nothing about the program.
settings.register_profile("thorough", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("thorough"), max_examples=15)


def pytest_configure(config: pytest.Config) -> None:
    """Try properties with a few examples, and in the slow run with all. Modules ask for it when they load."""
    settings.load_profile("thorough" if _is_slow_run(config) else "quick")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run one test at a time on each core, and one more; two on each where they wait.

    Each of these processes loads all test files first, which takes it as long as thousands of unit tests.
    """
    cores = os.cpu_count() or 1
    computes = all(COMPUTES.intersection(Path(each).parts) for each in config.args)
    return cores + 1 if computes else 2 * cores


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the slow run, try all properties again, and begin with what takes minutes, to end sooner."""
    if _is_slow_run(config):
        items.sort(key=lambda item: TAKES_MINUTES.isdisjoint((item.path.parent.name, item.path.stem)))
        for item in items:
            if is_hypothesis_test(getattr(item, "obj", None)):
                item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over all that was loaded: it would look through it again and again."""
    gc.collect()
    gc.freeze()


def _is_slow_run(config: pytest.Config) -> bool:
    return bool(config.option.markexpr == "slow")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Close the log that a test has set up while its stream is still open."""
    try:
        yield
    finally:
        close_log()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make what a test has logged fit to be sent to another process: lone surrogates are not."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def sqs_endpoint() -> Iterator[str]:
    """The address of an SQS that lives as long as the test run."""
    server = create_server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def aws_environment(sqs_endpoint: str) -> Mapping[str, str]:
    """What a process needs in its environment to use that SQS, and nothing else of this machine's."""
    return {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL_SQS": sqs_endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.fixture
def in_aws_environment(aws_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make boto3 look for credentials and endpoint there."""
    for name, value in aws_environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def aws_session() -> boto3.Session:
    return boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)


@pytest.fixture(scope="session")
def sqs(aws_session: boto3.Session, sqs_endpoint: str) -> Iterator[SQSClient]:
    """A plain client, for what the other side of a queue does."""
    client = aws_session.client("sqs", endpoint_url=sqs_endpoint)
    yield client
    client.close()


@pytest.fixture(scope="session")
def create_queue(sqs: SQSClient) -> Callable[..., str]:
    """Create a queue that no other test has, with the given attributes; return its URL."""

    def create(*, fifo: bool = False, **attributes: str) -> str:
        suffix = ".fifo" if fifo else ""
        if fifo:
            attributes["FifoQueue"] = "true"
        return sqs.create_queue(QueueName=f"{uuid4().hex}{suffix}", Attributes=attributes)["QueueUrl"]  # type: ignore[arg-type] # the stubs want literals

    return create


@pytest.fixture(scope="session")
def create_table(aws_session: boto3.Session, sqs_endpoint: str) -> Callable[[], str]:
    """Create tables for workers that no other test has, at the address of SQS; return their URLs."""
    make: Any = aws_session.client
    dynamodb = make("dynamodb", endpoint_url=sqs_endpoint)

    def create() -> str:
        name = f"triage-{uuid4().hex}"
        dynamodb.create_table(**table_description(name))
        return f"dynamodb://{name}"

    return create


@pytest.fixture
def create_world(
    tmp_path_factory: pytest.TempPathFactory, sqs: SQSClient, aws_environment: Mapping[str, str]
) -> Iterator[Callable[..., World]]:
    """Make worlds whose worker is not started yet; each has queues of its own."""
    yield from _make_worlds(tmp_path_factory, sqs, aws_environment)


@pytest.fixture(scope="module")
def create_shared_world(
    tmp_path_factory: pytest.TempPathFactory, sqs: SQSClient, aws_environment: Mapping[str, str]
) -> Iterator[Callable[..., World]]:
    """Make worlds as `create_world` does, which live until the last test of the module."""
    yield from _make_worlds(tmp_path_factory, sqs, aws_environment)


def _make_worlds(
    folders: pytest.TempPathFactory, sqs: SQSClient, aws: Mapping[str, str]
) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def create(*, fifo: bool = False, **variables: str) -> World:
        worlds.append(World(folders.mktemp("world"), sqs, aws, fifo=fifo, variables=variables))
        return worlds[-1]

    yield create
    for world in worlds:
        world.__exit__()
    for world in worlds:
        world.assert_clean_log()


@pytest.fixture
def world(create_world: Callable[..., World]) -> World:
    """A world whose worker is not started yet."""
    return create_world()


@pytest.fixture
def connector(aws_session: boto3.Session, sqs_endpoint: str) -> Iterator[Connector]:
    """The program's own way to that SQS."""
    connector = Connector(endpoint_url=sqs_endpoint, access=Access(lambda: aws_session))
    yield connector
    connector.close()
