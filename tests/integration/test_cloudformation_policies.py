"""Who may do what with the AWS side that ships, and who is told of trouble: read from the template.

The local AWS makes neither queue policies nor alarms, and asks nobody for permission.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest
from stacks import TEMPLATE, Template

from bot.cli.checks.sqs import DEAD_LETTER_QUEUE, REQUEST_QUEUE, RESPONSE_QUEUE
from bot.store.dynamodb.schema import EXPIRES

OPERATOR = "arn:aws:iam::123456789012:role/operator"
OPERATORS = "arn:aws:iam::123456789012:role/oper*"
WORKER, FORWARDER = "WorkerRole.Arn", "ForwarderRole.Arn"
MOZDEF_USER, MOZDEF_ROLE = "MozDefUser.Arn", "MozDefRole.Arn"

#: Principals with broad permissions in the account; one is its administrator.
EVERYBODY = {
    OPERATOR,
    WORKER,
    FORWARDER,
    MOZDEF_USER,
    MOZDEF_ROLE,
    "arn:aws:iam::123456789012:role/administrator",
}

EXISTING = {"MozDefPrincipal": "existing"}


def test_table_and_forwarder_are_made_on_demand_only() -> None:
    template = Template()

    for kind in ("AWS::DynamoDB::Table", "AWS::Lambda::Function", "AWS::Logs::LogGroup"):
        assert not template.resources(kind)
    names = {name for name, _ in template.statements("AWS::IAM::Policy")}
    assert names == {"WorkerQueuesPolicy", "WorkerTokensPolicy"}


def test_the_table_is_encrypted_can_be_restored_and_forgets_by_itself() -> None:
    table = Template(CreateTable="true").resources("AWS::DynamoDB::Table")["Table"]

    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": EXPIRES, "Enabled": True}


def test_the_table_cannot_be_deleted_but_on_demand() -> None:
    protected = Template(CreateTable="true").resources("AWS::DynamoDB::Table")["Table"]
    free = Template(CreateTable="true", ProtectTable="false").resources("AWS::DynamoDB::Table")["Table"]

    assert protected["DeletionProtectionEnabled"] is True
    assert free["DeletionProtectionEnabled"] is False


@pytest.mark.parametrize(
    ("queue", "action", "parameters", "allowed"),
    [
        ("Request", "SendMessage", {}, {MOZDEF_USER}),
        ("Request", "SendMessage", {"MozDefPrincipal": "role"}, {MOZDEF_ROLE}),
        ("Request", "SendMessage", {"CreateForwarder": "true"}, {MOZDEF_USER, FORWARDER}),
        ("Request", "SendMessage", {**EXISTING, "RequestSenderArns": [OPERATORS]}, {OPERATOR}),
        ("Request", "SendMessage", {"RequestSenderArns": [OPERATORS]}, {MOZDEF_USER, OPERATOR}),
        ("Request", "SendMessage", EXISTING, set()),
        ("Response", "SendMessage", {}, {WORKER}),
        *(
            ("Response", action, parameters, allowed)
            for action in ("DeleteMessage", "PurgeQueue")
            for parameters, allowed in (
                ({}, {MOZDEF_USER}),
                ({"MozDefPrincipal": "role"}, {MOZDEF_ROLE}),
                ({"ResponseReaderArns": [OPERATORS]}, {MOZDEF_USER, OPERATOR}),
                ({**EXISTING, "ResponseReaderArns": [OPERATORS]}, {OPERATOR}),
                (EXISTING, EVERYBODY),
            )
        ),
        ("Response", "ReceiveMessage", {}, EVERYBODY),
        ("DeadLetter", "SendMessage", {}, {WORKER}),
        ("DeadLetter", "SendMessage", {"CreateForwarder": "true"}, {WORKER, FORWARDER}),
    ],
)
def test_only_who_is_named_may_send_and_delete(
    queue: str, action: str, parameters: dict[str, Any], allowed: set[str]
) -> None:
    template = Template(**parameters)

    assert {who for who in EVERYBODY if not _is_denied(template, f"{queue}Queue", action, who)} == allowed


def test_who_is_named_by_the_parameter_needs_no_policy_of_their_own() -> None:
    policies = Template(RequestSenderArns=[OPERATOR]).statements("AWS::SQS::QueuePolicy")

    [(name, allowed)] = [each for each in policies if each[1]["Effect"] == "Allow"]

    assert name == "RequestQueuePolicy"
    assert allowed["Condition"] == {"ArnLike": {"aws:PrincipalArn": [OPERATOR]}}
    assert "sqs:SendMessage" in allowed["Action"]


@pytest.mark.parametrize("queue", ["RequestQueue", "ResponseQueue", "DeadLetterQueue"])
def test_nobody_uses_a_queue_without_tls(queue: str) -> None:
    template = Template()

    [denied] = _denials(template, f"{queue}Policy", "sqs:*")

    assert template.resources("AWS::SQS::QueuePolicy")[f"{queue}Policy"]["Queues"] == [queue]
    assert (denied["Principal"], denied["Resource"]) == ("*", f"{queue}.Arn")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_no_permission_is_broader_than_its_purpose() -> None:
    template = Template(CreateForwarder="true", CreateTable="true", RequestSenderArns=[OPERATOR])

    broad = [
        (name, statement["Sid"])
        for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::Role", "AWS::SQS::QueuePolicy")
        for name, statement in template.statements(kind)
        if statement["Effect"] == "Allow" and "*" in "".join([*_listed(statement["Action"])])
    ]
    everywhere = [
        (name, statement["Sid"])
        for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::Role")
        for name, statement in template.statements(kind)
        if "*" in _listed(statement["Resource"])
    ]

    assert broad == []
    assert everywhere == [("MozDefForwarderPolicy", "FindForwarder")]


def test_the_worker_may_do_what_it_does_and_nothing_else() -> None:
    granted = dict(_grants(Template(TokenKeyArn="arn:aws:kms:us-west-2:123456789012:key/1"), "Worker"))

    tokens = [resource for resource in granted if ":parameter${" in resource]
    assert granted.pop("RequestQueue.Arn") == {f"sqs:{action}" for action in REQUEST_QUEUE.actions}
    assert granted.pop("ResponseQueue.Arn") == {f"sqs:{action}" for action in RESPONSE_QUEUE.actions}
    assert granted.pop("DeadLetterQueue.Arn") == {f"sqs:{action}" for action in DEAD_LETTER_QUEUE.actions}
    assert [granted.pop(resource) for resource in tokens] == [{"ssm:GetParameter"}] * 2
    assert granted == {"arn:aws:kms:us-west-2:123456789012:key/1": {"kms:Decrypt"}}


def test_the_worker_may_read_the_secret_of_a_second_factor_if_there_is_one() -> None:
    granted = dict(_grants(Template(FactorSecretParameter="/triage-bot/factor"), "Worker"))

    more = granted.keys() - dict(_grants(Template(), "Worker")).keys()

    assert {resource.rpartition(":")[2]: granted[resource] for resource in more} == {
        "parameter${FactorSecretParameter}": {"ssm:GetParameter"}
    }


def test_mozdef_may_ask_and_read_and_nothing_else() -> None:
    granted = dict(_grants(Template(), "MozDef"))

    assert granted == {
        "RequestQueue.Arn": {"sqs:GetQueueUrl", "sqs:SendMessage"},
        "ResponseQueue.Arn": {
            "sqs:GetQueueUrl",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
        },
    }


@pytest.mark.parametrize(
    ("alarm", "of_what", "metric"),
    [
        ("OldestRequestAlarm", ("QueueName", "RequestQueue.QueueName"), "ApproximateAgeOfOldestMessage"),
        (
            "DeadLettersAlarm",
            ("QueueName", "DeadLetterQueue.QueueName"),
            "ApproximateNumberOfMessagesVisible",
        ),
        ("OldestResponseAlarm", ("QueueName", "ResponseQueue.QueueName"), "ApproximateAgeOfOldestMessage"),
        ("ForwarderErrorsAlarm", ("FunctionName", "Forwarder"), "Errors"),
    ],
)
def test_somebody_is_told_when_a_queue_stands_still_or_the_forwarder_fails(
    alarm: str, of_what: tuple[str, str], metric: str
) -> None:
    topic = "arn:aws:sns:us-west-2:123456789012:security"
    silent = Template(CreateForwarder="true").resources("AWS::CloudWatch::Alarm")[alarm]

    alarms = Template(CreateForwarder="true", AlarmTopicArn=topic).resources("AWS::CloudWatch::Alarm")

    told, is_forwarders = alarms[alarm], metric == "Errors"
    assert (told["Namespace"], told["MetricName"]) == ("AWS/Lambda" if is_forwarders else "AWS/SQS", metric)
    assert told["Dimensions"] == [{"Name": of_what[0], "Value": of_what[1]}]
    assert told["AlarmActions"] == told["OKActions"] == [topic]
    assert "AlarmActions" not in silent
    assert not is_forwarders or told["Threshold"] == 1
    assert (alarm in Template().resources("AWS::CloudWatch::Alarm")) is not is_forwarders


def test_the_forwarder_may_send_requests_and_keep_what_it_could_not_send() -> None:
    statements = Template(CreateForwarder="true").statements("AWS::IAM::Role")

    granted = {one["Resource"]: one["Action"] for name, one in statements if name == "ForwarderRole"}

    assert granted.pop("ForwarderLogs.Arn") == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert granted == {"RequestQueue.Arn": "sqs:SendMessage", "DeadLetterQueue.Arn": "sqs:SendMessage"}


def test_the_guide_for_mozdef_names_only_what_the_stack_has() -> None:
    guide = TEMPLATE.with_name("mozdef").joinpath("README.md").read_text(encoding="utf-8")

    named = set(re.findall(r"`([A-Z][a-z]+[A-Z][A-Za-z]+)(?:=\w+)?`", guide))

    assert {"RequestQueueName", "RequestSenderArns", "CreateForwarder"} <= named
    assert named <= Template().names


def _denials(template: Template, policy: str, action: str) -> list[dict[str, Any]]:
    return [
        statement
        for name, statement in template.statements("AWS::SQS::QueuePolicy")
        if (name, statement["Effect"], statement["Action"]) == (policy, "Deny", action)
    ]


def _is_denied(template: Template, queue: str, action: str, who: str) -> bool:
    """Whether the queue's policy keeps somebody from an action, over TLS and whatever else allows it."""
    assert template.resources("AWS::SQS::QueuePolicy")[f"{queue}Policy"]["Queues"] == [queue]
    return any(
        statement["Effect"] == "Deny"
        and (statement["Principal"], statement["Resource"]) == ("*", f"{queue}.Arn")
        and any(fnmatchcase(f"sqs:{action}", each) for each in _listed(statement["Action"]))
        and all(_holds(each, values, who) for each, values in statement.get("Condition", {}).items())
        for name, statement in template.statements("AWS::SQS::QueuePolicy")
        if name == f"{queue}Policy"
    )


def _holds(operator: str, values: dict[str, Any], who: str) -> bool:
    if operator == "Bool":
        return values != {"aws:SecureTransport": "false"}
    assert operator in {"ArnNotEquals", "ArnNotLike"}
    return not any(fnmatchcase(who, arn) for arn in _listed(values["aws:PrincipalArn"]))


def _grants(template: Template, whose: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each resource with all the actions that are allowed on it."""
    granted: dict[str, set[str]] = {}
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for name, statement in template.statements(kind):
            for resource in _listed(statement["Resource"]) if name.startswith(whose) else ():
                granted.setdefault(resource, set()).update(_listed(statement["Action"]))
    yield from granted.items()


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
