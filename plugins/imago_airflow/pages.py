"""Imago's pages in the Airflow UI. A plugin's application answers without login by itself: each route asks for one."""

from __future__ import annotations

from html import escape

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from imago.environments import hosted_environments
from imago.errors import ImagoError
from imago_airflow.connections import environment_for
from imago_models import MODELS

_LOGGED_IN = [Depends(requires_access_view(AccessView.WEBSITE))]


def build_app() -> FastAPI:
    """The application below `/imago`: the dashboard of each hosted environment and model."""
    app = FastAPI(title="Imago", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/", dependencies=_LOGGED_IN)
    def index() -> Response:
        pages = [(environment, spec.name) for environment in hosted_environments() for spec in MODELS]
        if len(pages) == 1:
            return RedirectResponse("{}/{}".format(*pages[0]))
        links = "".join(f'<li><a href="{e}/{m}">{e}: {m}</a></li>' for e, m in pages)
        return HTMLResponse(f"<!doctype html><title>Imago</title><h1>Models</h1><ul>{links}</ul>")

    # A plain function: it reads tables, so it runs in the server's thread pool and blocks nobody.
    @app.get("/{environment}/{model}", dependencies=_LOGGED_IN)
    def dashboard(environment: str, model: str) -> Response:
        from imago.dashboard import render

        spec = next((spec for spec in MODELS if spec.name == model), None)
        if spec is None or environment not in hosted_environments():
            raise HTTPException(404, f"no model {model!r} in environment {environment!r} is hosted here")
        try:
            return HTMLResponse(render(environment_for(environment), spec))
        except ImagoError as error:
            return HTMLResponse(f"<!doctype html><title>Imago</title><p>{escape(str(error))}</p>", status_code=503)

    return app
