"""What Imago adds to Airflow itself: two timetables and a dashboard page behind Airflow's own login.

Registered by the entry point `airflow.plugins` of pyproject.toml. Every Airflow process imports this module, tasks
included, so the web application is built on its first request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from imago_airflow.timetable import DayAssetTimetable, DayMapper, DayPartitionTimetable

URL_PREFIX = "/imago"

_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class LazyPages:
    """An ASGI application that imports FastAPI and the pages when the first request comes."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        if self._app is None:
            from imago_airflow.pages import build_app

            self._app = build_app()
        await self._app(scope, receive, send)


class ImagoPlugin(AirflowPlugin):
    """Imago's timetables and pages."""

    name = "imago"
    timetables: list[Any] = [DayPartitionTimetable, DayAssetTimetable]  # noqa: RUF012 (declared by Airflow's base class)
    # Airflow drops the event of an asset whose listener has a mapper that no plugin names, and says so in a log alone.
    partition_mappers: list[Any] = [DayMapper]  # noqa: RUF012
    fastapi_apps: list[Any] = [{"app": LazyPages(), "url_prefix": URL_PREFIX, "name": "Imago"}]  # noqa: RUF012
    external_views: list[Any] = [  # noqa: RUF012
        {
            "name": "Imago",
            "href": f"{URL_PREFIX}/",
            "destination": "nav",
            "url_route": "imago",
            "nav_top_level": True,
        }
    ]
