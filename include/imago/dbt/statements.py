"""One statement on a warehouse, from its start to its end: through Athena's API, or Redshift's Data API.

Nothing here waits for ever, and what is given up on is cancelled: a statement that outlives its deadline, or whose task
is being ended. An answer of `not now` is asked again, more and more slowly.
"""

from __future__ import annotations

import hashlib
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from imago import aws
from imago.dbt.warehouse import Warehouse
from imago.environments import Environment
from imago.errors import ImagoError

log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

# The service is busy, or answers nobody for a moment; the request itself is sound.
_NOT_NOW = frozenset(
    {
        *("ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "SlowDown"),
        *("ActiveStatementsExceededException", "ActiveSessionsExceededException", "InternalServerException"),
        *("ServiceUnavailable", "InternalFailure"),
    }
)
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 15.0


class Statements(ABC):
    """Runs statements of one attempt, one after another. `attempt` is what makes its requests its own."""

    service: str

    def __init__(
        self,
        env: Environment,
        warehouse: Warehouse,
        *,
        attempt: str,
        client: Any = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.env = env
        self.warehouse = warehouse
        self.attempt = attempt
        self.client: Any = client or aws.client(env, self.service)
        self._sleep = sleep
        self._clock = clock

    def run(self, sql: str, *, what: str) -> str:
        """Runs one statement to its end; returns the id that the warehouse gave it.

        Raises ImagoError with that id and the warehouse's own reason when it fails, is cancelled, or is not done by
        the deadline.
        """
        deadline = self._clock() + self.warehouse.deadline_seconds
        # The same request is the same statement: one whose answer was lost is not run a second time.
        token = hashlib.sha256(f"{self.attempt}\0{sql}".encode()).hexdigest()
        query = self._patiently(lambda: self._start(sql, token), deadline, what, None)
        try:
            state, reason, done = self._ended(query, deadline, what)
        except BaseException:
            self._cancel_quietly(query)
            raise
        if not done:
            raise self._failed(what, f"ended as {state}", query, seen=reason or "no reason given")
        log.info("%s: %s on %s as %s", what, state, self.warehouse.kind, query)
        return query

    def _ended(self, query: str, deadline: float, what: str) -> tuple[str, str | None, bool]:
        wait = _FIRST_WAIT
        while True:
            state, reason, done = self._patiently(lambda: self._state(query), deadline, what, query)
            if done is not None:
                return state, reason, done
            if self._clock() + wait > deadline:
                raise self._late(what, query, state)
            self._sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    @abstractmethod
    def _start(self, sql: str, token: str) -> str:
        """Hands the statement in; returns its id."""

    @abstractmethod
    def _state(self, query: str) -> tuple[str, str | None, bool | None]:
        """The state, the warehouse's reason, and whether it succeeded (None while it is not over)."""

    @abstractmethod
    def _cancel(self, query: str) -> None:
        """Asks the warehouse to stop."""

    def _patiently(self, ask: Callable[[], _Answer], deadline: float, what: str, query: str | None) -> _Answer:
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
        from botocore.exceptions import ConnectionError as NoConnection

        wait = _FIRST_WAIT
        while True:
            try:
                return ask()
            except ClientError as error:
                code = error.response.get("Error", {}).get("Code", "")
                if code not in _NOT_NOW:
                    message = error.response.get("Error", {}).get("Message", "")
                    raise self._failed(what, "was turned down", query, seen=f"{code}: {message}") from error
                problem = code
            except (NoConnection, HTTPClientError) as error:
                problem = str(error)
            except BotoCoreError as error:
                raise self._failed(what, "could not be asked for", query, seen=str(error)) from error
            if self._clock() + wait > deadline:
                raise self._late(what, query, problem)
            log.warning("%s: %s does not answer now (%s), asking again", what, self.warehouse.kind, problem)
            self._sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    def _cancel_quietly(self, query: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._cancel(query)
        except (ClientError, BotoCoreError) as error:
            log.warning("%s could not be cancelled: %s", query, error)

    def _failed(self, what: str, how: str, query: str | None, *, seen: str) -> ImagoError:
        return ImagoError(
            f"{what} on {self.warehouse.kind} {how}: query {query or 'without an id'}",
            environment=self.env.name,
            rule="the warehouse's statements succeed",
            seen=seen[:500],
            next_step=f"look the query up in the console of {self.warehouse.kind}; nothing was published",
        )

    def _late(self, what: str, query: str | None, state: str) -> ImagoError:
        variable = f"IMAGO_{self.env.name.upper()}_WAREHOUSE_DEADLINE_SECONDS"
        return ImagoError(
            f"{what} on {self.warehouse.kind} was not done in time: query {query or 'without an id'}",
            environment=self.env.name,
            rule="deadline",
            allowed=f"{self.warehouse.deadline_seconds:.0f} s",
            seen=state,
            next_step=f"run it again when {self.warehouse.kind} is less busy, or raise {variable}",
        )


class AthenaStatements(Statements):
    """Through `athena`; results and manifests of its queries lie below the attempt's staging address."""

    service = "athena"

    def _start(self, sql: str, token: str) -> str:
        answer = self.client.start_query_execution(
            QueryString=sql,
            ClientRequestToken=token,
            QueryExecutionContext={"Catalog": self.warehouse.database},
            ResultConfiguration={"OutputLocation": f"{self.attempt}/_queries/"},
            WorkGroup=self.warehouse.workgroup,
        )
        return str(answer["QueryExecutionId"])

    def _state(self, query: str) -> tuple[str, str | None, bool | None]:
        status = self.client.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
        reason = status.get("StateChangeReason") or status.get("AthenaError", {}).get("ErrorMessage")
        return status["State"], reason, {"SUCCEEDED": True, "FAILED": False, "CANCELLED": False}.get(status["State"])

    def _cancel(self, query: str) -> None:
        self.client.stop_query_execution(QueryExecutionId=query)


class RedshiftStatements(Statements):
    """Through `redshift-data`, as the user that dbt builds with, or as the one of a secret."""

    service = "redshift-data"

    def _start(self, sql: str, token: str) -> str:
        house = self.warehouse
        where: dict[str, Any] = {"WorkgroupName": house.workgroup}
        if house.cluster:
            where = {"ClusterIdentifier": house.cluster}
        if house.secret_arn:
            where["SecretArn"] = house.secret_arn
        elif house.cluster:
            where["DbUser"] = house.user
        answer = self.client.execute_statement(Sql=sql, Database=house.database, ClientToken=token, **where)
        return str(answer["Id"])

    def _state(self, query: str) -> tuple[str, str | None, bool | None]:
        answer = self.client.describe_statement(Id=query)
        ended = {"FINISHED": True, "FAILED": False, "ABORTED": False}
        return answer["Status"], answer.get("Error"), ended.get(answer["Status"])

    def _cancel(self, query: str) -> None:
        self.client.cancel_statement(Id=query)


def statements_of(env: Environment, warehouse: Warehouse, *, attempt: str, **more: Any) -> Statements:
    """The statements of an attempt on its warehouse."""
    kind: type[Statements] = AthenaStatements if warehouse.kind == "athena" else RedshiftStatements
    return kind(env, warehouse, attempt=attempt, **more)
