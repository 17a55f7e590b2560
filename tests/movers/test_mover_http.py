"""The mover `http`: a declared API, what it does, and what of it is refused before it runs."""

from __future__ import annotations

import copy
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml
from pydantic import ValidationError

from tests.movers.fakes.harness import declared
from tests.movers.fakes.providers import SECRETS, Provider, all_providers
from tests.movers.fakes.server import Response
from tests.movers.fakes.texts import FULL, SHORT
from vrrpd.config import HostAddress, HostFacts, MoverSpec, load, resolve
from vrrpd.errors import ConfigError
from vrrpd.kinds import kinds
from vrrpd.movers.base import (
    ConflictError,
    InvalidError,
    OutcomeUnknownError,
    ThrottledError,
    UnauthenticatedError,
    UnavailableError,
    Who,
)
from vrrpd.movers.http.declared import HttpOptions
from vrrpd.movers.http.full import KINDS
from vrrpd.movers.http.service import Service
from vrrpd.movers.web import Answer
from vrrpd.proto.timers import SECOND

PAIR = "nodes: {lb1: 10.0.0.11, lb2: 10.0.0.12}\nrouters:\n  web:\n    vrid: 51\n    movers:\n"
LB1 = HostFacts(frozenset({"lo", "eth0"}), (HostAddress("eth0", ip_interface("10.0.0.11/24")),))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def mover_of(text: str, folder: Path) -> MoverSpec:
    """What the agent makes of the text of one mover, in a file of its own."""
    lines = text.replace("SECRET", f"file:{folder}/secret").splitlines()
    entry = "".join(f"      {'- ' if number == 0 else '  '}{line}\n" for number, line in enumerate(lines))
    path = folder / "vrrpd.yaml"
    path.write_text(PAIR + entry)
    [spec] = resolve(load(str(path), kinds()), LB1).movers
    return spec


@pytest.mark.parametrize("make", [*all_providers()], ids=lambda make: make.kind)
def test_a_preset_takes_at_most_four_lines(make: type[Provider], tmp_path: Path) -> None:
    assert len(SHORT[make.kind].splitlines()) <= 4
    assert mover_of(SHORT[make.kind], tmp_path).kind == make.kind


@pytest.mark.parametrize("make", [*all_providers()], ids=lambda make: make.kind)
async def test_the_full_form_takes_at_most_ten_lines_and_moves_it_too(make: type[Provider], tmp_path: Path) -> None:
    assert len(FULL[make.kind].splitlines()) <= 10
    options = mover_of(FULL[make.kind], tmp_path).options
    (tmp_path / "secret").write_text(SECRETS[0])
    async with declared(make(), written_again(FULL[make.kind], tmp_path), options) as tried:
        await tried.mover.prepare()
        assert (await tried.mover.holder()).id == tried.cloud.peer
        tried.forget()
        await tried.mover.acquire(None)
        assert tried.asked[0] == tried.cloud.first
        assert (await tried.mover.holder()).who is Who.ME


def written_again(text: str, folder: Path) -> dict[str, Any]:
    """A declaration as its text has it."""
    return yaml.load(text.replace("SECRET", f"file:{folder}/secret"), yaml.BaseLoader)["http"]


CALL = {"get": "/thing", "pick": "holder"}
API: dict[str, Any] = {
    "base": "https://api.example/v1",
    "auth": {"bearer": "file:/secret"},
    "self": {"get": "http://169.254.169.254/id"},
    "holder": CALL,
    "acquire": [{"post": "/thing/move", "json": {"to": "{self}"}}],
}


def options(**more: Any) -> HttpOptions:
    return KINDS["http"].options.validate_python({**copy.deepcopy(API), **more})


