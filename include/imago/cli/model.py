"""`imago run`, `imago serve`: one model, without Airflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from imago.cli.output import EnvironmentOption, JsonOption, console, environment, errors, print_json
from imago.cli.output import day as parse_option
from imago.errors import ImagoError
from imago.names import DAILY_STAGES, STAGES
from imago.specs import get_model

if TYPE_CHECKING:
    from imago.context import RunContext
    from imago.environments import Environment
    from imago.specs import ModelSpec

LOOPBACK = "127.0.0.1"
ModelArgument = Annotated[str, typer.Argument(help="The model's name, as in its spec.")]


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    app.command()(run)
    app.command()(serve)


def run(
    stage: Annotated[str, typer.Argument(help=f"One of: {', '.join(STAGES)}.")],
    model: ModelArgument,
    ds: Annotated[str, typer.Option("--ds", parser=parse_option, help="The day, as 2013-10-02.")],
    to: Annotated[
        str | None, typer.Option("--to", parser=parse_option, help="The last day of a range that starts with --ds.")
    ] = None,
    champion: Annotated[
        str, typer.Option(help="batch_scoring: as-was (who scored or reigned then), today, or a version.")
    ] = "as-was",
    env: EnvironmentOption = "dev",
    as_json: JsonOption = False,
) -> None:
    """Runs one stage here and now: the same function that the Airflow task calls, in mode live. What it would have
    alerted is printed here, and pages nobody."""
    from imago.context import RunContext
    from imago.days import days_between

    if stage not in STAGES:
        raise ImagoError(
            f"{stage!r} is not a stage", allowed=", ".join(STAGES), seen=stage, next_step="name one of them"
        )
    spec, where, context = get_model(model), environment(env), RunContext.local(by_hand=True)
    days = days_between(ds, to or ds)
    for day in (days[0], days[-1]):
        spec.check_day(day, environment=where.name)
    try:
        _run(stage, where, spec, days, context, champion=champion, as_json=as_json)
    finally:
        _say_unsent(context)


def _run(
    stage: str,
    where: Environment,
    spec: ModelSpec,
    days: tuple[str, ...],
    context: RunContext,
    *,
    champion: str,
    as_json: bool,
) -> None:
    if stage in ("feature_refresh", "outcome_refresh"):
        summaries = [_refresh(stage, where, spec, days, context)]
    else:
        summaries = []
        for day in _open(spec, stage, days, where, quiet=as_json):
            summaries.append(_stages(champion)[stage](where, spec, day, context))
            if not as_json:
                console.print(f"[bold]{stage}[/] {day} " + escape(_line(summaries[-1])))
    if as_json:
        print_json(summaries)
    elif stage in ("feature_refresh", "outcome_refresh"):
        summary = dict(summaries[0])
        page = summary.pop("audit", None)
        console.print(f"[bold]{stage}[/] {days[0]} to {days[-1]} " + escape(_line(summary)), soft_wrap=True)
        if page:
            console.print(f"  [dim]audit:[/] {escape(page)}", soft_wrap=True)


def _say_unsent(context: RunContext) -> None:
    """The alerts that the same run in Airflow would have raised, each once, beside the output."""
    said = {(alert.severity, alert.rule, alert.title, alert.next_step): None for alert in context.unsent or ()}
    for severity, rule, title, next_step in said:
        errors.print(f"[yellow]![/] not sent, since you run it by hand: {severity} {rule}", soft_wrap=True)
        errors.print(f"  {escape(title)}", soft_wrap=True)
        errors.print(f"  [bold]Next:[/] {escape(next_step)}", soft_wrap=True)


def serve(
    models: Annotated[
        list[str] | None, typer.Argument(help="The models; all that are hosted when left out.", show_default=False)
    ] = None,
    port: Annotated[int, typer.Option(help="The port; 0 lets the system choose.")] = 8001,
    host: Annotated[str, typer.Option(help="The address to listen on. The endpoint asks for no login.")] = LOOPBACK,
    env: EnvironmentOption = "dev",
) -> None:
    """Serves the newest scores of all hosted models by key, until it is stopped."""
    import uvicorn

    from imago.serving.app import create
    from imago.specs import hosted_models, refresh_models

    names = [get_model(name).name for name in models or ()]

    def served() -> list[ModelSpec]:
        """A spec that is new or changed is served without a restart."""
        refresh_models()
        return [spec for spec in hosted_models() if not names or spec.name in names]

    application = create(environment(env), served)
    for spec in served():
        address = f"http://{host}:{port}/v1/{spec.name}/{{{','.join(spec.entity_keys)}}}"
        console.print(f"Serving [bold]{spec.name}[/] ({env}): {address}", soft_wrap=True)
    if not served():
        console.print(f"Serving no model ({env}): none is hosted yet. http://{host}:{port}/health", soft_wrap=True)
    uvicorn.run(application, host=host, port=port, log_level="warning")


def _refresh(
    stage: str, env: Environment, spec: ModelSpec, days: tuple[str, ...], context: RunContext
) -> dict[str, Any]:
    if stage == "feature_refresh":
        from imago.jobs import features

        return features.refresh(env, spec, days[0], days[-1], context)
    from imago.jobs import outcomes

    return outcomes.refresh(env, spec, days[0], days[-1], context)


def _open(spec: ModelSpec, stage: str, days: tuple[str, ...], env: Environment, *, quiet: bool) -> tuple[str, ...]:
    """The days to run a stage for: closed days of a range are passed over, and named."""
    from imago.specs.calendar import open_days, require_open

    if stage not in DAILY_STAGES:
        return days
    require_open(spec, days[0], days[-1], environment=env.name)
    if not quiet:
        for day in days:
            why = spec.calendar.why_closed(day)
            if why:
                console.print(f"[bold]{stage}[/] {day} skipped: {escape(why)}")
    return open_days(spec, days[0], days[-1])


Stage = Callable[["Environment", "ModelSpec", str, "RunContext"], dict[str, Any]]


def _stages(champion: str) -> dict[str, Stage]:
    from imago.jobs import deployment, metrics, monitoring, scoring, serving, shadow_scoring, training

    def train(env: Environment, spec: ModelSpec, ds: str, context: RunContext) -> dict[str, Any]:
        frozen = training.freeze(env, spec, ds, context)
        fitted = [training.fit(env, spec, frozen["snapshot"], name, context) for name in frozen["contestants"]]
        return training.report(env, spec, ds, frozen["snapshot"], fitted, context)

    return {
        "training": train,
        "deployment": deployment.judge,
        "endpoint_deploy": lambda env, spec, _ds, context: serving.deploy(env, spec, context),
        "batch_scoring": lambda env, spec, ds, context: scoring.score(env, spec, ds, context, champion),
        "monitoring": monitoring.monitor,
        "metric_refresh": metrics.refresh,
        "shadow_scoring": shadow_scoring.score,
    }


def _line(summary: dict[str, Any]) -> str:
    plain = {
        name: value for name, value in summary.items() if isinstance(value, str | int | float | bool) and name != "ds"
    }
    return ", ".join(
        f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}" for name, value in plain.items()
    )
