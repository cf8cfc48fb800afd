"""The shipped DAGs over the worlds alone: what Airflow parses, and each world's features and outcomes by real tasks."""

import json
import os

from airflow.utils.db import upgradedb

upgradedb()

from airflow.dag_processing.bundles.manager import DagBundlesManager  # noqa: E402
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db  # noqa: E402
from airflow.models.pool import Pool  # noqa: E402

from imago import ledger  # noqa: E402
from imago.environments import load_environment  # noqa: E402
from imago.tables import Table  # noqa: E402
from imago_testing.worlds import WORLDS  # noqa: E402

env = load_environment("dev")
ledger.migrate(env)
for pool in ("imago_dbt", "imago_train", "imago_score", "imago_shadow", "imago_deliver"):
    Pool.create_or_update_pool(name=pool, slots=1, description="", include_deferred=False)
DagBundlesManager().sync_bundles_to_db()
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
sync_bag_to_db(bag, "dags-folder", None)

result = {"errors": bag.import_errors, "dags": sorted(bag.dags), "worlds": {}}
for name, world in WORLDS.items():
    days = world.open_days[:3]
    world.deliver(env, days)
    states = {}
    for stage, conf in (
        ("feature_refresh", {"from_day": days[0], "to_day": days[1]}),
        # `dag.test()` writes the form into the DAG's params, so the second form takes the range back.
        ("feature_refresh", {"ds": days[2], "from_day": None, "to_day": None}),
        ("outcome_refresh", {"from_day": days[0], "to_day": days[2]}),
    ):
        run = bag.dags[f"dev__{name}__{stage}"].test(run_conf=conf)
        states[f"{stage} {' '.join(filter(None, conf.values()))}"] = str(run.state)
    result["worlds"][name] = {
        "days": days,
        "states": states,
        "rows": {
            table: {ds: Table(env, name, table).require(ds).num_rows for ds in days}
            for table in ("features", "outcomes")
        },
    }
print(json.dumps(result))