def without(*keys: str) -> dict[str, Any]:
    return {key: value for key, value in API.items() if key not in keys}


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"holdr": CALL}, "holdr"),
    (
        {"base": "http://api.example/v1"},
        "plain http to 'api.example' would show the secret to the network; write https://",
    ),
    ({"base": "ftp://api.example"}, "no http URL"),
    ({"base": "https://me:s3cr3t@api.example"}, "a password in a URL has no place in this file"),
    ({"base": "https://api.example?access_token=s3cr3t"}, "looks like a secret"),
    ({"self": {"get": "http://10.0.0.1/id"}}, "plain http to '10.0.0.1'"),
    ({"holder": {"get": "/thing?api_key=s3cr3t", "pick": "x"}}, "looks like a secret"),
    ({"holder": {**CALL, "headers": {"Authorization": "Bearer s3cr3t"}}}, "looks like a secret"),
    ({"holder": {**CALL, "headers": {"X-Auth-Token": "s3cr3t"}}}, "looks like a secret"),
    ({"acquire": [{"post": "/x", "json": {"deep": [{"password": "s3cr3t"}]}}]}, "looks like a secret"),
    ({"acquire": [{"post": "/x", "form": {"client_secret": "s3cr3t"}}]}, "looks like a secret"),
    ({"auth": {"bearer": "s3cr3t"}}, "write file:/path, env:NAME or credential:NAME"),
    ({"auth": {"bearer": {"token": "s3cr3t"}}}, "write file:/path, env:NAME, credential:NAME, or an exchange"),
    ({"auth": {"bearer": "file:relative/s3cr3t"}}, "no absolute path of a file"),
    ({"auth": {"bearer": "env:not a name"}}, "no name of a variable"),
    ({"auth": {"bearer": "credential:../s3cr3t"}}, "no name of a credential"),
    ({"auth": {"basic": {"user": "me", "password": "s3cr3t"}}}, "write file:/path"),
    ({"auth": {}}, "write one of bearer, basic and header"),
    ({"auth": {"header": {"A": "env:A", "B": "env:B"}}}, "write one of bearer, basic and header"),
    ({"acquire": [{"post": "/{id}"}]}, "nobody saves {id}; add id to 'save' of a call before it"),
    ({"acquire": [{"post": "/x", "json": {"deep": [{"id": "{id|int}"}]}}]}, "nobody saves {id}"),
    ({"acquire": [{"post": "/x"}, {"get": "/{id}"}, {"get": "/y", "save": {"id": "id"}}]}, "nobody saves {id}"),
    ({"acquire": [{"post": "/x", "headers": {"X": "{id}"}}]}, "nobody saves {id}"),
    ({"acquire": [{"post": "/x", "headers": {"X": "{token}"}}]}, "nobody saves {token}"),
    ({"acquire": [{"post": "/x", "headers": {"If-Match": "{token}"}}]}, "{token}, which nobody saves"),
    ({"acquire": [{"post": "/x", "headers": {"If-Match": "{self}"}}]}, "something else than {token}"),
    ({"holder": {"get": "/{id}", "pick": "x"}}, "nobody saves {id}"),
    ({"self": {"get": "http://169.254.169.254/{self}"}}, "nobody saves {self}"),
    ({"holder": {**CALL, "save": {"self": "x"}}}, "'self' is no name to save under"),
    ({"acquire": [{"post": "/{Id}"}]}, "a brace in this text begins no name"),
    ({"acquire": [{"post": "/{self"}]}, "a brace in this text begins no name"),
    ({"acquire": [{"post": "/{self|str}"}]}, "a brace in this text begins no name"),
    ({"acquire": [{"post": "/{42}"}]}, "write {42|int} for the number"),
    ({"acquire": []}, "acquire"),
    ({"acquire": [{"get": "/x"}]}, "nothing in 'acquire' changes anything"),
    ({"acquire": [{}]}, "exactly one verb"),
    ({"acquire": [{"post": "/x", "put": "/y"}]}, "exactly one verb"),
    ({"acquire": [{"post": "/x", "json": {}, "form": {}}]}, "'json' and 'form' are both given"),
    ({"holder": {**CALL, "json": {"a": "b"}}}, "a get sends nothing"),
    ({"acquire": [{"post": "/x", "until": {"status": "done"}}]}, "'until' would repeat a change"),
    ({"acquire": [{"post": "/x"}, {"post": "/y", "if_held": "true"}]}, "put those that make it free first"),
    ({"acquire": [{"post": "/x", "ok": "fine"}]}, "'fine' begins with no status of HTTP"),
    ({"holder": {"get": "/x", "pick": "a..b"}}, "'a..b' is no path into an answer"),
    ({"release_steps": [{"delete": "/x"}]}, "would take it from another node"),
    ({"release": "on_stop"}, "release 'on_stop' is nothing that is safe here"),
    ({"takeover": "compare"}, "takeover 'compare' is nothing that this API can do"),
]


