"""The JSON Schema for editors accepts what the agent accepts, and knows every key it knows."""

import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from vrrpd.config import Kinds, json_schema
from vrrpd.config.model import FileKeys, RouterKeys
from vrrpd.kinds import kinds as real_kinds

_EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
_KNOWN_WORDS = {
    *("$schema", "$ref", "$defs", "title", "description", "examples", "type", "properties", "additionalProperties"),
    *(
        "required",
        "items",
        "minItems",
        "maxItems",
        "minProperties",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "pattern",
        "enum",
    ),
    *("anyOf", "oneOf", "const", "default"),
}
_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}


def _schemas(schema: Any) -> list[dict[str, Any]]:
    """A schema and all schemas in it."""
    if not isinstance(schema, dict):
        return []
    here = cast("dict[str, Any]", schema)
    inner: list[Any] = [
        *here.get("anyOf", []),
        *here.get("oneOf", []),
        here.get("items"),
        here.get("additionalProperties"),
    ]
    inner += [*here.get("properties", {}).values(), *here.get("$defs", {}).values()]
    return [here, *(found for one in inner for found in _schemas(one))]


def _fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Validate by the words of JSON Schema that the schema uses (json-schema.org, draft 2020-12)."""
    if "$ref" in schema and not _fits(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root):
        return False
    if "anyOf" in schema and not any(_fits(value, option, root) for option in schema["anyOf"]):
        return False
    if "oneOf" in schema and sum(_fits(value, option, root) for option in schema["oneOf"]) != 1:
        return False
    words = [schema["const"]] if "const" in schema else schema.get("enum")
    if words is not None and not any(value == one and type(value) is type(one) for one in words):
        return False
    types = schema.get("type", [])
    wanted = [types] if isinstance(types, str) else types
    if wanted and not any(_is(value, one) for one in wanted):
        return False
    if isinstance(value, dict):
        return _mapping_fits(cast("dict[str, Any]", value), schema, root)
    if isinstance(value, list):
        items = cast("list[Any]", value)
        inside = schema.get("minItems", 0) <= len(items) <= schema.get("maxItems", 999)
        return inside and all(_fits(item, schema.get("items", {}), root) for item in items)
    if isinstance(value, str):
        inside = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 9999)
        return inside and bool(re.search(schema.get("pattern", ""), value))
    return schema.get("minimum", value) <= value <= schema.get("maximum", value)


def _is(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _mapping_fits(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any]) -> bool:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    for key, inner in value.items():
        rule = known.get(key, others)
        if rule is False or not _fits(inner, rule, root):
            return False
    return len(value) >= schema.get("minProperties", 0) and all(key in value for key in schema.get("required", []))


def test_the_schema_is_plain_json_of_draft_2020_12_with_known_words_only() -> None:
    schema = json.loads(json.dumps(json_schema(real_kinds())))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for one in _schemas(schema):
        assert set(one) <= _KNOWN_WORDS
        assert "null" not in (one.get("type"), *one.get("enum", []))
        if "$ref" in one:
            assert one["$ref"].rpartition("/")[2] in schema["$defs"]


def test_every_key_is_in_the_schema_with_a_description() -> None:
    definitions = json_schema(real_kinds())["$defs"]
    for model in (FileKeys, RouterKeys):
        properties = definitions[model.__name__]["properties"]
        assert set(properties) == set(model.model_fields)
        assert all(properties[key].get("description") for key in properties)
    assert set(real_kinds().checks) < set(definitions["CheckKeys"]["properties"])


def test_keys_that_are_not_supported_yet_are_not_offered(kinds: Kinds) -> None:
    assert "hooks" not in json_schema(kinds, ())["$defs"]["RouterKeys"]["properties"]


@pytest.mark.parametrize("path", _EXAMPLES, ids=lambda path: path.stem)
def test_the_schema_accepts_every_example_as_an_editor_reads_it(path: Path) -> None:
    schema = json_schema(real_kinds())
    assert _fits(yaml.safe_load(path.read_text()), schema, schema)


@pytest.mark.parametrize(
    "text",
    [
        "routers: {web: {vrid: 51, hear_first: off, announce: off, preempt: no, advert_interval: 0.2}}",
        "routers: {web: {vrid: '051', priority: {a: 1}, down_adverts: '3', addresses: [{address: auto, scope: 7}]}}",
        "groups: {a: [b, c]}\nrouters: {b: {track: [x, {check: y, weight: -9}, {check: z, weight: '+9'}, {check: z}]}}",
        "nodes: {a: 10.0.0.1, b: [10.0.0.2]}\nlog: {level: debug}\nchecks: {a: {tcp: 'h:1', start: up}}",
    ],
)
def test_numbers_and_words_are_accepted_in_every_form_that_yaml_gives(text: str) -> None:
    schema = json_schema(real_kinds())
    assert _fits(yaml.safe_load(text), schema, schema)


@pytest.mark.parametrize(
    "text",
    [
        "rooters: {}",
        "routers: {web: {vrid: 256}}",
        "routers: {web: {version: 4}}",
        "routers: {web: {hear_first: never}}",
        "routers: {web: {addresses: 10.0.0.1}}",
        "routers: {web: {addresses: [{device: eth0}]}}",
        "checks: {a: {interval: 1s}}",
        "checks: {a: {tcp: 'h:1', exec: [a]}}",
        "checks: {a: {http: {url: 'http://h', expekt: 1}}}",
        "nodes: {a: []}",
        "groups: {a: b}",
        "groups: {a: []}",
        "routers: {web: {track: [{weight: -9}]}}",
        "routers: {web: {track: [{check: a, weight: 0}]}}",
        "routers: {web: {track: [{check: a, weight: -254}]}}",
    ],
)
def test_an_editor_underlines_what_the_agent_would_refuse(text: str) -> None:
    schema = json_schema(real_kinds())
    assert not _fits(yaml.safe_load(text), schema, schema)


def test_a_file_without_kinds_still_has_a_schema() -> None:
    assert {"CheckKeys", "MoverKeys"} < set(json_schema(Kinds({}, {}))["$defs"])


def test_a_kind_of_mover_is_described_with_its_options_where_that_is_wanted(kinds: Kinds) -> None:
    schema = json_schema(kinds, ["ip", "plain"])
    right = "routers: {web: {vrid: 1, movers: [{ip: {id: a, timeout: 3s, unready_weight: off}}, {plain: {}}]}}"
    assert _fits(yaml.safe_load(right), schema, schema)
    assert _fits(yaml.safe_load("defaults: {movers: [heavy: {loft: 7}]}"), schema, schema), "not described"
    for wrong in ("ip: {timeout: 3s}", "ip: {id: a, timout: 3s}", "pigeon: {}", "ip: {id: a}, plain: {}", ""):
        assert not _fits(yaml.safe_load(f"routers: {{web: {{movers: [{{{wrong}}}]}}}}"), schema, schema), wrong


def test_all_kinds_of_movers_are_described_where_nothing_is_said(kinds: Kinds) -> None:
    with pytest.raises(KeyError, match="heavy"):
        json_schema(kinds)
