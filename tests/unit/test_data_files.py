"""botocore's data files: what is left of them leads to the same places."""

from __future__ import annotations

import botocore.session
import pytest

from bot.aws.data_files import new_core_session

REGIONS = ("us-west-2", "cn-north-1", "us-gov-west-1", "xx-nowhere-1")


@pytest.fixture(autouse=True)
def own_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DATA_PATH", "~/models:/nowhere")


# Ours, and those that botocore itself calls for credentials.
@pytest.mark.parametrize("service", ["sqs", "ssm", "dynamodb", "sts", "sso", "sso-oidc", "signin"])
def test_a_client_calls_the_same_address(service: str) -> None:
    ours, theirs = (
        [session.create_client(service, region_name=region) for region in REGIONS]
        for session in (new_core_session(), botocore.session.get_session())
    )

    for one, other in zip(ours, theirs, strict=True):
        assert one.meta.endpoint_url == other.meta.endpoint_url
        assert one.meta.partition == other.meta.partition


def test_only_these_services_are_kept_in_memory() -> None:
    loader = new_core_session().get_component("data_loader")

    kept = {name for each in loader.load_data("endpoints")["partitions"] for name in each["services"]}

    assert {"sqs", "dynamodb"} <= kept <= {"sqs", "ssm", "dynamodb", "sts", "portal.sso", "oidc"}


def test_files_are_looked_for_in_the_same_folders() -> None:
    ours, theirs = new_core_session(), botocore.session.get_session()

    paths = [session.get_component("data_loader").search_paths for session in (ours, theirs)]

    assert paths[0] == paths[1]