@pytest.mark.parametrize(("more", "said"), MISTAKES)
def test_a_mistake_is_said_before_anything_runs(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        options(**more)
    text = str(caught.value)
    assert said in text
    assert "s3cr3t" not in text


@pytest.mark.parametrize("key", ["base", "holder", "acquire"])
def test_what_nothing_works_without_is_asked_for(key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        KINDS["http"].options.validate_python(without(key))


def test_a_node_is_known_by_self_or_by_nodes() -> None:
    with pytest.raises(ValidationError, match="write 'self' or 'nodes'"):
        KINDS["http"].options.validate_python(without("self"))
    assert KINDS["http"].names(options(nodes={"lb1": "1", "lb2": "2"})) == {"nodes": ("lb1", "lb2")}
    assert KINDS["http"].names(options(nodes="1")) == {"nodes": ("",)}


def test_a_mistake_in_the_file_has_its_place(tmp_path: Path) -> None:
    text = "http:\n  base: http://api.example\n  auth: {bearer: s3cr3t}\n  holder: {get: /x}\n  acquire: []"
    with pytest.raises(ConfigError) as caught:
        mover_of(text, tmp_path)
    said = str(caught.value)
    assert f"{tmp_path}/vrrpd.yaml:7:17: plain http to 'api.example'" in said
    assert "vrrpd.yaml:8:26: this does not name the place of a secret" in said
    assert "s3cr3t" not in said


def cloud_of(*answers: Response) -> Any:
    """A cloud that gives these answers, one after the other, and then the last one again."""
    left = list(answers)

    async def answer(_request: object) -> Response:
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


def api(**more: Any) -> tuple[dict[str, Any], HttpOptions]:
    """A declaration for loopback without credentials, and its options."""
    declaration = {**without("auth", "self"), "self": "address", **more}
    return declaration, KINDS["http"].options.validate_python(declaration)


HELD = Response(200, {"holder": "10.0.0.12"})


async def test_an_id_that_is_no_number_where_one_is_wanted_is_named() -> None:
    declaration, found = api(acquire=[{"post": "/x", "json": {"to": "{self|int}"}}])
    async with declared(cloud_of(HELD), declaration, found) as tried:
        await tried.mover.prepare()
        with pytest.raises(InvalidError, match=r"self is '10\.0\.0\.11', and a number is wanted; "):
            await tried.mover.acquire(None)


async def test_json_has_numbers_words_and_nothing() -> None:
    body = {"n": "{42|int}", "t": "42", "yes": "{true}", "no": "{false}", "none": "{null}", "mixed": "to {self}"}
    declaration, found = api(acquire=[{"post": "/x", "json": body}])
    async with declared(cloud_of(HELD), declaration, found) as tried:
        await tried.mover.prepare()
        await tried.mover.acquire(None)
        sent = {"n": 42, "t": "42", "yes": True, "no": False, "none": None, "mixed": "to 10.0.0.11"}
        assert tried.server.asked[-1].json == sent


async def test_what_is_filled_into_a_url_stays_in_its_place() -> None:
    declaration, found = api(
        holder={"get": "/thing", "pick": "holder", "save": {"id": "id"}}, acquire=[{"post": "/x/{id}/move?to={self}"}]
    )
    async with declared(cloud_of(Response(200, {"holder": "x", "id": "../a?b#c"})), declaration, found) as tried:
        await tried.mover.prepare()
        await tried.mover.acquire(None)
        assert tried.server.asked[-1].target == "/v1/x/..%2Fa%3Fb%23c/move?to=10.0.0.11"


async def test_a_change_before_anything_was_asked_says_that_it_is_too_early() -> None:
    declaration, found = api(
        holder={"get": "/thing", "pick": "holder", "save": {"id": "id"}}, acquire=[{"post": "/x/{id}"}]
    )
    async with declared(cloud_of(HELD), declaration, found) as tried:
        with pytest.raises(UnavailableError, match="not known yet"):
            await tried.mover.acquire(None)
        assert tried.asked == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Response(200, "<html>"), "nobody"),
        (Response(200, "[" * 100_000), "nobody"),
        (Response(200, {"holder": {"id": 1}}), "no single value"),
        (Response(200, {"holder": ["a"]}), "no single value"),
        (Response(200, {"holder": True}), "no single value"),
    ],
)
async def test_an_answer_that_names_no_holder_is_no_holder(answer: Response, said: str) -> None:
    declaration, found = api()
    async with declared(cloud_of(answer), declaration, found) as tried:
        if said == "nobody":
            assert (await tried.mover.holder()).who is Who.NOBODY
        else:
            with pytest.raises(UnavailableError, match=said):
                await tried.mover.holder()


