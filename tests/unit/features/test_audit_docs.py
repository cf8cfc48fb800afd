"""The page of an audit, from real results of Great Expectations over rows with secrets and scripts in them."""

from __future__ import annotations

import json
import logging
import re

import pandas as pd
import pytest

from imago import ledger
from imago.errors import RefusedPartition
from imago.features import audit_docs
from imago.features.audit import AuditResult
from imago.features.findings import Finding
from imago.ledger.schema import publications
from imago.storage import Storage

D1, D2 = "2013-03-01", "2013-03-02"
SCRIPT = "<script>alert(1)</script>"
RANGE = Finding(column="seats", rule="range", partition=D1, allowed="1 to 900", seen="-5 to 9000", rows=2)
UNSEEN = Finding(
    column="carrier", rule="warn_unseen", partition=D1, allowed="at most 1%", seen=SCRIPT, rows=3, critical=False
)


@pytest.fixture(scope="module")
def validation():
    """Keys stand twice, values are foreign, a column is gone: with the values quoted in the result."""
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations as gx
    import great_expectations.expectations as gxe

    frame = pd.DataFrame({"flight_key": ["secret-1", "secret-1", "secret-2"], "carrier": ["UA", SCRIPT, "AA"]})
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("p").add_dataframe_asset("a")
    batch = asset.add_batch_definition_whole_dataframe("b").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite("rows")
    for expectation in (
        gxe.ExpectColumnValuesToBeUnique(column="flight_key"),
        gxe.ExpectColumnValuesToNotBeNull(column="flight_key"),
        gxe.ExpectColumnValuesToBeInSet(column="carrier", value_set=["UA", "AA"]),
        gxe.ExpectColumnValuesToNotBeNull(column="gone"),
        gxe.ExpectTableRowCountToBeBetween(min_value=1, max_value=5),
    ):
        suite.add_expectation(expectation)
    return batch.validate(suite, result_format="SUMMARY")


def result(validation, **changes):
    values = {"declared": 5, "run": 5, "failures": (), "warnings": (), "validations": (validation,)}
    return AuditResult(**{**values, **changes})


def write(env, spec, outcome, *, days=(D1,), fence=7, refused=None) -> tuple[str, str, dict]:
    storage = Storage(env)
    rel = audit_docs.write(storage, env, spec, "features", days, fence, outcome, refused=refused)
    said = storage.read_bytes(rel.replace(audit_docs.PAGE, audit_docs.RESULT))
    return rel, storage.read_bytes(rel).decode(), json.loads(said)


def test_the_page_says_what_was_found_and_what_great_expectations_says_of_each_column(dev, spec, validation):
    rel, page, said = write(dev, spec, result(validation, failures=(RANGE,), warnings=(UNSEEN,)))

    assert rel == f"audits/flight_delays/features/{D1}..{D1}-7/index.html"
    assert (said["verdict"], said["checks"], len(said["findings"])) == ("refused", {"declared": 5, "run": 5}, 2)
    text = re.sub(r"<[^>]+>", " ", page)
    for words in ("Audit of features, 2013-03-01", "flight_delays in dev", "5 of 5", "1 to 900", "-5 to 9000"):
        assert words in text
    assert "rows: 2 of 5 expectations met" in text
    assert "values must be unique." in text
    assert text.index("not met") < text.index("could not be checked") < text.index("values must never be null")
    assert text.count("could not be checked") == 1


def test_neither_page_nor_json_quotes_a_row(dev, spec, validation):
    assert "secret-1" in json.dumps(validation.to_json_dict())

    _, page, said = write(dev, spec, result(validation))

    assert "secret-" not in page + json.dumps(said)


def test_the_page_needs_no_other_host_and_runs_nothing(dev, spec, validation):
    _, page, _ = write(dev, spec, result(validation, warnings=(UNSEEN,)))

    assert "://" not in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert len(page) < 300_000


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "passed"),
        ({"warnings": (UNSEEN,)}, "passed with warnings"),
        ({"failures": (RANGE,)}, "refused"),
        ({"run": 4}, "refused"),
        ({"declared": 0, "run": 0}, "refused"),
    ],
)
def test_the_verdict_is_that_of_the_audit_and_fails_closed(dev, spec, validation, changes, verdict):
    assert write(dev, spec, result(validation, **changes))[2]["verdict"] == verdict


def test_what_dbt_refused_before_the_audit_is_a_finding_that_stops(dev, spec, validation):
    error = RefusedPartition("a test failed", partition=D1, column="flight_key", rule="not_null", rows=3)

    _, page, said = write(dev, spec, result(validation), refused=error)

    assert said["verdict"] == "refused"
    assert [(one["column"], one["rule"], one["rows"]) for one in said["findings"]] == [("flight_key", "not_null", 3)]
    assert "not_null" in page


def test_a_days_page_is_that_of_its_newest_audit_whether_of_the_day_or_of_a_range(dev, spec, validation):
    write(dev, spec, result(validation), fence=9)
    write(dev, spec, result(validation), days=(D1, D2), fence=10)

    newest = audit_docs.page(dev, spec, "features", D1)
    assert newest is not None
    assert f"{D1} to {D2}" in newest
    assert f"{D1} to {D2}" not in str(audit_docs.page(dev, spec, "features", f"{D1}..{D1}-9"))
    assert audit_docs.page(dev, spec, "features", "2013-03-03") is None
    assert audit_docs.page(dev, spec, "../../raw", D1) is None


def test_the_list_tells_which_audits_were_published(dev, spec, validation):
    write(dev, spec, result(validation), fence=9)
    write(dev, spec, result(validation, failures=(RANGE,)), days=(D2,), fence=10)
    values = {"model": spec.name, "table_name": "features", "ds": D1, "version": 4, "fence": 9, "changed": True}
    values |= {"rows": 3, "digest": "x", "run_id": "r", "mode": "live", "code_commit": "c", "inputs": {}}
    with ledger.connect(dev).begin() as connection:
        connection.execute(publications.insert().values(values))

    page = audit_docs.overview(dev, spec)

    cells = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", page)]
    assert [cell for cell in cells if cell in (D1, D2, "passed", "refused", "version 4", "no")] == [
        *(D2, "refused", "no"),
        *(D1, "passed", "version 4"),
    ]
    assert f'href="{spec.name}/features/{D1}..{D1}-9"' in page
    assert "No day was audited yet." in page  # of the outcomes


def test_the_address_is_airflows_where_it_is_known_and_else_the_files(dev):
    rel = f"audits/m/features/{D1}..{D1}-9/index.html"
    hosted = dev.model_copy(update={"airflow_url": "http://127.0.0.1:8080/"})

    assert audit_docs.address(hosted, rel) == f"http://127.0.0.1:8080/imago/audits/dev/m/features/{D1}..{D1}-9"
    assert audit_docs.address(dev, rel) == f"{dev.storage_root}/{rel}"
