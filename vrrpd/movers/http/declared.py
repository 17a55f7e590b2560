"""The vocabulary of a declared API, and what of it is a mistake before anything runs.

    base, ca             where the service is, and whom to trust
    auth                 bearer | basic | header, from a file, the environment, a credential, or an exchange
    self | nodes         which of the service's ids this node is
    holder               the question who has it: a call, and the path to the holder's id
    acquire              the calls that bring it here, one after the other
    release_steps        the calls that give it up, on condition that it is still ours

A call has one verb with a URL, and may have `json` or `form`, `headers`, `ok` (refusals that are none) and `save` (what
of the answer later calls need). A step of `acquire` may have `until` and `fail` (asked again `every` so often), and
`if_held` (left out while nobody holds the thing) or `if_refused` (taken only where the service wants it freed first).

Refused: a name that nobody saves, a secret in the file, a plain http URL to another machine, a change on condition
(takeover `compare`, `release`) that sends no condition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Final, Self, TypeAlias, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from vrrpd.config import scalars
from vrrpd.config.scalars import Scalar, Shorthand
from vrrpd.config.words import plain_error, quote
from vrrpd.movers.base import HOUR, MINUTE, CommonOptions
from vrrpd.movers.http.templates import NAME, Template, compiled, leaves, template
from vrrpd.movers.secrets import ORIGINS, Place, SecretPlace
from vrrpd.movers.web import is_near
from vrrpd.proto.timers import MS, SECOND

CONDITION: Final = "if-match"
"""The header that makes a change conditional: RFC 9110 13.1.1."""
TOKEN: Final = "token"  # noqa: S105 - a name
"""What `holder` saves under this name is what a conditional change names."""

_SECRETIVE: Final = re.compile("auth|token|secret|passw|key|cookie|credential", re.IGNORECASE)
_URL: Final = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#{}\s]+)(?P<rest>[/?][^#\s]*)?")
_QUERY: Final = re.compile(r"[?&]([^=&]+)=([^&]*)")
_ANYTHING: Final = "*"
_TEXT: Final = {"type": "string"}


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, protected_namespaces=())


@dataclass(frozen=True, slots=True)
class Excuse:
    """A refusal that is as good as success.

    Attributes:
        status: of HTTP.
        word: must occur in the answer; "" for any answer.
    """

    status: int
    word: str


def _excuse() -> Scalar:
    def read(text: str) -> Excuse:
        status, _, word = text.partition(" ")
        if not re.fullmatch("[1-5][0-9]{2}", status):
            raise plain_error(f"{quote(text)} begins with no status of HTTP", "write 404, or '409 WORD_OF_THE_ANSWER'")
        return Excuse(int(status), word.strip())

    return Scalar(read, "404", {"anyOf": [{"type": "integer", "minimum": 100, "maximum": 599}, _TEXT]})


def _path() -> Scalar:
    def read(text: str) -> str:
        if text != "." and not re.fullmatch(r"[^\s.]+(\.[^\s.]+)*", text):
            raise plain_error(
                f"{quote(text)} is no path into an answer", "write one such as action.id, header.etag or ."
            )
        return text

    return Scalar(read, "action.id", _TEXT)


def _saved_name() -> Scalar:
    def read(text: str) -> str:
        if not re.fullmatch(NAME, text) or text == "self":
            raise plain_error(f"{quote(text)} is no name to save under", "write lower-case letters, digits and '_'")
        return text

    return Scalar(read, "action", _TEXT)


def _safe(url: str) -> str:
    """Refuse a URL that would show a secret, by standing in the file or by going over a network in the clear."""
    found = _URL.fullmatch(url)
    if found is None:
        raise plain_error("this is no http URL", "write for example https://api.example/v1")
    if "@" in found["authority"]:
        raise plain_error("a user or a password in a URL has no place in this file", "write it under 'auth'")
    if found["scheme"] == "http" and not is_near(f"http://{found['authority']}"):
        host = quote(urlsplit(url).netloc)
        raise plain_error(f"plain http to {host} would show the secret to the network", "write https://")
    for key, value in _QUERY.findall(found["rest"] or ""):
        _no_secret(key, template(value))
    return url


def _no_secret(key: str, value: Template) -> None:
    """Refuse what looks like a secret: the key says so, and the value is neither a name nor a number."""
    if _SECRETIVE.search(key) and not value.names and value.text and not value.text.isdecimal():
        raise plain_error(
            f"what stands under {quote(key)} looks like a secret", "write it to a file, and name that under 'auth'"
        )


def _base(value: object) -> str:
    url = value if isinstance(value, str) else ""
    return _safe(url).rstrip("/")


def _target(value: object) -> Template:
    target = template(value)
    if not target.text.startswith("/"):
        _safe(target.text)
    else:
        for key, given in _QUERY.findall(target.text):
            _no_secret(key, template(given))
    return target


def _no_secrets(values: dict[str, Template]) -> dict[str, Template]:
    for key, value in values.items():
        _no_secret(key, value)
    return values


def _body(value: object) -> Any:
    body = compiled(value)
    for key, leaf in leaves(body):
        _no_secret(key, leaf)
    return body


_URL_SCHEMA: Final = WithJsonSchema({"type": "string", "pattern": "^(https?:/)?/"})
Target: TypeAlias = Annotated[Template, BeforeValidator(_target), _URL_SCHEMA]
Texts: TypeAlias = Annotated[dict[str, Template], AfterValidator(_no_secrets)]
Pick: TypeAlias = Annotated[str, _path()]
SavedName: TypeAlias = Annotated[str, _saved_name()]


class Call(_Keys):
    """One request."""

    get: Target | None = Field(default=None, description="URL, or path behind `base`")
    post: Target | None = Field(default=None, description="likewise")
    put: Target | None = Field(default=None, description="likewise")
    patch: Target | None = Field(default=None, description="likewise")
    delete: Target | None = Field(default=None, description="likewise")
    json_: Annotated[Any, BeforeValidator(_body), WithJsonSchema({})] = Field(
        default=None, alias="json", description="what is sent, as JSON (default: nothing)"
    )
    form: Texts | None = Field(default=None, description="what is sent, as a form (default: nothing)")
    headers: Texts = Field(default={}, description="headers beside that of `auth` (default: none)")
    ok: Annotated[
        tuple[Annotated[Excuse, _excuse()], ...], Shorthand(lambda v: [v] if isinstance(v, str) else v, _TEXT)
    ] = Field(default=(), description="refusals that are none: 404, or '409 WORD' (default: none)")
    save: dict[SavedName, Pick] = Field(
        default={}, description="name -> path into the answer, for later calls (default: nothing)"
    )

    @cached_property
    def verb(self) -> tuple[str, Template]:
        """The method, and the URL or path."""
        return next(self._verbs())

    @property
    def changes(self) -> bool:
        """Whether it changes something at the service."""
        return self.verb[0] != "GET"

    @property
    def needs(self) -> frozenset[str]:
        """The names that must stand for something before it can be made."""
        body = [leaf for _, leaf in leaves(self.json_)] if self.json_ is not None else []
        headers = [value for name, value in self.headers.items() if name.lower() != CONDITION]
        texts = [self.verb[1], *body, *(self.form or {}).values(), *headers]
        return frozenset(name for text in texts for name in text.names)

    @property
    def condition(self) -> Template | None:
        """What makes it conditional."""
        return next((value for name, value in self.headers.items() if name.lower() == CONDITION), None)

    def _verbs(self) -> Iterator[tuple[str, Template]]:
        verbs = {"GET": self.get, "POST": self.post, "PUT": self.put, "PATCH": self.patch, "DELETE": self.delete}
        return ((verb, target) for verb, target in verbs.items() if target is not None)

    @model_validator(mode="after")
    def _one_request(self) -> Self:
        if len(list(self._verbs())) != 1:
            raise plain_error("a call has exactly one verb", "write one of get, post, put, patch and delete")
        if self.json_ is not None and self.form is not None:
            raise plain_error("'json' and 'form' are both given", "write one of them")
        if self.get is not None and (self.json_ is not None or self.form is not None):
            raise plain_error("a get sends nothing", "remove 'json' and 'form'")
        if self.condition is not None and self.condition.names != frozenset({TOKEN}):
            raise plain_error("If-Match names something else than {token}", "write {token}, and have 'holder' save it")
        return self


class Question(Call):
    """A request for one value."""

    pick: Pick = Field(default=".", description="path to the value in the answer (default: the whole text)")


class Asked(Question):
    """The question who holds the thing."""

    every: Annotated[
        int,
        scalars.duration(SECOND, HOUR, off=True),
        Field(description="the service is asked no more often, and the last answer holds (default off)"),
    ] = 0


class Step(Call):
    """One step on the way."""

    if_held: Annotated[
        bool, scalars.switch(), Field(description="left out while nobody holds the thing (default false)")
    ] = False
    if_refused: Annotated[
        bool,
        scalars.switch(),
        Field(description="taken only after a refusal because another has it: floating_ip_assigned (default false)"),
    ] = False
    apart: Annotated[
        int,
        scalars.duration(SECOND, HOUR, off=True),
        Field(description="how long after a failure this is not sent again (default off)"),
    ] = 0
    until: dict[Pick, Template] = Field(
        default={}, description="path -> value that ends the waiting; the call is repeated until then (default: none)"
    )
    fail: dict[Pick, Template] = Field(
        default={}, description="path -> value that means failure, `*` for any (default: none)"
    )
    every: Annotated[
        int, scalars.duration(50 * MS, MINUTE), Field(description="time between two looks at `until` (default 500ms)")
    ] = 500 * MS

    @model_validator(mode="after")
    def _only_looks_are_repeated(self) -> Self:
        if self.until and self.changes:
            raise plain_error("'until' would repeat a change", "put it into a get of its own")
        return self


class Exchange(Question):
    """A request whose answer is a token that lives for some time."""

    secret: SecretPlace | None = Field(
        default=None, description="place of a secret that is sent as {secret} (default: none)"
    )
    every: Annotated[
        int,
        scalars.duration(10 * SECOND, HOUR),
        Field(description="how long a token is used before the next is fetched (default 4m)"),
    ] = 4 * MINUTE


def _source(value: object) -> object:
    """Bring the spellings of a source into one; whatever else it is, it may be a secret."""
    if isinstance(value, str):
        return {"place": value}
    if isinstance(value, dict) and len(cast("dict[str, object]", value)) == 1:
        [(origin, name)] = cast("dict[str, object]", value).items()
        if origin == "exchange":
            return {"exchange": name}
        if origin in ORIGINS and isinstance(name, str):
            return {"place": f"{origin}:{name}"}
    raise plain_error(
        "this does not say where the secret comes from", "write file:/path, env:NAME, credential:NAME, or an exchange"
    )


class _SourceKeys(_Keys):
    place: SecretPlace | None = None
    exchange: Exchange | None = None


Source: TypeAlias = Annotated[_SourceKeys, Shorthand(_source, _TEXT)]


class Basic(_Keys):
    """A user and a password: RFC 7617."""

    user: str = Field(min_length=1, description="name of the user")
    password: SecretPlace = Field(description="place of the password")


class Auth(_Keys):
    """How the service knows us."""

    bearer: Source | None = Field(default=None, description="the token of `Authorization: Bearer`")
    basic: Basic | None = Field(default=None, description="user and password of `Authorization: Basic`")
    header: dict[str, Source] | None = Field(default=None, description="name of a header -> its value")
    lockout: Annotated[
        int,
        scalars.duration(SECOND, HOUR, off=True),
        Field(description="how long to be silent once the service refuses us, since it locks accounts (default off)"),
    ] = 0

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [way for way in (self.bearer, self.basic, self.header) if way is not None]
        if len(given) != 1 or (self.header is not None and len(self.header) != 1):
            raise plain_error("'auth' has not exactly one way", "write one of bearer, basic and header")
        return self

    @property
    def source(self) -> _SourceKeys:
        """Where the secret comes from."""
        if self.basic is not None:
            return _SourceKeys.model_construct(place=self.basic.password)
        return self.bearer or next(iter((self.header or {}).values()))

    @property
    def place(self) -> Place | None:
        """The place of the secret; None where there is none to be read."""
        source = self.source
        return source.place if source.exchange is None else source.exchange.secret


def _own(value: object) -> object:
    if value == "address":
        return ()
    return [value] if isinstance(value, dict) else value  # pyright: ignore[reportUnknownVariableType] - of the file


def per_node(value: Any) -> Any:
    """One value for this node is a map with the key "" (`config.model.for_node`)."""
    return {"": value} if isinstance(value, str) else value


Questions: TypeAlias = Annotated[
    tuple[Question, ...], Shorthand(_own, {"anyOf": [{"const": "address"}, {"type": "object"}]})
]
NodeId: TypeAlias = Annotated[str, WithJsonSchema({"type": ["string", "integer"]})]


class Api(_Keys):
    """A declared API; see the top of this module."""

    base: Annotated[str, BeforeValidator(_base), _URL_SCHEMA] = Field(description="URL that paths are put behind")
    ca: str | None = Field(
        default=None, pattern="^/", description="file of the certificates to trust, in PEM form (default: the system's)"
    )
    auth: Auth | None = Field(default=None, description="how the service knows us (default: it need not)")
    self_: Questions | None = Field(
        default=None, alias="self", description="the question which of the service's ids this node is, or `address`"
    )
    nodes: Annotated[dict[str, NodeId], Shorthand(per_node, {"type": ["string", "integer"]})] = Field(
        default={}, description="node -> its id at the service, instead of `self` (default: asked)"
    )
    holder: Asked = Field(description="the question who holds it")
    acquire: tuple[Step, ...] = Field(min_length=1, description="the calls that bring it here")
    release_steps: tuple[Step, ...] = Field(
        default=(), description="the calls that give it up, on condition (default: none)"
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.self_ is None and not self.nodes:
            raise plain_error("nothing says which of the service's ids this node is", "write 'self' or 'nodes'")
        if len({*self.nodes.values()}) < len(self.nodes):
            raise plain_error("two of the 'nodes' have the same id", "each has its own")
        if not any(step.changes for step in self.acquire):
            raise plain_error("nothing in 'acquire' changes anything", "write a post, put, patch or delete")
        freeing = [step.if_held or step.if_refused for step in self.acquire]
        if freeing != sorted(freeing, reverse=True):
            raise plain_error("a step with 'if_held' comes behind one without", "put those that make it free first")
        self._names_are_saved()
        if self.release_steps and not conditional(self.release_steps):
            wrong = "'release_steps' would take it from another node that got it meanwhile"
            raise plain_error(wrong, "send {token} in If-Match, or leave them out")
        return self

    def _names_are_saved(self) -> None:
        exchange = self.auth.source.exchange if self.auth else None
        if exchange is not None:
            _follow([exchange], {"secret"} if exchange.secret else set())
        _follow(self.self_ or (), set())
        known = _follow([self.holder], {"self"})
        for steps in (self.acquire, self.release_steps):
            _follow(steps, known - {TOKEN})
            if any(step.condition for step in steps) and TOKEN not in known:
                raise plain_error("If-Match sends {token}, which nobody saves", "add it to 'save' of 'holder'")


def _follow(calls: Iterable[Call], known: set[str]) -> set[str]:
    """The names that are known after some calls; each call may use those before it."""
    known = set(known)
    for call in calls:
        unknown = sorted(call.needs - known)
        if unknown:
            raise plain_error(f"nobody saves {{{unknown[0]}}}", f"add {unknown[0]} to 'save' of a call before it")
        known |= set(call.save)
    return known


def conditional(steps: Iterable[Step]) -> bool:
    """Whether the first change in these steps happens only if nothing has changed since it was seen."""
    first = next((step for step in steps if step.changes), None)
    return first is not None and first.condition is not None


class HttpCommon(CommonOptions):
    """Options of everything that speaks to a declared API."""

    timeout: Annotated[
        int, scalars.duration(100 * MS, 10 * MINUTE), Field(description="how long one attempt may take (default 30s)")
    ] = 30 * SECOND
    call_timeout: Annotated[
        int, scalars.duration(100 * MS, 10 * MINUTE), Field(description="how long one call of it may take (default 4s)")
    ] = 4 * SECOND


class HttpOptions(HttpCommon, Api):
    """Options of an `http` mover: a declaration in full."""

    @model_validator(mode="after")
    def _can_do_it(self) -> Self:
        check_conditions(self, self)
        return self


def check_conditions(options: CommonOptions, api: Api) -> None:
    """Refuse a change on condition where the API has no conditions.

    Raises:
        PydanticCustomError: what is wrong, and what would mend it.
    """
    if options.takeover == "compare" and not conditional(api.acquire):
        raise plain_error("takeover 'compare' is nothing that this API can do", "write steal, or leave it out")
    if options.release == "on_stop" and not api.release_steps:
        wrong = "this API cannot give it up on condition, and another node may hold it by then"
        raise plain_error(f"release 'on_stop' is nothing that is safe here: {wrong}", "leave it out")
