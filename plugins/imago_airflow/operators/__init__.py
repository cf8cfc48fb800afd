"""One operator per task of the DAGs: each calls one function of `imago.jobs`."""

from imago_airflow.operators.refresh import AnnounceOperator, RefreshOperator
from imago_airflow.operators.release import DeployEndpointOperator, JudgeOperator, PromoteOperator, RollbackOperator
from imago_airflow.operators.score import (
    MonitorOperator,
    PlanScoringOperator,
    PublishPartsOperator,
    RefreshMetricsOperator,
    ScoreOperator,
    ScorePartOperator,
)
from imago_airflow.operators.train import FitOperator, FreezeOperator, ReportOperator
from imago_airflow.operators.upkeep import (
    CorrectionsOperator,
    DeliverAlertsOperator,
    RetentionOperator,
    WatchdogOperator,
)

__all__ = [
    "AnnounceOperator",
    "CorrectionsOperator",
    "DeliverAlertsOperator",
    "DeployEndpointOperator",
    "FitOperator",
    "FreezeOperator",
    "JudgeOperator",
    "MonitorOperator",
    "PlanScoringOperator",
    "PromoteOperator",
    "PublishPartsOperator",
    "RefreshMetricsOperator",
    "RefreshOperator",
    "ReportOperator",
    "RetentionOperator",
    "RollbackOperator",
    "ScoreOperator",
    "ScorePartOperator",
    "WatchdogOperator",
]
