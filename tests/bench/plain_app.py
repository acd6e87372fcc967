"""A contestant: the app that the documentation of Bolt and boto3 leads to, and nothing beyond it.

A synchronous app, Socket Mode by its handler, a thread that receives from SQS. Nothing is stored.
"""

from __future__ import annotations

import json
import os
import threading
from typing import Any

import boto3
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

client = WebClient(token=os.environ["SLACK_BOT_TOKEN"], base_url=os.environ["SLACK_API_URL"])
app = App(client=client)
sqs = boto3.client("sqs", region_name=os.environ["AWS_REGION"])


@app.action("answer-yes")
def handle_yes(ack: Any, body: dict[str, Any]) -> None:
    """Answer for the person who pressed *yes*."""
    ack()
    alert = json.loads(body["actions"][0]["value"])
    text = "Understood, thanks for letting us know."
    blocks = [*body["message"]["blocks"], {"type": "section", "text": {"type": "mrkdwn", "text": text}}]
    place = {"channel": body["channel"]["id"], "ts": body["container"]["message_ts"]}
    client.chat_update(text=text, blocks=blocks, **place)
    details = {
        "identifier": alert["identifier"],
        "user": {"email": alert["user"], "slack": body["user"]["id"], "slackName": body["user"]["name"]},
        "identityConfidence": alert["identityConfidence"],
        "response": "yes",
    }
    message = json.dumps({"category": "triagebot", "details": details})
    sqs.send_message(QueueUrl=os.environ["RESPONSE_QUEUE_URL"], MessageBody=message)


def ask(alert: dict[str, Any]) -> None:
    """Put the question to the person."""
    user = client.users_lookupByEmail(email=alert["user"])["user"]["id"]
    client.chat_postMessage(channel=user, text="Was this you?", blocks=question(alert))


def question(alert: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the blocks of the question."""
    value = json.dumps({name: alert[name] for name in ("identifier", "user", "identityConfidence")})
    labels = {"yes": "Yes", "no": "No", "notSure": "I'm not sure", "wrongUser": "Wrong person"}
    buttons = [
        {
            "type": "button",
            "text": {"type": "plain_text", "text": label},
            "action_id": f"answer-{choice}",
            "value": value,
        }
        for choice, label in labels.items()
    ]
    texts = (alert["summary"], f"Was this you, {alert['user']}?")
    sections = [{"type": "section", "text": {"type": "mrkdwn", "text": text}} for text in texts]
    return [*sections, {"type": "actions", "elements": buttons}]


def receive() -> None:
    """Receive, ask, delete: one message after another, for ever."""
    queue = os.environ["REQUEST_QUEUE_URL"]
    while True:
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=20)
        for message in answer.get("Messages", []):
            ask(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


if __name__ == "__main__":
    threading.Thread(target=receive, daemon=True).start()
    SocketModeHandler(app, os.environ["SLACK_APP_TOKEN"]).start()
