"""Scenarios: a question, a lab, steps, and what has to come out, all of it data.

    question: What if the cable of the serving node is pulled?
    settings: {nodes: 3, interval: 1s}
    steps:
      - settle: n1
      - wait: 500ms
      - {fault: cable-pulled, node: n1, mark: pulled}
      - settle: n2
      - wait: 1s
    expect:
      - outage: {after: pulled, under: active_down_interval + 20ms}

`- {repeat: 8, steps: [...]}` does steps again and again. An expectation with `network: 2` is about the address on the
second network. A file may say `extends: NAME`: it takes over what it does not give itself, its settings are laid over
those of the other, and its expectations are added. Mistakes in a file or a `--set` are told all at once, by their place
in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, cast

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from netns_lab.errors import CannotRunError
from netns_lab.expressions import MS, NAMES, evaluate
from netns_lab.faults.clock import ClockJumped
from netns_lab.faults.registry import CLOUD_FAULTS, FAULTS
from netns_lab.judges.registry import CLOUD_JUDGES, JUDGES
from netns_lab.service import Service
from netns_lab.settings import STRICT, Duration, Settings
from netns_lab.topology import CLOUD

_HERE = Path(__file__).parent


class Step(BaseModel):
    """One step; exactly one of `settle`, `points`, `advert`, `wait`, `fault`, `heal` and `repeat`.

    Attributes:
        settle: wait until this node alone holds the address.
        points: wait until the elastic address points to this node.
        advert: wait for the next advertisement of this node; what happens right after it is noticed last.
        wait: let time pass; `pause`: as long as the setting of that name says.
        fault: a kind of fault that is done to `node`.
        heal: a kind of fault that is undone.
        repeat: how often `steps` are done.
        steps: what is repeated.
        node: the host that a fault is about.
        mark: what expectations call this moment, at the beginning of the step.
        within: how long `settle`, `points` and `advert` may take.
    """

    model_config = STRICT

    settle: str | None = None
    points: str | None = None
    advert: str | None = None
    wait: Duration | Literal["pause"] | None = Field(default=None, union_mode="left_to_right")
    fault: str | None = None
    heal: str | None = None
    repeat: int | None = Field(default=None, ge=1)
    steps: tuple[Step, ...] = ()
    node: str | None = None
    mark: str | None = None
    within: Duration = 20_000 * MS

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        kinds = (self.settle, self.points, self.advert, self.wait, self.fault, self.heal, self.repeat)
        if sum(what is not None for what in kinds) != 1:
            raise ValueError("a step is exactly one of settle, points, advert, wait, fault, heal, repeat")
        if bool(self.repeat) != bool(self.steps) or any(step.mark for step in self.steps):
            raise ValueError("repeat goes with steps, which have no marks")
        kind = self.fault or self.heal
        if kind and kind not in FAULTS:
            raise ValueError(f"no fault is called {kind!r}; there are {', '.join(FAULTS)}")
        if kind and not self.node:
            raise ValueError(f"{kind} needs a node")
        return self

    def everything(self) -> Iterator[Step]:
        """This step and those that it repeats."""
        yield self
        for step in self.steps:
            yield from step.everything()


class Expectation(BaseModel):
    """One expectation, written `JUDGE: {options}`.

    Attributes:
        judge: a name of `judges.registry.JUDGES`.
        options: what it is told.
    """

    model_config = STRICT

    judge: str
    options: Mapping[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _written(cls, value: object) -> object:
        """Take the one key of the mapping as the judge."""
        if not isinstance(value, Mapping) or len(cast("Mapping[str, Any]", value)) != 1:
            raise ValueError("an expectation is one name with its options")
        ((judge, options),) = cast("Mapping[str, Any]", value).items()
        if judge not in JUDGES:
            raise ValueError(f"no judge is called {judge!r}; there are {', '.join(JUDGES)}")
        options = cast("Mapping[str, Any]", options or {})
        if "under" in options:
            evaluate(str(options["under"]), dict.fromkeys(NAMES, 0.0))
        return {"judge": judge, "options": options}


class Scenario(BaseModel):
    """A scenario.

    Attributes:
        name: the name of its file.
        question: what it answers.
        settings: see `Settings`.
        steps: what is done, in order.
        expect: what has to come out.
    """

    model_config = STRICT

    name: str
    question: str
    settings: Settings = Settings()
    steps: tuple[Step, ...]
    expect: tuple[Expectation, ...]

    @model_validator(mode="after")
    def _marks_and_nodes(self) -> Self:
        marks = {step.mark for step in self.steps if step.mark}
        for expectation in self.expect:
            after = expectation.options.get("after")
            if after is not None and after not in marks:
                raise ValueError(f"{expectation.judge} is about {after!r}, which no step is marked with")
            if expectation.judge in {"failed_requests", "lost_connections"} and self.settings.probe == "icmp":
                raise ValueError(f"{expectation.judge} counts requests; set probe to http or http-kept")
            if "network" in expectation.options and not self.settings.group:
                raise ValueError(f"{expectation.judge} is about the second network; set group to true")
        if not self.settings.clocks and ClockJumped.kind in self.faults():
            raise ValueError(f"{ClockJumped.kind} is about the nodes' clocks; set clocks to true")
        if not self.settings.cloud and self._about_cloud():
            raise ValueError("points, remaps and faults of the cloud are about an elastic address; set cloud to ec2")
        known = self.settings.names() + self.settings.web_names() + ((CLOUD,) if self.settings.cloud else ())
        for name in self._named():
            if name not in known:
                raise ValueError(f"there is no node {name!r}; there are {', '.join(known)}")
        return self

    def faults(self) -> set[str]:
        """The kinds of faults that are done."""
        return {step.fault for first in self.steps for step in first.everything() if step.fault}

    def _about_cloud(self) -> bool:
        """Whether anything in it needs a cloud."""
        steps = [step for first in self.steps for step in first.everything()]
        judges = {expectation.judge for expectation in self.expect}
        return any(step.points for step in steps) or bool(judges & CLOUD_JUDGES) or bool(self.faults() & CLOUD_FAULTS)

    def _named(self) -> Iterator[str]:
        yield from self.settings.access_switches
        if self.settings.wrong_key:
            yield self.settings.wrong_key
        for first in self.steps:
            for step in first.everything():
                if name := step.settle or step.points or step.advert or step.node:
                    yield name
        for expectation in self.expect:
            if name := expectation.options.get("node"):
                yield name

    @cached_property
    def service(self) -> Service:
        """What is asked of the agents."""
        return self.settings.service()


def directory() -> Path:
    """Where the scenarios lie: beside the package in the repository, inside it once installed."""
    inside = _HERE / "scenarios"
    return inside if inside.is_dir() else _HERE.parent / "scenarios"


def available() -> list[str]:
    """The names of the scenarios that come with the lab."""
    return sorted(path.stem for path in directory().glob("*.yaml"))


def load(name: str, changes: Mapping[str, str] | None = None) -> Scenario:
    """Load a scenario.

    Args:
        name: one of `available`, or the path of a file.
        changes: settings to lay over those of the file.

    Raises:
        CannotRunError: no such scenario, or mistakes in it; all of them in the text.
    """
    path = _find(name)
    data = _read(path)
    data["settings"] = {**data.get("settings", {}), **(changes or {})}
    try:
        return Scenario.model_validate({"name": path.stem, **data})
    except ValidationError as failure:
        mistakes = [f"{path.name}: {_place(error['loc'])}{_plain(error['msg'])}" for error in failure.errors()]
        raise CannotRunError("\n".join(mistakes)) from None


def settings_of(changes: Mapping[str, str]) -> Settings:
    """The default settings with changes.

    Raises:
        CannotRunError: mistakes in them; all of them in the text.
    """
    try:
        return Settings.model_validate(changes)
    except ValidationError as failure:
        mistakes = [f"{_place(error['loc'])}{_plain(error['msg'])}" for error in failure.errors()]
        raise CannotRunError("\n".join(mistakes)) from None


def _find(name: str) -> Path:
    if name in available():
        return directory() / f"{name}.yaml"
    path = Path(name)
    if not path.is_file():
        raise CannotRunError(f"no scenario or file is called {name!r}; netns-lab list shows the scenarios")
    return path


def _read(path: Path) -> dict[str, Any]:
    """The data of a file, laid over those of the file that it extends."""
    try:
        data = cast("object", yaml.safe_load(path.read_text()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as failure:
        raise CannotRunError(f"{path}: {failure}") from None
    if not isinstance(data, dict):
        raise CannotRunError(f"{path}: a scenario is a mapping")
    own = cast("dict[str, Any]", data)
    if "extends" not in own:
        return own
    base = _read(_find(str(own.pop("extends"))))
    settings = {**base.get("settings", {}), **own.pop("settings", {})}
    expect = [*base.get("expect", []), *own.pop("expect", [])]
    return {**base, **own, "settings": settings, "expect": expect}


def _place(location: tuple[int | str, ...]) -> str:
    return f"{'.'.join(str(part) for part in location)}: " if location else ""


def _plain(message: str) -> str:
    """A mistake in plain words, without the validator's."""
    if message == "Extra inputs are not permitted":
        return "unknown key"
    return message.removeprefix("Value error, ")
