"""One operator per task of the DAGs: each calls one function of `imago.jobs`."""

from imago_airflow.operators.refresh import AnnounceOperator, RefreshOperator
from imago_airflow.operators.release import DeployEndpointOperator, JudgeOperator, PromoteOperator, RollbackOperator
from imago_airflow.operators.score import (
    DocumentDriftOperator,
    MonitorOperator,
    RefreshMetricsOperator,
    RetrainOperator,
    ScoreOperator,
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
    "DocumentDriftOperator",
    "FitOperator",
    "FreezeOperator",
    "JudgeOperator",
    "MonitorOperator",
    "PromoteOperator",
    "RefreshMetricsOperator",
    "RefreshOperator",
    "ReportOperator",
    "RetentionOperator",
    "RetrainOperator",
    "RollbackOperator",
    "ScoreOperator",
    "WatchdogOperator",
]
