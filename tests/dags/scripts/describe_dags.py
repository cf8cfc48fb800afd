"""Loads the DAG folder as the DAG processor does, and prints what a policy wants to know of each DAG."""

import json
import os
from pathlib import Path

from airflow.dag_processing.dagbag import DagBag

bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
print(
    json.dumps(
        {
            "errors": bag.import_errors,
            "dags": {
                dag.dag_id: {
                    "file": Path(dag.fileloc).name,
                    "doc": dag.doc_md,
                    "tags": sorted(dag.tags),
                    "on_failure": bool(dag.on_failure_callback),
                    "catchup": dag.catchup,
                    "timetable": type(dag.timetable).__name__,
                    "params": sorted(dag.params),
                    "tasks": {
                        task.task_id: {
                            "owner": task.owner,
                            "retries": task.retries,
                            "on_failure": bool(task.on_failure_callback),
                            "pool": task.pool,
                            "priority_weight": task.priority_weight,
                            "execution_timeout": task.execution_timeout and task.execution_timeout.total_seconds(),
                            "outlets": [outlet.uri for outlet in task.outlets],
                            "mapped": task.is_mapped,
                        }
                        for task in dag.tasks
                    },
                }
                for dag in bag.dags.values()
            },
        }
    )
)
