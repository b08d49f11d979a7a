"""The manifests of deploy/ agree with each other and with the script that they run. They have never been applied."""

import ast
import re
from importlib.metadata import version
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # comes with myst-parser

from fraudlab.settings import REPOSITORY, Settings

DEPLOY = REPOSITORY / "deploy"
CONFIG_MAP_PREFIX = "flink-config-"
"""The operator names a cluster's configuration so."""


def manifest(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


@pytest.fixture(name="cluster")
def flink_deployment() -> Any:
    return manifest("flink.yaml")


@pytest.fixture(name="pod")
def submitting_pod() -> Any:
    return manifest("submit.yaml")["spec"]["template"]["spec"]


def test_cluster_and_submission_run_the_same_image_and_account(cluster: Any, pod: Any) -> None:
    (container,) = pod["containers"]
    assert container["image"] == cluster["spec"]["image"]
    assert pod["serviceAccountName"] == cluster["spec"]["serviceAccount"]


def test_jobs_are_submitted_to_the_cluster_with_its_own_configuration(cluster: Any, pod: Any) -> None:
    (container,) = pod["containers"]
    (volume,) = pod["volumes"]
    name = cluster["metadata"]["name"]
    environment = {one["name"]: one.get("value") for one in container["env"]}
    assert environment["DEPLOY_FLINK_URL"] == f"http://{name}-rest:8081"
    assert volume["configMap"]["name"] == f"{CONFIG_MAP_PREFIX}{name}"
    assert [mount["name"] for mount in container["volumeMounts"]] == [volume["name"]]


def test_the_submission_is_given_everything_that_it_reads(pod: Any) -> None:
    tree = ast.parse((DEPLOY / "submit.py").read_text(encoding="utf-8"))
    (addresses,) = [one for one in ast.walk(tree) if isinstance(one, ast.ClassDef) and one.name == "Addresses"]
    fields = {
        f"DEPLOY_{one.target.id.upper()}": one.value is None or "Field(description" in ast.unparse(one.value)
        for one in addresses.body
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    }
    settings = {f"FRAUDLAB_{name.upper()}" for name in Settings.model_fields}
    given = {one["name"] for one in pod["containers"][0]["env"]}
    assert {name for name, required in fields.items() if required} <= given
    assert given <= fields.keys() | settings


def test_no_secret_stands_in_a_manifest(pod: Any) -> None:
    for variable in pod["containers"][0]["env"]:
        if re.search("PASSWORD|SECRET|TOKEN", variable["name"]):
            assert "value" not in variable


def test_the_clusters_flink_is_that_of_the_local_one(cluster: Any) -> None:
    major, minor, patch = version("apache-flink").split(".")
    assert cluster["spec"]["flinkVersion"] == f"v{major}_{minor}"
    assert f"FROM flink:{major}.{minor}.{patch}-" in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def test_the_image_copies_only_what_is_there() -> None:
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    sources = [
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    assert sources
    assert not [source for source in sources if not (REPOSITORY / source).exists()]
