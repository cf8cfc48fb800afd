"""`imago demo`: the main job."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from imago.cli.output import EnvironmentOption, console, environment

# What the shipped world can show: ten months land, training ends on the last closed day, the rest is scored.
FIRST_DAY, TRAINING_DAY = "2013-01-01", "2013-10-01"


def register(app: typer.Typer) -> None:
    """Adds the verb."""

    @app.command()
    def demo(
        env: EnvironmentOption = "dev",
        days: Annotated[int, typer.Option(min=3, max=60, help="How many days are scored after the training.")] = 30,
    ) -> None:
        """The whole lifecycle on the real flights of 2013, through a real Airflow."""
        from imago.airflow_api import AirflowApi
        from imago.cli.stack import start_stack
        from imago.demo import Story, World
        from imago.demo.summary import collect, draw
        from imago.registry.tracking import MLFLOW_MODE
        from imago.specs import get_model

        started = time.monotonic()
        settings = start_stack()
        spec, target = get_model("flight_delays"), environment(env)
        with AirflowApi.from_variables(settings.url("airflow-api")) as airflow:
            story = Story(target, spec, World(FIRST_DAY, TRAINING_DAY, days), airflow, console)
            story.play(settings.url("endpoint"))
        links = {
            "Airflow": settings.url("airflow-api"),
            "Dashboard": f"{settings.url('airflow-api')}/imago/{env}/{spec.name}",
            "MLflow": f"{settings.url('mlflow')}/#/experiments{MLFLOW_MODE}",
            "Slack": settings.url("slack"),
            "Endpoint": f"{settings.url('endpoint')}/docs",
        }
        draw(console, collect(target, spec), links, ("admin", settings.secrets.airflow_password), story.answer)
        console.print(f"[dim]{time.monotonic() - started:.0f} seconds in all.[/]")
