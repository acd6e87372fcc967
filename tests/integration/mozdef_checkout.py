"""MozDef as its checkout has it, set up as the guide says, each part in a process of its own."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

from elasticsearch_stand_in import ElasticsearchStandIn
from interpreters import find_python, make_environment
from mozdef_guide import PYTHON, copy_drop_in, guide_block, guide_commands, name_action, run_commands
from mozdef_program import Program
from person_api import PersonApi
from world.waiting import PATIENCE_SECONDS

REGION: Final = "us-west-2"

#: What MozDef's alert actions, REST interface and consumer import; on its own Python as it pins them.
_IMPORTED: Final = (
    "boto3 bottle celery configlib elasticsearch elasticsearch-dsl geoip2 hjson ipwhois jmespath netaddr"
    " PyJWT pymongo pynsive python-dateutil pytz PyYAML requests requests-jwt simplejson tldextract tzlocal"
).split()

#: The same for a Python that most of MozDef's pins do not run on.
_TODAYS: Final = (
    "boto3 bottle celery configlib==2.0.4 elasticsearch==6.3.1 elasticsearch-dsl==6.3.1 geoip2 hjson ipwhois"
    " jmespath netaddr==0.7.19 PyJWT==1.7.1 pymongo pynsive python-dateutil pytz PyYAML requests"
    " requests-jwt==0.5.3 setuptools<81 simplejson tldextract tzlocal<3"
).split()

#: Its own tests and our stand-in for MongoDB need these.
_OF_TESTS: Final = ("mongomock<4.2", "requests_mock")

#: It names tools of its authors as what it needs.
_MOZDEF_UTIL: Final = ("--no-deps", "mozdef_util==3.0.7")


def old_python(checkout: Path, folder: Path) -> Path | None:
    """Return a Python 3.6 with what MozDef pins; None if this machine has no Python 3.6."""
    python = find_python("3.6")
    if python is None:
        return None
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", (checkout / "requirements.txt").read_text(), re.MULTILINE))
    pins = {name.lower(): version for name, version in pins.items()}
    pinned = [f"{name}=={pins[name.lower()]}" for name in _IMPORTED]
    # The pip that comes with Python 3.6 does not ask whether a package is for a later one.
    return make_environment(
        python, folder, ("pip==21.3.1",), _MOZDEF_UTIL, (*pinned, *_OF_TESTS, "docutils<0.19")
    )


def new_python(folder: Path) -> Path:
    """Return this Python with what of MozDef's pins runs on it, and today's boto3."""
    return make_environment(Path(sys.executable), folder, _MOZDEF_UTIL, (*_TODAYS, *_OF_TESTS))


class MozDef:
    """A copy of the checkout with the drop-in, its stand-ins for what it deals with, and its processes.

    `sqs` is the address of an SQS that it takes for AWS's.
    """

    def __init__(self, checkout: Path, folder: Path, *, python: Path, sqs: str) -> None:
        self._python = python
        self._home = folder
        self._folder = folder / "mozdef"
        shutil.copytree(checkout, self._folder, ignore=shutil.ignore_patterns(".git", "meteor", "docs"))
        self.environment = {"PATH": os.defpath, "HOME": str(folder), "LANG": "C.UTF-8"}
        self._take_for_aws(sqs)
        self._ended = ExitStack()
        self.people = PersonApi()
        self.elasticsearch = ElasticsearchStandIn()
        self.rest = self._program("rest_api", "rest")
        self.actions = self._program("alert_actions", "alerts")

    def __enter__(self) -> Self:
        for part in (self.people, self.elasticsearch, self.rest, self.actions):
            self._ended.enter_context(part)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.close()

    def set_up_asking(self, requests: str) -> None:
        """Do what the guide says for MozDef to ask: copy, name the action, fill in both settings files."""
        copy_drop_in(self._folder)
        name_action(self._folder)
        self._settings("alerts/actions/triage_bot_sqs.json", request_queue=requests, region=REGION)
        self._settings(
            "alerts/actions/triage_bot.json",
            oauth_url=self.people.oauth_url,
            person_api_base=self.people.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            aws_region=REGION,
            mozdef_restapi_url=self._rest_url(),
        )

    def set_up_reading(self, responses: str) -> None:
        """Do what the guide says for MozDef to read: the plugin's settings, a consumer's configuration."""
        commands = guide_block("3. Read the answers", "cp esworker_sqs.conf")
        run_commands(
            commands, folder=self._folder, environment={**self.environment, "MOZDEF": str(self._folder)}
        )
        self._settings("mq/plugins/triage_bot.json", rest_api_url=self._rest_url())
        self._configure_consumer(
            taskexchange=responses,
            region=REGION,
            accesskey="testing",
            secretkey="testing",
            esservers=self.elasticsearch.url,
        )

    def start_consumer(self) -> None:
        """Start MozDef's own program that reads the response queue, as it is."""
        process = subprocess.Popen(  # noqa: S603 - MozDef's program
            guide_commands("3. Read the answers", "esworker_sqs.py -c", (PYTHON, self._python)).split(),
            cwd=self._folder / "mq",
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=self._ended.enter_context((self._home / "consumer.log").open("wb")),
        )
        self._ended.callback(process.wait, PATIENCE_SECONDS)
        self._ended.callback(process.kill)

    @property
    def consumer_log(self) -> str:
        return (self._home / "consumer.log").read_text(encoding="utf-8", errors="replace")

    def matcher(self) -> Program:
        """Return MozDef's matcher of events and plugins, not yet started."""
        return self._program("plugin_matcher", "mq")

    def send_test_alert(self, identifier: str, user: str) -> str:
        """Send a request about an alert as the guide does to verify the join; return what that prints."""
        own = ((PYTHON, self._python), ("ID-OF-AN-ALERT", identifier), ("you@example.com", user))
        commands = guide_commands("4. Verify", "from triage_request import", *own)
        return run_commands(
            commands, folder=self._folder / "alerts" / "actions", environment=self.environment
        )

    def _configure_consumer(self, **values: str) -> None:
        path = self._folder / "mq" / "esworker_triage_bot.conf"
        configuration = configparser.ConfigParser()
        configuration.read(path)
        assert set(configuration["options"]) >= values.keys()
        configuration["options"].update(values)
        configuration.remove_option("options", "esbulksize")
        with path.open("w", encoding="utf-8") as file:
            configuration.write(file)

    def _program(self, name: str, folder: str) -> Program:
        return Program(name, python=self._python, folder=self._folder / folder, environment=self.environment)

    def _rest_url(self) -> str:
        return f"http://127.0.0.1:{self.rest.call('port')}"

    def _settings(self, file: str, **values: Any) -> None:
        path = self._folder / file
        settings = json.loads(path.read_text(encoding="utf-8"))
        assert settings.keys() >= values.keys()
        path.write_text(json.dumps({**settings, **values}, indent=2), encoding="utf-8")

    def _take_for_aws(self, sqs: str) -> None:
        """Lead boto3 to a local SQS, however old it is; MozDef has no setting for that."""
        self.environment.update(_where_boto3_looks(sqs))
        models = self._home / ".aws" / "models"
        models.mkdir(parents=True)
        (models / "endpoints.json").write_text(json.dumps(_endpoints(sqs)), encoding="utf-8")


def _where_boto3_looks(sqs: str) -> Mapping[str, str]:
    return {"AWS_ENDPOINT_URL_SQS": sqs, "AWS_EC2_METADATA_DISABLED": "true"}


def _endpoints(sqs: str) -> dict[str, Any]:
    """Return a list of AWS's endpoints with this one alone: a boto3 before 2023 knows no variable for it."""
    local = {"hostname": sqs.removeprefix("http://"), "protocols": ["http"], "signatureVersions": ["v4"]}
    partition = {
        "partition": "aws",
        "dnsSuffix": "amazonaws.com",
        "regionRegex": r"^(us|eu|ap)\-\w+\-\d+$",
        "defaults": {"hostname": "{service}.{region}.{dnsSuffix}", "protocols": ["https"]},
        "regions": {REGION: {"description": "local"}},
        "services": {"sqs": {"endpoints": {REGION: local}}},
    }
    return {"version": 3, "partitions": [partition]}
