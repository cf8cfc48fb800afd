"""What each DAG file imports beyond Airflow's own share: its own modules, and other people's packages."""

import json
import runpy
import sys
from pathlib import Path

# Airflow's own share: every process that parses a DAG file has these, and the first asset of a process loads the
# providers' asset handlers (boto3 among them).
import airflow.partition_mappers.temporal
import airflow.providers.standard.operators.hitl
import airflow.sdk.execution_time.task_runner
import airflow.serialization.encoders
import airflow.timetables.simple
import airflow.timetables.trigger  # noqa: F401
from airflow.sdk import DAG, Asset, BaseOperator, Param  # noqa: F401

Asset("imago://any/model/table")

OURS = ("imago", "imago_airflow", "imago_models")
folder = Path(__file__).parents[3] / "dags"
imports = {}
for number, path in enumerate(sorted(folder.glob("*.py"))):
    for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
        del sys.modules[name]  # each file imports what it needs, as in a task of its own
    before = set(sys.modules)
    runpy.run_path(str(path), run_name=f"dag_file_{number}")
    added = set(sys.modules) - before
    imports[path.name] = {
        "ours": sorted(name for name in added if name.split(".")[0] in OURS),
        "others": sorted({name.split(".")[0] for name in added} - {*OURS, *sys.stdlib_module_names}),
    }
print(json.dumps(imports))
