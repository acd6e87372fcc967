"""A stand-in for the Elasticsearch that MozDef indexes events in, over HTTP."""

from __future__ import annotations

import json
from typing import Any

from http_stand_in import HttpStandIn, Reply, Request


class ElasticsearchStandIn(HttpStandIn):
    """Takes every document, and keeps it in the order of coming."""

    def __init__(self) -> None:
        super().__init__()
        self.documents: list[dict[str, Any]] = []

    def reply_to(self, request: Request) -> Reply:
        if request.verb == "HEAD":
            return Reply(body=b"", content_type="application/json")
        self.documents.append(json.loads(request.body))
        kept = {"_index": "events", "_type": "_doc", "_id": str(len(self.documents)), "result": "created"}
        return Reply(status=201, body=json.dumps(kept).encode(), content_type="application/json")
