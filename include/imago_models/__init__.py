"""Your models. Each is one file with a spec; this tuple is the list of what Airflow runs."""

from imago_models.flight_delays import FLIGHT_DELAYS

MODELS = (FLIGHT_DELAYS,)
