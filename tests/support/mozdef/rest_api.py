"""MozDef's own REST interface, with its MongoDB in memory. Run in `rest/` of a MozDef, on its Python."""

import os
import sys
import threading
from typing import Any, Dict, List
from wsgiref.simple_server import WSGIRequestHandler, make_server

import mongomock  # type: ignore[import-not-found]
import pymongo  # type: ignore[import-not-found]
from command_lines import serve

sys.path[0] = os.getcwd()
DATABASE = mongomock.MongoClient()
pymongo.MongoClient = lambda *_: DATABASE  # the handlers make a client for each call

import index  # type: ignore[import-not-found] # noqa: E402 - it takes pymongo's client when it is imported


class Quiet(WSGIRequestHandler):
    """Does not write each call to the log."""

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def add_alert(alert: Dict[str, Any]) -> None:
    """Copy an alert from Elasticsearch, as MozDef's job does once a minute."""
    metadata = {"id": alert["_id"], "index": alert["_index"]}
    DATABASE.meteor["alerts"].insert_one(dict(alert["_source"], esmetadata=metadata))


def statuses() -> Dict[str, Any]:
    """Return each alert's status by its identifier; None for one that nobody has looked at."""
    return {one["esmetadata"]["id"]: one.get("status") for one in DATABASE.meteor["alerts"].find()}


def chains() -> List[Dict[str, Any]]:
    """Return the chains of duplicates: the label, the person and the alerts of each."""
    found = DATABASE.meteor["duplicatechains"].find()
    return [{name: one[name] for name in ("alert", "user", "identifiers")} for one in found]


if __name__ == "__main__":
    server = make_server("127.0.0.1", 0, index.application, handler_class=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    serve(
        {"port": lambda: server.server_port, "add_alert": add_alert, "statuses": statuses, "chains": chains}
    )