async def test_an_address_is_the_same_in_every_spelling() -> None:
    declaration, found = api(nodes={"lb1": "fd00::1", "lb2": "fd00::2"})
    async with declared(cloud_of(Response(200, {"holder": "FD00:0::2"})), declaration, found) as tried:
        assert (await tried.mover.holder()).peer == "lb2"


async def test_what_was_to_be_saved_and_is_not_there_is_named() -> None:
    declaration, found = api(acquire=[{"post": "/x", "save": {"id": "action.id"}}, {"get": "/{id}"}])
    async with declared(cloud_of(HELD), declaration, found) as tried:
        await tried.mover.prepare()
        with pytest.raises(UnavailableError, match=r"nothing at 'action\.id'; correct 'save'"):
            await tried.mover.acquire(None)


async def test_a_header_can_be_picked_and_the_whole_text_too() -> None:
    declaration, found = api(
        acquire=[{"post": "/x", "save": {"where": "header.Location", "all": "."}}, {"put": "/{where}/{all}"}]
    )
    async with declared(cloud_of(HELD, Response(200, " a1\n", {"Location": "L7"})), declaration, found) as tried:
        await tried.mover.prepare()
        await tried.mover.acquire(None)
        assert tried.asked[-1] == "PUT /v1/L7/a1"


async def test_a_call_has_its_own_time_limit() -> None:
    async def hang(request: Any) -> Response:
        if request.method == "POST":
            await trio.sleep_forever()
        return HELD

    declaration, _ = api()
    found = KINDS["http"].options.validate_python({**declaration, "call_timeout": "100ms"})
    async with declared(hang, declaration, found) as tried:
        await tried.mover.prepare()
        with pytest.raises(OutcomeUnknownError, match=r"did not answer within 0\.1 s"):
            await tried.mover.acquire(None)


async def test_a_question_that_hangs_changed_nothing() -> None:
    async def hang(_request: object) -> Response:
        await trio.sleep_forever()
        raise AssertionError

    declaration, _ = api()
    found = KINDS["http"].options.validate_python({**declaration, "call_timeout": "100ms"})
    async with declared(hang, declaration, found) as tried:
        with pytest.raises(UnavailableError, match="did not answer within"):
            await tried.mover.prepare()


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("7", 7),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("", None),
    ],
)
async def test_retry_after_is_a_number_or_a_date(given: str, seconds: float | None) -> None:
    answer = Response(429, "", {"Retry-After": given, "Date": "Sat, 21 Nov 2026 12:00:00 GMT"})
    declaration, found = api()
    async with declared(cloud_of(answer), declaration, found) as tried:
        with pytest.raises(ThrottledError) as caught:
            await tried.mover.holder()
        assert caught.value.retry_after == seconds


