"""How the tests of the fake cloud ask it: as any client would, with a signature that nobody has checked."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree

import httpx2

from netns_lab.cloud.ec2 import FakeEc2


class Caller:
    """A client of the fake.

    Attributes:
        status: of the last answer.
        headers: of the last answer.
    """

    def __init__(self, url: str, key: str = "KEY-n1", region: str = "eu-west-1") -> None:
        self._url = url
        self._client = httpx2.AsyncClient(timeout=None)
        self._scope = f"{key}/20260101/{region}/ec2/aws4_request"
        self.status = 0
        self.headers: httpx2.Headers = httpx2.Headers()

    async def __aenter__(self) -> Caller:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def post(self, action: str, **said: str) -> str:
        """The body of an answer; dots in the names of parameters are written as two underscores."""
        form = {"Action": action, "Version": "2016-11-15", **{n.replace("__", "."): v for n, v in said.items()}}
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={self._scope}, SignedHeaders=host, Signature=0",
            "X-Amz-Date": f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}",
        }
        answer = await self._client.post(self._url, data=form, headers=headers)
        self.status, self.headers = answer.status_code, answer.headers
        return answer.text

    async def __call__(self, action: str, **said: str) -> str:
        """The code of a refusal, "" for a good answer."""
        found = ElementTree.fromstring(await self.post(action, **said)).find("Errors/Error/Code")
        return (found.text or "") if found is not None else ""

    async def holder(self) -> str | None:
        """The card that the elastic address points to, as a read shows it."""
        space = "{http://ec2.amazonaws.com/doc/2016-11-15/}"
        root = ElementTree.fromstring(await self.post("DescribeAddresses"))
        return root.findtext(f"{space}addressesSet/{space}item/{space}networkInterfaceId")


def caller(fake: FakeEc2, node: str = "n1") -> Caller:
    """A node's client of the API."""
    return Caller(fake.url, f"KEY-{node}")
