"""The requests that the page makes: to send an alert, and to do what people do in Slack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.sandbox.fake_slack.submissions import state_of
from bot.sandbox.trial_samples import TRIAL_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.sandbox.fake_slack.server import Click
    from bot.sandbox.trial import Trial


class PageActions:
    """Handles the page's requests. Answers with JSON; `trouble` is a message for the person, if any.

    Status 400 for a malformed request, 404 for a button or form that no longer exists, 503 before the worker
    is ready.
    """

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Register the request handlers."""
        router.add_post("/api/alerts", self._send_alert)
        router.add_post("/api/clicks", self._click)
        router.add_post("/api/home/clicks", self._click_at_home)
        router.add_post("/api/home/opened", self._open_home)
        router.add_post("/api/modals/submitted", self._submit)
        router.add_post("/api/modals/closed", self._close)
        router.add_post("/api/faults", self._break)
        router.add_post("/api/phone", self._act_on_phone)

    async def _send_alert(self, request: web.Request) -> web.Response:
        asked = await _fields(request, "alert", "summary", "user", "confidence")
        body = await request.json()
        optional = {name: body[name] for name in ("occurredAt", "facts") if body.get(name)}
        if not self._trial.ready:
            return _report_trouble("The worker is not ready yet", status=503)
        times = next((each.times for each in TRIAL_SAMPLES if each.alert == asked["alert"]), 1)
        sent = [await self._trial.send_alert(**asked, optional=optional) for _ in range(times)]
        return web.json_response({"identifier": sent[0].identifier})

    async def _click(self, request: web.Request) -> web.Response:
        pressed = await _fields(request, "user", "channel", "ts", "action_id", "block_id")
        try:
            click = await self._trial.slack.click(
                user=pressed["user"],
                channel=pressed["channel"],
                ts=pressed["ts"],
                action_id=pressed["action_id"],
                block_id=pressed["block_id"],
            )
        except LookupError as error:
            return _report_trouble(f"There is no such button any more ({error})", status=404)
        return _report_click(click)

    async def _click_at_home(self, request: web.Request) -> web.Response:
        pressed = await _fields(request, "user", "action_id", "block_id")
        try:
            click = await self._trial.slack.click(
                user=pressed["user"],
                action_id=pressed["action_id"],
                block_id=pressed["block_id"],
                via="home",
            )
        except LookupError as error:
            return _report_trouble(f"There is no such button any more ({error})", status=404)
        return _report_click(click)

    async def _open_home(self, request: web.Request) -> web.Response:
        user = (await _fields(request, "user"))["user"]
        try:
            delivery = await self._trial.slack.open_home(user)
        except LookupError as error:
            return _report_trouble(f"This person has no Home ({error})", status=404)
        trouble = None if delivery.acknowledged else "The bot did not acknowledge that its Home was opened."
        return web.json_response({"trouble": trouble} if trouble else {})

    async def _submit(self, request: web.Request) -> web.Response:
        filled = await _fields(request, "user", "view_id")
        values = (await request.json()).get("values")
        if not _is_nested_text(values):
            raise web.HTTPBadRequest(text="values must map block to action to text.")
        try:
            state = state_of(self._trial.slack.workspace.modals.view(filled["view_id"]), values)
            click = await self._trial.slack.submit_view(**filled, values=state)
        except LookupError as error:
            return _report_trouble(f"This form is not open any more ({error})", status=404)
        return _report_click(click)

    async def _break(self, request: web.Request) -> web.Response:
        """Break a part of the trial, or mend it: see `page_state`."""
        fault = (await _fields(request, "fault"))["fault"]
        trial = self._trial
        acts = {
            "cut-slack": trial.cut_slack,
            "restore-slack": trial.restore_slack,
            "cut-sqs": trial.cut_sqs,
            "restore-sqs": trial.restore_sqs,
        }
        if not trial.ready:
            return _report_trouble("The worker is not ready yet", status=503)
        try:
            if fault == "kill-worker":
                trial.kill_worker()
            elif fault in acts:
                await acts[fault]()
            else:
                return _report_trouble(f"There is no fault {fault}", status=404)
        except OSError as error:
            return _report_trouble(f"Another program has taken its port ({error.strerror})", status=503)
        return web.json_response({})

    async def _act_on_phone(self, request: web.Request) -> web.Response:
        done = await _fields(request, "id", "action")
        try:
            self._trial.phone.act(done["id"], done["action"])
        except LookupError:
            return _report_trouble("The phone does not ask that any more", status=404)
        return web.json_response({})

    async def _close(self, request: web.Request) -> web.Response:
        closed = await _fields(request, "user", "view_id")
        try:
            await self._trial.slack.close_view(**closed)
        except LookupError as error:
            return _report_trouble(f"This form is not open any more ({error})", status=404)
        return web.json_response({})


def _is_nested_text(values: object) -> bool:
    return isinstance(values, dict) and all(
        isinstance(block, dict) and all(isinstance(text, str) for text in block.values())
        for block in values.values()
    )


def _report_click(click: Click) -> web.Response:
    told: dict[str, Any] = {"trouble": click.warning, "errors": dict(click.errors)}
    return web.json_response({key: value for key, value in told.items() if value})


async def _fields(request: web.Request, *names: str) -> dict[str, str]:
    """Read a JSON object of strings.

    :raises HTTPBadRequest: when one is missing or not a string.
    """
    try:
        body: Mapping[str, Any] = await request.json()
        fields = {name: body[name] for name in names}
    except (ValueError, LookupError, TypeError) as error:
        raise web.HTTPBadRequest(text=f"Expected a JSON object with {', '.join(names)}.") from error
    if not all(isinstance(value, str) for value in fields.values()):
        raise web.HTTPBadRequest(text="Every field must be a string.")
    return fields


def _report_trouble(words: str, *, status: int) -> web.Response:
    return web.json_response({"trouble": words}, status=status)
