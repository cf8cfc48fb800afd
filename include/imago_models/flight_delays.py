"""Will a flight out of New York arrive more than 30 minutes late?

Told at 00:00 New York time for every flight of the day, from what is known then. Replays 2013.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imago.specs import (
    Baseline,
    BusinessMetric,
    Candidate,
    Choice,
    Feature,
    Guardrails,
    ModelSpec,
    Range,
    Schedules,
    Search,
    Training,
)

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

CATEGORICAL = ("carrier", "origin", "dest", "weekday", "plane_maker")
SCHEDULE = ("departure_minute", "distance_miles", "block_minutes", "origin_departures_in_hour")
PLANE = ("plane_leg_of_day", "plane_gap_minutes", "plane_age_years", "plane_seats")
WEATHER = ("temperature_f", "humidity_pct", "wind_mph", "gust_mph", "precip_in", "visibility_miles", "pressure_mb")
HISTORY = (
    "carrier_late_rate_28d",
    "carrier_late_rate_7d",
    "carrier_cancelled_rate_7d",
    "route_late_rate_28d",
    "route_mean_delay_28d",
    "flight_late_rate_28d",
    "hour_late_rate_28d",
    "plane_late_rate_28d",
    "plane_flights_28d",
    "origin_late_rate_7d",
    "origin_late_rate_1d",
)
NUMERIC = (*SCHEDULE, *PLANE, *WEATHER, *HISTORY)


def logistic_regression(spec: ModelSpec, seed: int) -> Pipeline:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = Pipeline([("fill", SimpleImputer(strategy="median")), ("scale", StandardScaler())])
    encode = OneHotEncoder(handle_unknown="ignore", min_frequency=100)
    prepare = ColumnTransformer([("categories", encode, list(CATEGORICAL)), ("numbers", numbers, list(NUMERIC))])
    return Pipeline([("prepare", prepare), ("model", LogisticRegression(C=0.1, max_iter=200, random_state=seed))])


def gradient_boosting(spec: ModelSpec, seed: int) -> Pipeline:
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    # Not the trees' native categories: their ONNX export gives other scores.
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    prepare = ColumnTransformer([("categories", encode, list(CATEGORICAL)), ("numbers", "passthrough", list(NUMERIC))])
    # Each split looks at a part of the columns: weather is the same for a whole day, and trees learn such days by
    # heart.
    trees = HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.08, max_leaf_nodes=15, min_samples_leaf=500, max_features=0.4,
        early_stopping=False, random_state=seed,
    )  # fmt: skip
    return Pipeline([("prepare", prepare), ("model", trees)])


def random_forest(spec: ModelSpec, seed: int) -> Pipeline:
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import TargetEncoder

    encode = TargetEncoder(target_type="binary", cv=StratifiedKFold(5, shuffle=True, random_state=seed))
    fill = SimpleImputer(strategy="median")
    prepare = ColumnTransformer([("categories", encode, list(CATEGORICAL)), ("numbers", fill, list(NUMERIC))])
    # Each tree sees a twelfth of the rows: quicker to fit, and the trees differ more.
    forest = RandomForestClassifier(
        60, max_depth=10, min_samples_leaf=20, max_features=0.3, max_samples=0.08, random_state=seed
    )
    return Pipeline([("prepare", prepare), ("model", forest)])


def prior_rate(spec: ModelSpec, seed: int) -> Pipeline:
    from sklearn.pipeline import Pipeline

    from imago.training.baselines import PriorRate

    return Pipeline([("model", PriorRate())])


def carrier_and_hour(spec: ModelSpec, seed: int) -> Pipeline:
    from sklearn.pipeline import Pipeline

    from imago.training.baselines import GroupRate

    return Pipeline([("model", GroupRate(columns=("carrier", "departure_minute"), bin_width=60.0, smoothing=50.0))])


def route_lately(spec: ModelSpec, seed: int) -> Pipeline:
    from sklearn.pipeline import Pipeline

    from imago.training.baselines import RecentRate

    return Pipeline([("model", RecentRate(column="route_late_rate_28d"))])


def flight_lately(spec: ModelSpec, seed: int) -> Pipeline:
    from sklearn.pipeline import Pipeline

    from imago.training.baselines import RecentRate

    return Pipeline([("model", RecentRate(column="flight_late_rate_28d"))])


def best_column(spec: ModelSpec, seed: int) -> Pipeline:
    from sklearn.pipeline import Pipeline

    from imago.training.baselines import BestColumnRate

    return Pipeline([("model", BestColumnRate(bins=20))])


FLIGHT_DELAYS = ModelSpec(
    name="flight_delays",
    owner="flight-operations",
    description="Will a flight out of New York arrive more than 30 minutes late? Told at 00:00 of its day.",
    entity_key="flight_key",
    event_time="event_time",
    problem="binary",
    label="label",
    label_delay_days=1,
    first_day="2013-01-01",
    last_day="2013-12-31",
    timezone="America/New_York",
    feature_model="flight_delays_features",
    outcome_model="flight_delays_outcomes",
    metrics_model="flight_delays_daily_metrics",
    features=(
        *(Feature(name=name, kind="categorical", calendar=name == "weekday") for name in CATEGORICAL),
        *(Feature(name=name, kind="numeric") for name in NUMERIC),
    ),
    candidates=(
        Candidate(name="logistic_regression", build=logistic_regression, why="is a line through everything enough?"),
        Candidate(
            name="gradient_boosting",
            build=gradient_boosting,
            why="do thresholds and interactions pay?",
            # One trial takes about 3 s on ten months of flights; the seconds only stop what went wrong.
            search=Search(
                space=(
                    Choice(setting="model__max_leaf_nodes", values=(7, 15, 31)),
                    Choice(setting="model__min_samples_leaf", values=(200, 500, 1500)),
                    Range(setting="model__learning_rate", low=0.05, high=0.2, log=True),
                ),
                trials=4,
                seconds=120,
            ),
        ),
        Candidate(
            name="random_forest", build=random_forest, why="do averaged trees on late rates per category do as well?"
        ),
    ),
    baselines=(
        Baseline(name="prior_rate", build=prior_rate, why="the share of late flights, for every flight"),
        Baseline(
            name="carrier_and_hour",
            build=carrier_and_hour,
            why="the share of late flights of this airline at this hour",
        ),
        Baseline(name="route_lately", build=route_lately, why="the share of late flights on this route in four weeks"),
        Baseline(name="flight_lately", build=flight_lately, why="how often this very flight was late in four weeks"),
        Baseline(name="best_column", build=best_column, why="the single feature that tells most, and nothing else"),
    ),
    primary_metric="roc_auc",
    smallest_effect=0.01,
    guardrails=Guardrails(floor=0.65, ceiling=0.80),
    slices=("carrier", "origin"),
    training=Training(window_days=365, warmup_days=28, tuning_days=14, holdout_days=30, seed=2013),
    # A warning breaks even at a chance of 50 / (400 + 50) = 0.11. The bar is higher: trained on stormy months, the
    # models expect more delays than a calm month brings, and false alarms are what that costs.
    decision_threshold=0.2,
    business=BusinessMetric(
        name="money saved by warning passengers", unit="USD", caught=400.0, false_alarm=-50.0, missed=0.0, quiet=0.0
    ),
    schedules=Schedules(daily="0 0 * * *", training="0 0 * * 3"),
)