async def test_what_a_service_says_is_said_on_one_line_and_without_the_secret(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t")
    declaration, found = api(auth={"bearer": f"file:{secret}"})
    answer = Response(404, {"error": {"message": "no\nthing for s3cr3t \x1b[31m" + "x" * 500}})
    async with declared(cloud_of(answer), declaration, found) as tried:
        with pytest.raises(InvalidError) as caught:
            await tried.mover.prepare()
    text = str(caught.value)
    assert "no thing for ***" in text
    assert "s3cr3t" not in text
    assert text.isprintable()
    assert len(text) < 350


async def test_the_secret_goes_to_the_service_alone(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t")
    async with declared(cloud_of(Response(200)), *api()) as elsewhere:
        told = {"post": f"http://127.0.0.1:{elsewhere.server.port}/told"}
        declaration, found = api(auth={"bearer": f"file:{secret}"}, acquire=[{"post": "/x"}, told])
        async with declared(cloud_of(HELD), declaration, found) as tried:
            await tried.mover.prepare()
            await tried.mover.acquire(None)
            assert all(request.headers["authorization"] == "Bearer s3cr3t" for request in tried.server.asked)
            assert elsewhere.asked == ["POST /told"]
            assert "authorization" not in elsewhere.server.asked[0].headers


async def test_without_credentials_a_401_asks_for_some() -> None:
    declaration, found = api()
    async with declared(cloud_of(Response(401)), declaration, found) as tried:
        with pytest.raises(UnauthenticatedError, match="say under 'auth' how the service knows this node"):
            await tried.mover.prepare()


async def test_an_exchange_without_a_token_is_named() -> None:
    exchange = {"get": "http://169.254.169.254/token", "pick": "access_token"}
    declaration, found = api(auth={"bearer": {"exchange": exchange}})
    async with declared(cloud_of(Response(200, {})), declaration, found) as tried:
        with pytest.raises(UnauthenticatedError, match="holds no token at 'access_token'; correct 'pick'"):
            await tried.mover.prepare()


async def test_a_node_without_an_id_or_an_address_says_so() -> None:
    declaration, found = api(self={"get": "http://169.254.169.254/id", "pick": "id"})
    async with declared(cloud_of(Response(200, {"id": None})), declaration, found) as tried:
        with pytest.raises(UnavailableError, match="no id of this node at 'id'; correct 'self'"):
            await tried.mover.prepare()


async def test_a_late_conflict_of_a_move_in_several_steps_forgets_what_was_known() -> None:
    steps = [{"post": "/detach", "if_held": "true"}, {"post": "/attach"}]
    declaration, found = api(acquire=steps)
    free = Response(200, {"holder": None})
    async with declared(cloud_of(free, Response(400, {"message": "taken"}), HELD), declaration, found) as tried:
        await tried.mover.prepare()
        with pytest.raises(ConflictError, match="another node may have been faster"):
            await tried.mover.acquire(None)
        await tried.mover.acquire(None)
        assert tried.asked[1:] == ["POST /v1/attach", "GET /v1/thing", "POST /v1/detach", "POST /v1/attach"]


def test_it_says_what_it_moves_and_what_the_launcher_opens() -> None:
    found = options()
    assert KINDS["http"].things(found) == ("what https://api.example/v1 calls /thing",)
    assert KINDS["http"].errands(found) == [{"open": "/secret"}]
    assert options() == options()
    assert found.timeout == 30 * SECOND


def test_options_describe_themselves_to_editors() -> None:
    schema = KINDS["http"].options.json_schema()
    assert {"base", "auth", "self", "holder", "acquire"} <= set(schema["properties"])


async def test_of_a_token_that_is_replaced_again_and_again_the_latest_are_kept_from_errors() -> None:
    service = Service("http://127.0.0.1", None, call_timeout=SECOND, connect_timeout=SECOND, look=lambda: None)
    service.hide("secret", "t0p")
    for number in range(1000, 2000):
        service.hide("token", f"k3y-{number}")
    said = service.said(Answer(400, {}, b'{"message": "t0p k3y-1000 k3y-1998 k3y-1999"}'))
    assert said == ": *** k3y-1000 *** ***"
