"""One day through Astronomer Cosmos in its LOCAL mode, every model and test a task of its own.

Runs in a virtual environment of its own, as the DAG file of an Airflow that `benchmarks.features` prepared; what to
build stands in the variable BENCH_COSMOS as JSON. Prints the seconds of the run, without Airflow's start.
"""

import json
import os
import time
from datetime import datetime

from cosmos import DbtDag, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import ExecutionMode, InvocationMode, LoadMode, TestBehavior

GIVEN = json.loads(os.environ["BENCH_COSMOS"])

dag = DbtDag(
    dag_id="bench",
    schedule=None,
    start_date=datetime(2013, 1, 1),
    project_config=ProjectConfig(GIVEN["project"], dbt_vars=GIVEN["vars"]),
    profile_config=ProfileConfig(
        profile_name="imago", target_name="dev", profiles_yml_filepath=f"{GIVEN['project']}/profiles.yml"
    ),
    execution_config=ExecutionConfig(execution_mode=ExecutionMode.LOCAL, invocation_mode=InvocationMode.DBT_RUNNER),
    render_config=RenderConfig(
        select=[f"+{GIVEN['model']}"],
        load_method=LoadMode.DBT_LS,
        test_behavior=TestBehavior.AFTER_EACH,
        exclude=["resource_type:unit_test"],
    ),
    operator_args={"install_deps": False},
)

if __name__ == "__main__":
    started = time.perf_counter()
    run = dag.test()
    states = {task.task_id: str(task.state) for task in run.get_task_instances()}
    print(
        "BENCH " + json.dumps({"seconds": time.perf_counter() - started, "state": str(run.state), "tasks": len(states)})
    )
