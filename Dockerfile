# Airflow with Imago inside, for any platform that runs the official image: docker build -t imago .
# The slim image brings Airflow without providers; the ones that are used come from the lock, at the versions that were tested.
FROM apache/airflow:slim-3.3.2-python3.12

# The image's own unprivileged user; nothing below needs root.
USER airflow
WORKDIR /opt/airflow

# The dependencies first: they change seldom, and theirs is the slow layer. The lock holds the tools of developers as well,
# so it bounds what is installed rather than being installed whole.
COPY --chown=airflow:0 requirements.lock requirements.txt ./
RUN sed -E '/^([[:space:]]|#)/d; s/[[:space:]]*\\$//' requirements.lock > /tmp/constraints.txt \
    && pip install --no-cache-dir --constraint /tmp/constraints.txt --requirement requirements.txt

COPY --chown=airflow:0 pyproject.toml README.md LICENSE ./
COPY --chown=airflow:0 include ./include
COPY --chown=airflow:0 plugins ./plugins
RUN pip install --no-cache-dir --no-deps . && pip check

COPY --chown=airflow:0 dags ./dags
COPY --chown=airflow:0 dbt_project ./dbt_project
COPY --chown=airflow:0 airflow_settings.yaml ./

ENV IMAGO_DBT_PROJECT=/opt/airflow/dbt_project \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    MLFLOW_DISABLE_TELEMETRY=true \
    DBT_SEND_ANONYMOUS_USAGE_STATS=false \
    DO_NOT_TRACK=1
