"""What each DAG file costs beyond Airflow's own import: CPU seconds, and which heavy libraries it drags in."""

import json
import runpy
import sys
import time
from pathlib import Path

# Airflow's own share: every process that parses a DAG file has these.
import airflow.partition_mappers.temporal
import airflow.providers.standard.operators.hitl
import airflow.sdk.execution_time.task_runner
import airflow.serialization.encoders
import airflow.timetables.simple
import airflow.timetables.trigger  # noqa: F401
from airflow.sdk import DAG, Asset, BaseOperator, Param  # noqa: F401

HEAVY = ("pandas", "sklearn", "mlflow", "great_expectations", "dbt", "duckdb", "deltalake", "pyarrow", "onnxruntime",
         "matplotlib", "scipy")  # fmt: skip

folder = Path(__file__).parents[3] / "dags"
before = {name for name in HEAVY if name in sys.modules}
costs = {}
for number, path in enumerate(sorted(folder.glob("*.py"))):
    for name in [name for name in sys.modules if name.split(".")[0] in ("imago", "imago_airflow", "imago_models")]:
        del sys.modules[name]  # each file pays for its imports, as in a task of its own
    started = time.process_time()
    runpy.run_path(str(path), run_name=f"dag_file_{number}")
    costs[path.name] = time.process_time() - started
print(
    json.dumps(
        {"costs": costs, "dragged_in": sorted(name for name in HEAVY if name in sys.modules and name not in before)}
    )
)
