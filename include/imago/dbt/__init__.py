"""dbt, run inside this process: see `imago.dbt.runner`."""
