"""OIDC tokens of keys that are made for the test and known to nobody else."""

from __future__ import annotations

import base64
import json
import time
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

AUDIENCE = "https://trainer.example/predict-and-train"
EMAIL = "push@demo-project.iam.gserviceaccount.com"
KEY_ID = "test-key"


@cache
def key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificates() -> dict[str, str]:
    """The public keys as Google's address has them, by key id."""
    public = key(KEY_ID).public_key()
    return {KEY_ID: public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()}


def encoded(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a good token, but for the changes; None takes a claim away."""
    now = int(time.time())
    good = {
        "iss": "https://accounts.google.com", "aud": AUDIENCE, "iat": now - 5, "exp": now + 3600, "email": EMAIL, "email_verified": True,
        "sub": "1", "azp": "1",
    }  # fmt: skip
    return {name: value for name, value in (good | changes).items() if value is not None}


def token(*, header: dict[str, Any] | None = None, signed_by: str = KEY_ID, **changes: Any) -> str:
    signed = f"{encoded(header or {'alg': 'RS256', 'kid': KEY_ID, 'typ': 'JWT'})}.{encoded(claims(**changes))}"
    signature = key(signed_by).sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{encoded(signature)}"


def bearer(**settings: Any) -> str:
    return f"Bearer {token(**settings)}"
