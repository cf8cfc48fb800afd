"""What all operators of Imago do around their job: open the run, translate refusals, say what came out, announce it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, DownstreamTasksSkipped

from imago.errors import ClosedDay, ImagoError, LedgerUnavailable, MissingPartition, StorageUnavailable
from imago.names import AS_WAS
from imago.texts import as_lines
from imago_airflow.callbacks import run_succeeded
from imago_airflow.run import Run, open_run

Summary = dict[str, Any]


class ImagoOperator(BaseOperator):
    """A task of one environment. Its failure becomes an alert; its success ends an earlier failure's incident."""

    ui_color = "#f3ede2"

    def __init__(self, *, environment: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.environment = environment

    def done(self, context: Mapping[str, Any]) -> None:
        """Called when nothing of the run is left to do."""
        run_succeeded(context)


class StageOperator(ImagoOperator):
    """A task that calls one function of `imago.jobs` for one model in one environment.

    A subclass writes `work(run, context)`, which imports the job (never at module level: DAG files are executed again
    in each task) and returns its summary. The summary is logged and becomes the task's XCom.

    A day that the calendar closes skips the task, and what follows it, with its reason.
    A refusal (ImagoError) fails the task at once with its full text: the same input would be refused again. A missing
    input is tried again, since it may be on its way, and so is every other error. A failed task has no summary, so the
    refusal's facts stand in its stead: in the log, and as the XCom `refusal`.
    """

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def work(self, run: Run, context: Mapping[str, Any]) -> Summary:
        raise NotImplementedError

    def execute(self, context: Mapping[str, Any]) -> Summary:
        try:
            run = open_run(context, environment=self.environment, model=self.model)
            self.log.info("%s of %s, day %s, mode %s", self.task_id, self.model, run.ds, run.context.mode)
            summary = self.work(run, context)
        except ClosedDay as closed:
            self.tell(context, closed)
            self.done(context)
            raise AirflowSkipException(str(closed)) from closed
        except ImagoError as error:
            self.tell(context, error)
            if isinstance(error, MissingPartition | LedgerUnavailable | StorageUnavailable):
                raise
            raise AirflowFailException(str(error)) from error
        except AirflowSkipException:
            self.done(context)
            raise
        self.log.info("%s\n%s", self.task_id, self.as_lines(summary))
        if not self.downstream_task_ids:
            self.done(context)
        return summary

    def as_lines(self, summary: Mapping[str, Any]) -> str:
        """What the log says of a summary."""
        return as_lines(summary)

    def tell(self, context: Mapping[str, Any], refusal: ImagoError) -> None:
        """Leaves the facts of a refusal where a summary would be."""
        facts = refusal.summary()
        self.log.error("%s was refused\n%s", self.task_id, as_lines(facts))
        context["ti"].xcom_push(key="refusal", value=json.loads(json.dumps(facts, default=str)))

    def announce(self, run: Run, context: Mapping[str, Any], days: Iterable[str] | None = None) -> None:
        """Lets the task's end tell what listens to its outlets, for the run's own day or for `days`.

        The event carries the run's mode and id, and a champion that was asked for: what it starts downstream looks like
        any other asset-triggered run, and takes these from here.
        """
        chosen = {} if run.champion == AS_WAS else {"champion": run.champion}
        for outlet in self.outlets:
            event = context["outlet_events"][outlet]
            event.extra = {"mode": run.context.mode, "run_id": run.context.run_id, **chosen}
            keys = list(days) if days is not None else [run.day] if not context.get("partition_key") else []
            if keys:
                event.add_partitions(keys)

    def keep_quiet(self, context: Mapping[str, Any]) -> None:
        """Announces nothing. A task that succeeds announces each of its outlets, so it ends without any.

        `context["task"]` is this attempt's own copy; the DAG keeps its outlets.
        """
        self.outlets = context["task"].outlets = []

    def announce_only(self, context: Mapping[str, Any], *names: str) -> None:
        """Announces only those of its outlets whose last word is one of `names`."""
        told = [outlet for outlet in self.outlets if outlet.uri.rpartition("/")[2] in names]
        self.outlets = context["task"].outlets = told

    def finish_here(self, context: Mapping[str, Any], summary: Summary) -> NoReturn:
        """Ends the task as a success and skips all that follows it, without starting any of it."""
        self.log.info("%s\n%s", self.task_id, self.as_lines(summary))
        self.done(context)
        context["ti"].xcom_push(key="return_value", value=summary)
        raise DownstreamTasksSkipped(tasks=sorted(self.get_flat_relative_ids(upstream=False)))
