"""The template of the AWS side: read for one choice of parameters, and deployed into the local AWS."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
from world.waiting import PATIENCE_SECONDS
from world.worker import bare_environment

TEMPLATE = Path(__file__).parents[2] / "config" / "cloudformation.yaml"

_PSEUDO_PARAMETERS = {
    "AWS::StackId": "arn:aws:cloudformation:us-west-2:1:stack/triage/1d2c8a50-aaaa-bbbb-cccc-0a58a9feac02"
}

#: What CloudFormation takes away from where it stands.
_NO_VALUE = {"Ref": "AWS::NoValue"}


class Template:
    """The template with its conditions decided, for parameters that are given or else their defaults.

    `Fn::GetAtt` reads as `Resource.Attribute`, `Ref` as the parameter's value or else the name; a text of
    `Fn::Sub` stays as it is.
    """

    def __init__(self, **parameters: Any) -> None:
        # Imported here: it takes seconds, and every process of a test run collects the tests that use this.
        from cfnlint.decode import decode

        self._raw, problems = decode(str(TEMPLATE))
        assert not problems
        defaults = {name: parameter["Default"] for name, parameter in self._raw["Parameters"].items()}
        assert parameters.keys() <= defaults.keys()
        self._parameters = _PSEUDO_PARAMETERS | defaults | parameters
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": lambda name: self._parameters.get(name, name),
            "Condition": self._holds,
            "Fn::If": lambda choice: self._read(self._branch(choice)),
            "Fn::Equals": lambda pair: self._read(pair[0]) == self._read(pair[1]),
            "Fn::Not": lambda one: not self._read(one[0]),
            "Fn::Or": lambda some: any(self._read(some)),
            "Fn::Join": lambda joined: joined[0].join(self._read(joined[1])),
            "Fn::Split": lambda split: self._read(split[1]).split(split[0]),
            "Fn::Select": lambda selected: self._read(selected[1])[selected[0]],
            "Fn::GetAtt": ".".join,
            "Fn::Sub": str,
        }

    @property
    def names(self) -> set[str]:
        """The names of all parameters and outputs."""
        return {*self._raw["Parameters"], *self._raw["Outputs"]}

    def resources(self, kind: str) -> dict[str, Any]:
        """Return the properties of each resource of a type that is created, by name."""
        return {
            name: self._read(resource["Properties"])
            for name, resource in self._raw["Resources"].items()
            if resource["Type"] == kind and self._holds(resource.get("Condition"))
        }

    def statements(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each statement of the policies of a type of resource, with the resource's name."""
        for name, properties in self.resources(kind).items():
            inline = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
            for document in [*inline, properties.get("PolicyDocument", {"Statement": []})]:
                for statement in document["Statement"]:
                    yield name, statement

    def _holds(self, condition: str | None) -> bool:
        return condition is None or bool(self._read(self._raw["Conditions"][condition]))

    def _read(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._read(one) for one in value if not self._is_nothing(one)]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and (function := next(iter(value))) in self._functions:
            return self._functions[function](value[function])
        return {name: self._read(one) for name, one in value.items() if not self._is_nothing(one)}

    def _is_nothing(self, value: Any) -> bool:
        while isinstance(value, dict) and list(value) == ["Fn::If"]:
            value = self._branch(value["Fn::If"])
        return bool(value == _NO_VALUE)

    def _branch(self, choice: list[Any]) -> Any:
        condition, then, otherwise = choice
        return then if self._holds(condition) else otherwise


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A stack that was deployed: its outputs, and how to reach what it made."""

    outputs: Mapping[str, str]
    session: boto3.Session
    endpoint_url: str

    def client(self, service: str) -> Any:
        """Return a client of the service that the stack was deployed into."""
        client: Any = self.session.client
        return client(service, endpoint_url=self.endpoint_url)

    @property
    def environment_file(self) -> Mapping[str, str]:
        """The lines that the stack offers for `.env`, by variable."""
        lines = self.outputs["EnvironmentFile"].splitlines()
        return dict(line.split("=", 1) for line in lines)


def deploy(session: boto3.Session, endpoint_url: str, **parameters: str) -> Stack:
    """Create a stack that no other test has, and wait for it."""
    stack = Stack(outputs={}, session=session, endpoint_url=endpoint_url)
    cloudformation = stack.client("cloudformation")
    name = f"triage-{uuid4().hex[:12]}"
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=TEMPLATE.read_text(encoding="utf-8"),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name)
    [created] = cloudformation.describe_stacks(StackName=name)["Stacks"]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in created["Outputs"]}
    return Stack(outputs=outputs, session=session, endpoint_url=endpoint_url)


class Forwarder:
    """Runs the deployed function's code as Lambda does: a process of its own, with its variables."""

    def __init__(self, folder: Path, stack: Stack, aws: Mapping[str, str]) -> None:
        function = Template(CreateForwarder="true").resources("AWS::Lambda::Function")["Forwarder"]
        (folder / "index.py").write_text(function["Code"]["ZipFile"], encoding="utf-8")
        functions = stack.client("lambda")
        deployed = functions.get_function_configuration(FunctionName=stack.outputs["ForwarderName"])
        self._folder = folder
        self._module, self._function = deployed["Handler"].split(".")
        self._environment = {
            **aws,
            "AWS_DEFAULT_REGION": aws["AWS_REGION"],
            **deployed["Environment"]["Variables"],
        }

    def invoke(self, event: object, **variables: str) -> Any:
        """Return what the function returns; `AssertionError` with its output if it raises."""
        program = f"""
import json, sys, {self._module} as module
json.dump(module.{self._function}(json.load(sys.stdin), None), sys.stdout)
"""
        return run_python(program, event, folder=self._folder, environment=self._environment | variables)

    def bodies_of(self, events: Sequence[object]) -> Any:
        """Return the body that the function makes of each event."""
        program = f"""
import json, sys, {self._module} as module
json.dump([module.request_body(event) for event in json.load(sys.stdin)], sys.stdout)
"""
        return run_python(program, events, folder=self._folder, environment=self._environment)


class AlertAction:
    """MozDef's alert action once it is changed, in a process of its own."""

    _PROGRAM = """
import json, sys
from triage_request import RequestQueue
json.dump(RequestQueue(sys.argv[1], region="us-west-2").send(json.load(sys.stdin)), sys.stdout)
"""

    def __init__(self, folder: Path, stack: Stack, aws: Mapping[str, str]) -> None:
        self._queue = stack.outputs["RequestQueueName"]
        self._folder = folder
        self._environment = {**aws, "PYTHONPATH": str(TEMPLATE.with_name("mozdef"))}

    def ask(self, request: Mapping[str, Any]) -> Any:
        """Return the id that SQS gave to the request."""
        return run_python(
            self._PROGRAM, request, self._queue, folder=self._folder, environment=self._environment
        )


def run_python(
    program: str, given: object, *arguments: str, folder: Path, environment: Mapping[str, str]
) -> Any:
    """Run a program that reads JSON and writes JSON, in an environment built from nothing."""
    done = subprocess.run(  # noqa: S603 - the program under test
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env={**bare_environment(folder), **environment},
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)
