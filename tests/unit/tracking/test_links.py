import json
from urllib.parse import parse_qs, urlsplit

import pytest

from sweeps.tracking.links import compare_url, redacted, without_secrets


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://ann:s3cret@mlflow.example.org:8443/team", "https://mlflow.example.org:8443/team"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("postgresql://ann:s3cret@db/mlflow?password=s3cret", "postgresql://db/mlflow"),
        ("sqlite:////home/ann@work/mlflow.db", "sqlite:////home/ann@work/mlflow.db"),
        ("mlruns/with@sign", "mlruns/with@sign"),
    ],
)
def test_a_tracking_uri_is_shown_without_user_and_password(uri, expected):
    """What is printed, stored and linked holds no secret."""
    assert redacted(uri) == expected


def test_a_message_that_quotes_the_uri_loses_its_secrets():
    """MLflow's errors repeat the address that they called."""
    uri = "https://ann:s3cret@mlflow.example.org"
    message = f"API request to {uri}/api/2.0/mlflow failed (user ann:s3cret@, password s3cret)"
    assert without_secrets(message, uri) == (
        "API request to https://***@mlflow.example.org/api/2.0/mlflow failed (user ***@, password ***)"
    )


def test_a_comparison_of_a_server_leads_to_the_server():
    """The link is URL-encoded, as MLflow's page reads it."""
    assert compare_url("https://ann:s3cret@mlflow.example.org/", "7", ["a1", "b2"]) == (
        "https://mlflow.example.org/#/compare-runs?runs=%5B%22a1%22%2C%22b2%22%5D&experiments=%5B%227%22%5D"
    )


def test_a_comparison_in_a_database_leads_to_the_local_page_and_ends_at_a_hundred_runs():
    """`mlflow ui` shows the database at port 5000, and its page slows down beyond 100 runs."""
    url = compare_url("sqlite:////tmp/mlflow.db", "1", [f"r{n}" for n in range(150)])
    assert url is not None
    assert url.startswith("http://127.0.0.1:5000/#/compare-runs?")
    query = parse_qs(urlsplit(url.replace("#/", "")).query)
    assert json.loads(query["runs"][0]) == [f"r{n}" for n in range(100)]
    assert json.loads(query["experiments"][0]) == ["1"]


def test_nothing_to_compare_is_no_link():
    """A sweep without a measured trial has no comparison."""
    assert compare_url("sqlite:////tmp/mlflow.db", "1", []) is None
