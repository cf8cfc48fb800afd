"""Imago: the batch ML lifecycle for teams that live in Airflow, dbt and S3.

Nothing below this package imports Airflow. Direction of imports: `jobs` and `cli` use the stages
(features, training, selection, scoring, serving, monitoring, metrics, alerts), the stages use the ground floor
(specs, environments, errors, storage, tables, ledger, registry, dbt), and no stage imports another.
"""

__version__ = "0.1.0"
