"""dbt, run inside this process: models built into an attempt's staging place, and what their contracts say."""

from imago.dbt.contracts import contract_of
from imago.dbt.runner import DbtResult, build

__all__ = ["DbtResult", "build", "contract_of"]
