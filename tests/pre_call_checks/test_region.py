"""Pre-call checks: `allowed_model_region`."""

from __future__ import annotations

import pytest

from turnout import BadRequestError, NoDeploymentsAvailable
from turnout.messages.deployment import Deployment
from turnout.messages.regions import lies_in, region_of


@pytest.mark.parametrize(
    "region",
    """
    eu eu-central-1 eu-west-1 eu-west-3 eu-north-1 eu-south-2 eu-de europe europe-west1 europe-west4
    europe-southwest1 europe-north1 westeurope northeurope swedencentral francecentral germanywestcentral
    italynorth polandcentral spaincentral austriaeast
    """.split(),
)
def test_what_lies_in_the_european_union(region):
    assert lies_in(region, "eu")
    assert not lies_in(region, "us")


@pytest.mark.parametrize(
    "region",
    """
    us us-east-1 us-east1 us-central1 us-gov-west-1 us-south eastus eastus2 westus3 centralus
    northcentralus southcentralus westcentralus usgovvirginia
    """.split(),
)
def test_what_lies_in_the_united_states(region):
    assert lies_in(region, "us")
    assert not lies_in(region, "eu")


@pytest.mark.parametrize(
    "region",
    """
    eu-west-2 europe-west2 eu-gb uksouth ukwest eu-central-2 europe-west6 switzerlandnorth norwayeast
    japaneast canadacentral brazilsouth ap-southeast-1 asia-east1 northamerica-northeast1 australiaeast
    centralindia global
    """.split(),
)
def test_what_lies_in_neither_whatever_it_is_called(region):
    assert not lies_in(region, "eu")
    assert not lies_in(region, "us")


def test_a_region_is_allowed_by_its_own_name():
    assert lies_in("uksouth", "uksouth")
    assert not lies_in("uksouth", "ukwest")
    assert not lies_in(None, "eu")


@pytest.mark.parametrize(
    ("params", "region"),
    [
        ({"region_name": "EU"}, "eu"),
        ({"wire": {"vertex_location": "us-east1"}}, "us-east1"),
        ({"wire": {"aws_region_name": "eu-central-1"}}, "eu-central-1"),
        ({"api_base": "https://eu-de.ml.cloud.ibm.com/v1"}, "eu-de"),
        ({"region_name": "eu", "wire": {"vertex_location": "us-east1"}}, "eu"),
        ({"api_base": "https://eu.example.com"}, None),
        ({}, None),
    ],
)
def test_a_region_is_stated_or_inferred_from_vertex_bedrock_and_watsonx(params, region):
    assert region_of(Deployment("d", "g", "p", "m", **params)) == region


PLACES = {
    "stated": {"region_name": "eu"},
    "vertex": {"vertex_location": "europe-west1"},
    "bedrock": {"aws_region_name": "us-east-1"},
    "unknown": {},
}


def test_a_request_goes_only_where_it_is_allowed_to(open_group):
    town = open_group(PLACES)
    assert {town.ask(allowed_model_region="eu").route.deployment_id for _ in range(30)} == {
        "stated",
        "vertex",
    }
    assert {town.ask(allowed_model_region="US").route.deployment_id for _ in range(9)} == {"bedrock"}
    assert len({town.ask().route.deployment_id for _ in range(60)}) == 4


def test_allowed_nowhere_it_is_told_so_at_once(open_group):
    town = open_group(PLACES, on_exhausted="wait")
    error = town.error(allowed_model_region="ap-southeast-1")
    assert type(error) is NoDeploymentsAvailable
    assert "4 region" in str(error)
    assert {item.deployment_id: item.detail for item in error.left_out} == {
        "stated": "eu",
        "vertex": "europe-west1",
        "bedrock": "us-east-1",
        "unknown": None,
    }


def test_without_checks_a_region_is_not_looked_at_and_not_sent(open_group):
    town = open_group(PLACES, enable_pre_call_checks=False)
    assert len({town.ask(allowed_model_region="eu").route.deployment_id for _ in range(60)}) == 4
    assert set(town.request(allowed_model_region="eu").wire_params()) == {"messages"}


def test_a_wrong_region_is_one_clear_error(open_group):
    with pytest.raises(BadRequestError, match="allowed_model_region"):
        open_group(PLACES).ask(allowed_model_region=["eu"])
