"""One operator per task of the DAGs: each calls one function of `imago.jobs`."""

from imago_airflow.operators.refresh import AnnounceOperator, RefreshOperator
from imago_airflow.operators.release import DeployEndpointOperator, JudgeOperator, PromoteOperator, RollbackOperator
from imago_airflow.operators.score import (
    DocumentDriftOperator,
    MonitorOperator,
    OrderSparkOperator,
    PlanScoringOperator,
    PublishPartsOperator,
    PublishSparkOperator,
    RefreshMetricsOperator,
    RetrainOperator,
    ScoreOperator,
    ScorePartOperator,
)
from imago_airflow.operators.shadow import ShadowScoreOperator
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
    "OrderSparkOperator",
    "PlanScoringOperator",
    "PromoteOperator",
    "PublishPartsOperator",
    "PublishSparkOperator",
    "RefreshMetricsOperator",
    "RefreshOperator",
    "ReportOperator",
    "RetentionOperator",
    "RetrainOperator",
    "RollbackOperator",
    "ScoreOperator",
    "ScorePartOperator",
    "ShadowScoreOperator",
    "WatchdogOperator",
]
