"""Imago's pages in the Airflow UI. A plugin's application answers without login by itself: each route asks for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from imago.environments import Environment, hosted_environments
from imago.errors import ImagoError
from imago.specs import ModelSpec, broken_specs, get_model, hosted_models, refresh_models
from imago_airflow.connections import environment_for
from imago_airflow.incident_pages import add_incident_pages

_LOGGED_IN = [Depends(requires_access_view(AccessView.WEBSITE))]
# Audits and dossiers are files of the storage root, shown on Airflow's own origin: whatever they hold, none of it runs.
_NO_SCRIPTS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


def build_app() -> FastAPI:
    """The application below `/imago`: the dashboard of each hosted environment and model, its audits, its dossiers, its
    shadows; and the incidents of each environment."""
    app = FastAPI(title="Imago", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _unreadable)
    add_incident_pages(app)  # first: its addresses look like an environment and a model

    @app.get("/", dependencies=_LOGGED_IN)
    def index() -> Response:
        refresh_models()
        pages = [(environment, spec.name) for environment in hosted_environments() for spec in hosted_models()]
        broken = broken_specs()
        if len(pages) == 1 and not broken:
            return RedirectResponse("{}/{}".format(*pages[0]))
        links = "".join(f'<li><a href="{e}/{m}">{e}: {m}</a></li>' for e, m in pages)
        links += "".join(f"<li>does not load: {escape(str(spec))}</li>" for spec in broken)
        none = "" if links else "<p>There is no model: add a spec to include/imago_models/__init__.py.</p>"
        return HTMLResponse(f"<!doctype html><title>Imago</title><h1>Models</h1>{none}<ul>{links}</ul>")

    # Plain functions: they read tables and files, so they run in the server's thread pool and block nobody.
    @app.get("/{environment}/{model}", dependencies=_LOGGED_IN)
    def dashboard(environment: str, model: str) -> Response:
        from imago.dashboard import render

        return _page(environment, model, render)

    @app.get("/audits/{environment}/{model}", dependencies=_LOGGED_IN)
    def audits(environment: str, model: str) -> Response:
        from imago.features.audit_docs import overview

        return _page(environment, model, overview)

    @app.get("/audits/{environment}/{model}/{table}/{which}", dependencies=_LOGGED_IN)
    def audit(environment: str, model: str, table: str, which: str) -> Response:
        """`which` is a day, for its newest audit, or the name of an attempt (`first..last-fence`)."""
        from imago.features.audit_docs import page

        def stored(env: Environment, spec: ModelSpec) -> str:
            found = page(env, spec, table, which)
            if found is None:
                raise HTTPException(404, f"no audit of {table} for {which} has a page")
            return found

        return _page(environment, model, stored, headers=_NO_SCRIPTS)

    @app.get("/drift/{environment}/{model}/{ds}", dependencies=_LOGGED_IN)
    def drift(environment: str, model: str, ds: str) -> Response:
        """What monitoring and Great Expectations say of the day."""
        from imago.jobs.drift_docs import page

        def stored(env: Environment, spec: ModelSpec) -> str:
            found = page(env, spec, ds)
            if found is None:
                raise HTTPException(404, f"the drift of {ds} has no page")
            return found

        return _page(environment, model, stored, headers=_NO_SCRIPTS)

    @app.get("/dossiers/{environment}/{model}/{ds}", dependencies=_LOGGED_IN)
    def dossier(environment: str, model: str, ds: str) -> Response:
        """The page of the newest decision on the training of `ds`."""
        from imago.jobs.dossiers import page

        def stored(env: Environment, spec: ModelSpec) -> str:
            found = page(env, spec, ds)
            if found is None:
                raise HTTPException(404, f"no training of {ds} was judged")
            return found

        return _page(environment, model, stored, headers=_NO_SCRIPTS)

    @app.get("/shadow/{environment}/{model}", dependencies=_LOGGED_IN)
    def shadow(environment: str, model: str, version: str | None = None) -> Response:
        """What the versions in the shadow would have decided, and who was right; `version` opens that one."""
        from imago.jobs.shadow_report import page

        return _page(environment, model, lambda env, spec: page(env, spec, version), headers=_NO_SCRIPTS)

    return app


async def _refused(request: Request, error: Exception) -> Response:
    """A page with a way on, instead of an answer for machines."""
    assert isinstance(error, StarletteHTTPException)
    return _way_on(request, error.status_code, str(error.detail), error.headers)


async def _unreadable(request: Request, error: Exception) -> Response:
    """An address with a part that is not what stands there, as a word where an incident's number is."""
    return _way_on(request, 404, "there is no page at this address", None)


def _way_on(request: Request, status: int, detail: str, headers: Mapping[str, str] | None) -> Response:
    start = f"{request.scope.get('root_path', '').rstrip('/')}/"
    return HTMLResponse(
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f"<title>Imago: {status}</title><body style='font-family: system-ui; margin: 3rem'>"
        f"<h1>{status}</h1><p>{escape(detail)}</p><p><a href='{escape(start)}'>All models</a></p></body></html>",
        status_code=status,
        headers={**(headers or {}), **_NO_SCRIPTS},
    )


def _page(
    environment: str,
    model: str,
    render: Callable[[Environment, ModelSpec], str],
    *,
    headers: dict[str, str] | None = None,
) -> Response:
    """What `render` makes for a hosted model; what refuses is said with status 503."""
    refresh_models()
    known = {spec.name for spec in hosted_models()} | {spec.name for spec in broken_specs()}
    if model not in known or environment not in hosted_environments():
        raise HTTPException(404, f"no model {model!r} in environment {environment!r} is hosted here")
    try:
        spec = get_model(model)
        return HTMLResponse(render(environment_for(environment), spec), headers=headers)
    except ImagoError as error:
        return HTMLResponse(f"<!doctype html><title>Imago</title><p>{escape(str(error))}</p>", status_code=503)
