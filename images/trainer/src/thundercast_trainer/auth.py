"""Who may push: the OIDC token that Pub/Sub sends with each message, checked by google-auth."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol

import google.auth.transport.requests
from google.auth import exceptions, jwt, transport

from thundercast.stage.protocols import Unavailable

ISSUERS: Final = ("https://accounts.google.com", "accounts.google.com")
CERTIFICATES: Final = "https://www.googleapis.com/oauth2/v1/certs"
_LARGEST: Final = 8192  # characters; Google's tokens have about a thousand
_SKEW: Final = 10  # s
_FETCHES_WITHIN: Final = 10.0  # s

Certificates = Callable[[], Mapping[str, str]]
"""PEM certificates or public keys by key id. Raises `Unavailable` if they cannot be had now."""


class Refused(Exception):
    """The caller may not push.

    Args:
        status: 401 if who calls is not known, 403 if it is somebody else.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Verifier(Protocol):
    """Decides by the request's header ``Authorization``."""

    def verify(self, authorization: str | None) -> None:
        """Raises `Refused`, or `Unavailable` if it cannot be decided now. It may block."""
        ...


class Anyone:
    """No check at all. Only for where nobody else can reach the port: it has to be asked for."""

    def verify(self, authorization: str | None) -> None:
        pass


class OidcVerifier:
    """Lets in the tokens of some service accounts, for one audience, signed by Google.

    Args:
        audience: the token's ``aud``: as the push subscription has it, by default the URL that it pushes to.
        emails: the service accounts.
        certificates: public keys of who signs.
        issuers: who may have issued the token.

    Raises:
        ValueError: audience or service accounts are missing; without them any account's token would do.
    """

    def __init__(
        self, audience: str, emails: Collection[str], *, certificates: Certificates | None = None, issuers: Collection[str] = ISSUERS
    ) -> None:
        if not audience or not emails or not all(emails):
            raise ValueError(
                "push needs the audience and the service account's e-mail of its tokens: without them any token would be let in"
            )
        self._audience = audience
        self._emails = frozenset(emails)
        self._issuers = frozenset(issuers)
        self._certificates = certificates or GoogleCertificates()

    def verify(self, authorization: str | None) -> None:
        if authorization is None:
            raise Refused(HTTPStatus.UNAUTHORIZED, "the request has no token")
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > _LARGEST or not token.isascii():
            raise Refused(HTTPStatus.UNAUTHORIZED, "the header Authorization is not a bearer token")
        claims = self._claims(token)
        # A claim may be of any type: what is no text is nobody.
        issuer, email = (claim if isinstance(claim, str) else None for claim in (claims.get("iss"), claims.get("email")))
        if issuer not in self._issuers:
            raise Refused(HTTPStatus.UNAUTHORIZED, "the token is of another issuer")
        if claims.get("email_verified") is not True:
            raise Refused(HTTPStatus.FORBIDDEN, "the token's e-mail is not verified")
        if email not in self._emails:
            raise Refused(HTTPStatus.FORBIDDEN, "the token is of another account")

    def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            claims: Any = jwt.decode(token, certs=self._certificates(), audience=self._audience, clock_skew_in_seconds=_SKEW)
        except (exceptions.GoogleAuthError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            # What a forger may put into a token reaches google-auth as it is; the reason is for the log, without the token.
            raise Refused(HTTPStatus.UNAUTHORIZED, f"the token is not valid: {_reason(error)}") from error
        if not isinstance(claims, Mapping):
            raise Refused(HTTPStatus.UNAUTHORIZED, "the token is not valid: it has no claims")
        return claims


def _reason(error: Exception) -> str:
    """What google-auth says is wrong, as far as it does not repeat the token."""
    text = str(error.args[0]) if error.args else type(error).__name__
    for sign, reason in _REASONS.items():
        if sign in text:
            return reason
    return type(error).__name__


_REASONS: Final = {
    "expired": "it has expired", "too early": "it is of the future", "wrong audience": "it is for another audience",
    "signature algorithm": "its algorithm is not allowed", "key id": "its key is not known", "signature": "its signature is wrong",
    "segments": "it is no JWT", "required claim": "a claim is missing",
}  # fmt: skip


class GoogleCertificates:
    """The certificates at Google's address, fetched by google-auth's transport and kept for an hour, as long as Google keeps them at least.

    Args:
        request: google-auth's transport.
        url: where they are: JSON, key id to PEM.
        keep: seconds.
    """

    def __init__(
        self, request: transport.Request | None = None, *, url: str = CERTIFICATES, keep: float = 3600.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._request = request
        self._url = url
        self._keep = keep
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: Mapping[str, str] | None = None
        self._until = 0.0

    def __call__(self) -> Mapping[str, str]:
        with self._lock:
            if self._kept is None or self._monotonic() >= self._until:
                self._kept = self._fetch()
                self._until = self._monotonic() + self._keep
            return self._kept

    def _fetch(self) -> Mapping[str, str]:
        try:
            request = self._request or google.auth.transport.requests.Request()
            response = request(self._url, method="GET", timeout=_FETCHES_WITHIN)
            if response.status != HTTPStatus.OK:
                raise ValueError(f"status {response.status}")
            found = json.loads(response.data)
            if not isinstance(found, dict) or not found:
                raise ValueError("no certificates")
        except (exceptions.TransportError, ValueError) as error:
            raise Unavailable(
                f"the certificates of Google's tokens cannot be fetched from {self._url}: {error}; let this process reach that address"
            ) from error
        return found
