"""The pages of incidents in Airflow's UI: read by whoever may log in, muted and acknowledged by whoever may run.

A browser sends Airflow's cookie with every request, whoever wrote the form. So a form counts only with a token that
this server signed for this user and this incident a short time ago, and not when the browser says that it came from
elsewhere.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from airflow.configuration import conf
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer

from imago.environments import Environment, hosted_environments
from imago.errors import ImagoError
from imago.names import dag_id
from imago_airflow.connections import environment_for

_LOGGED_IN = [Depends(requires_access_view(AccessView.WEBSITE))]
_SECONDS = 4 * 3600  # how long a page that was opened can be used
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'self'; base-uri 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
}


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form that came from one of our own pages, as far as the browser tells."""
    origin = request.headers.get("origin")
    host = request.headers.get("host", "")
    ours = {host, urlsplit(conf.get("api", "base_url", fallback="") or "").netloc}
    is_foreign = origin is not None and urlsplit(origin).netloc not in ours
    if is_foreign or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "this form was not sent from Airflow's own pages")
    body = await request.body()
    if len(body) > 10_000:
        raise HTTPException(413, "the form is too long")
    return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))


_Fields = Annotated[dict[str, str], Depends(_form)]


def add_incident_pages(app: FastAPI) -> None:
    """Adds the routes below `/alerts`."""

    @app.get("/alerts/{environment}", dependencies=_LOGGED_IN)
    def every(environment: str) -> Response:
        from imago.alerts.incident_pages import list_page
        from imago.jobs import incidents

        env = _environment(environment)
        over = [one for one in incidents.overview(env, everything=True, limit=60) if one["status"] == "resolved"]
        return _html(list_page(env.name, open_now=incidents.overview(env), over=over[:20]))

    @app.get("/alerts/{environment}/{incident}", dependencies=_LOGGED_IN)
    def one(environment: str, incident: int, user: GetUserDep, said: str = "") -> Response:
        return _page(_environment(environment), incident, user, said=_SAID.get(said, ""))

    @app.get("/alerts/{environment}/{incident}/picture", dependencies=_LOGGED_IN)
    def picture(environment: str, incident: int) -> Response:
        from imago.jobs import incidents

        try:
            found = incidents.picture(_environment(environment), incident)
        except ImagoError as error:
            raise HTTPException(404, error.message) from None
        if found is None:
            raise HTTPException(404, f"incident {incident} has no picture")
        return Response(found, media_type="image/png", headers={"Cache-Control": "private, max-age=300"})

    @app.post("/alerts/{environment}/{incident}", dependencies=_LOGGED_IN)
    async def act(
        environment: str, incident: int, user: GetUserDep, form: Annotated[dict[str, str], Depends(_form)]
    ) -> Response:
        return await run_in_threadpool(_act, _environment(environment), incident, user, form)


_SAID = {
    "mute": "Muted: nothing of it is told until then.",
    "acknowledge": "Acknowledged: only its end and a rise of severity are told until then.",
    "lift": "It is heard again.",
}


def _act(env: Environment, incident: int, user: Any, form: dict[str, str]) -> Response:
    from imago.jobs import incidents

    if not _may_act(env, user):
        raise HTTPException(403, "your login may read incidents, not mute or acknowledge them")
    try:
        signed_for = _signer().loads(form.get("token", ""), max_age=_SECONDS)
    except BadSignature:  # an expired one too
        signed_for = None
    if signed_for != _subject(env, incident, user):
        return _page(env, incident, user, said="The page was too old. Look at it again, then repeat it.", status=403)
    action = form.get("action", "")
    if action not in _SAID:
        raise HTTPException(422, f"{action!r} is none of {', '.join(_SAID)}")
    until = None if action == "lift" else form.get("until", "")
    try:
        incidents.quieten(env, incident, action, until=until, by=user.get_name(), reason=form.get("reason", ""))  # type: ignore[arg-type]
    except ImagoError as error:
        words = f"{error.message}. {error.next_step}".strip()
        return _page(env, incident, user, said=words[:1].upper() + words[1:], status=422)
    return RedirectResponse(f"{incident}?said={quote(action)}", status_code=303)


def _page(env: Environment, incident: int, user: Any, *, said: str = "", status: int = 200) -> Response:
    from imago.alerts.incident_pages import incident_page
    from imago.jobs import incidents

    token = _signer().dumps(_subject(env, incident, user)) if _may_act(env, user) else None
    try:
        found = incidents.detail(env, incident)
    except ImagoError as error:
        raise HTTPException(404, error.message) from None
    return _html(
        incident_page(env.name, found, user=user.get_name(), token=token, said=said, refused=status != 200), status
    )


def _may_act(env: Environment, user: Any) -> bool:
    """Whether the login may start the delivery of alerts, and so may decide what it delivers."""
    delivery = DagDetails(id=dag_id(env.name, None, "alert_delivery"))
    return bool(
        get_auth_manager().is_authorized_dag(
            method="POST", access_entity=DagAccessEntity.RUN, details=delivery, user=user
        )
    )


def _subject(env: Environment, incident: int, user: Any) -> str:
    return f"{user.get_id()} on incident {incident} of {env.name}"


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(conf.get_mandatory_value("api", "secret_key"), salt="imago incidents")


def _environment(name: str) -> Environment:
    if name not in hosted_environments():
        raise HTTPException(404, f"no environment {name!r} is hosted here")
    return environment_for(name)


def _html(page: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(page, status_code=status, headers=_HEADERS)
