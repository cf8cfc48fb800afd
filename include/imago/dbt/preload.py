"""What the first dbt run of a process works out, worked out once in the process that tasks are forked from.

Imported for its effect, by Airflow's preloading: dbt keeps the JSON schemas of its settings with their classes, and
Python keeps which file each module is from (dbt asks for the stack at its start). A task's dbt step is a fifth faster.
"""

import inspect

from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.contracts.project import Configuration, PackageConfig, ProfileConfig, Project, ProjectFlags
from dbt.contracts.selection import SelectorFile
from dbt.task.test import TestResultData

for settings in (
    ProjectFlags, DuckDBCredentials, ProfileConfig, Project, PackageConfig, SelectorFile, Configuration, TestResultData,
):  # fmt: skip
    settings.json_schema()
inspect.stack()
