"""Who may push: the tokens of one service account for this audience, signed by a known key, and nobody else."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from google.auth import exceptions

from thundercast.stage.protocols import Unavailable
from thundercast_trainer.auth import CERTIFICATES, Anyone, GoogleCertificates, OidcVerifier, Refused
from unit.trainer.tokens import AUDIENCE, EMAIL, KEY_ID, bearer, certificates, claims, encoded, token

NOW = int(time.time())


def verifier(**settings: Any) -> OidcVerifier:
    return OidcVerifier(AUDIENCE, [EMAIL], certificates=certificates, **settings)


def by_shared_secret() -> str:
    """The classic forgery: the public key as the secret of a symmetric signature."""
    signed = f"{encoded({'alg': 'HS256', 'kid': KEY_ID})}.{encoded(claims())}"
    return f"Bearer {signed}.{encoded(hmac.new(certificates()[KEY_ID].encode(), signed.encode(), hashlib.sha256).digest())}"


def unsigned(algorithm: str) -> str:
    return f"Bearer {encoded({'alg': algorithm, 'kid': KEY_ID})}.{encoded(claims())}."


def tampered() -> str:
    header, _, signature = token().split(".")
    return f"Bearer {header}.{encoded(claims(email=EMAIL, sub='2'))}.{signature}"


def test_the_push_subscriptions_own_token_is_let_in() -> None:
    verifier().verify(bearer())
    verifier().verify(bearer(iss="accounts.google.com"))
    verifier().verify(bearer().replace("Bearer", "bearer"))
    verifier().verify(bearer(exp=int(time.time()) - 1))  # within the clocks' difference


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (None, "no token"), ("", "bearer"), ("Bearer", "bearer"), ("Bearer ", "bearer"), ("Basic dTpw", "bearer"), (token(), "bearer"),
        ("Bearer x", "no JWT"), ("Bearer a.b.c", "not valid"), ("Bearer ü.ü.ü", "bearer"), ("Bearer " + "x" * 10_000, "bearer"),
        ("Bearer " + ".".join(encoded(b"[" * 2000) for _ in range(3)), "not valid"), (f"Bearer {encoded([])}.{encoded([])}.{encoded([])}", "not valid"),
        (bearer(exp=NOW - 60), "expired"), (bearer(iat=NOW + 600), "future"), (bearer(exp=None), "claim"), (bearer(iat=None), "claim"),
        (bearer(exp="soon"), "not valid"), (bearer(aud="https://other.example/"), "audience"), (bearer(aud=None), "audience"), (bearer(aud=[AUDIENCE]), "audience"),
        (bearer(iss="https://evil.example"), "issuer"), (bearer(iss=None), "issuer"), (bearer(iss=["https://accounts.google.com"]), "issuer"),
        (bearer(signed_by="another-key"), "signature"), (tampered(), "signature"), (unsigned("RS256"), "signature"),
        (unsigned("none"), "algorithm"), (unsigned("None"), "algorithm"), (by_shared_secret(), "algorithm"),
        (bearer(header={"alg": "RS256", "kid": "unknown"}), "key"), (bearer(header={"alg": "ES256", "kid": KEY_ID}), "not valid"),
        (bearer(header={"kid": KEY_ID}), "algorithm"),
    ],
)  # fmt: skip
def test_who_cannot_prove_who_it_is_gets_a_401(header: str | None, why: str) -> None:
    with pytest.raises(Refused, match=why) as refused:
        verifier().verify(header)
    assert refused.value.status == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "other@demo-project.iam.gserviceaccount.com"},
        {"email": None},
        {"email": [EMAIL]},
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "true"},
    ],
)
def test_another_account_gets_a_403(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        verifier().verify(bearer(**changes))
    assert refused.value.status == 403


def test_why_a_token_was_refused_never_repeats_it() -> None:
    for header in (bearer(exp=NOW - 60), tampered(), bearer(aud="https://secret.example"), "Bearer secret-secret"):
        with pytest.raises(Refused) as refused:
            verifier().verify(header)
        for part in header.removeprefix("Bearer ").split("."):
            assert part not in str(refused.value)
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize(("audience", "emails"), [("", [EMAIL]), (AUDIENCE, []), (AUDIENCE, [""])])
def test_a_check_that_would_let_any_token_in_is_not_made(audience: str, emails: list[str]) -> None:
    with pytest.raises(ValueError, match="any token"):
        OidcVerifier(audience, emails, certificates=certificates)


def test_the_open_door_has_to_be_asked_for_and_lets_everybody_in() -> None:
    Anyone().verify(None)


class Address:
    """google-auth's transport with one answer."""

    def __init__(self, status: int = 200, data: bytes | None = None, error: Exception | None = None) -> None:
        self.status = status
        self.data = json.dumps(certificates()).encode() if data is None else data
        self.error = error
        self.asked: list[str] = []

    def __call__(self, url: str, method: str = "GET", **_: Any) -> Any:
        self.asked.append(f"{method} {url}")
        if self.error is not None:
            raise self.error
        return SimpleNamespace(status=self.status, data=self.data)


def test_certificates_are_fetched_from_googles_address_and_kept_for_a_while() -> None:
    now, address = [0.0], Address()
    kept = GoogleCertificates(address, keep=3600.0, monotonic=lambda: now[0])
    checks = OidcVerifier(AUDIENCE, [EMAIL], certificates=kept)
    for _ in range(3):
        checks.verify(bearer())
    assert address.asked == [f"GET {CERTIFICATES}"]
    now[0] = 3601.0
    checks.verify(bearer())
    assert len(address.asked) == 2


@pytest.mark.parametrize(
    "address",
    [Address(503), Address(data=b"<html>"), Address(data=b"[]"), Address(data=b"{}"), Address(error=exceptions.TransportError("no route"))],
)
def test_certificates_that_cannot_be_had_are_a_dependency_that_is_away_not_a_refusal(address: Address) -> None:
    with pytest.raises(Unavailable, match=CERTIFICATES):
        OidcVerifier(AUDIENCE, [EMAIL], certificates=GoogleCertificates(address)).verify(bearer())
    address.error, address.status, address.data = None, 200, json.dumps(certificates()).encode()
    OidcVerifier(AUDIENCE, [EMAIL], certificates=GoogleCertificates(address)).verify(bearer())
