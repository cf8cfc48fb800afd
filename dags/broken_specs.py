"""Shows the specs that do not load as ONE import error of Airflow, with file, field, value and what is allowed.

This file makes no DAG. A broken spec costs its own model its DAGs and no other: each file of DAGs passes it by, and
here it is named once for all of them. Where all specs load, Airflow finds nothing here.
"""

from __future__ import annotations

from imago.specs import check_specs

check_specs()
