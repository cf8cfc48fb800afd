"""The glue between Airflow and Imago: timetables, operators, assets, defaults, callbacks, the plugin. Thin: no ML."""
