"""What AWS documents of browser uploads, as a judge: would S3 take this form with this file?

From "POST Policy" (RESTObjectPOST, sigv4-HTTPPOSTConstructPolicy): every form field but the signature, the
policy, the file and `x-ignore-*` needs a condition; exact matches match exactly; content-length-range counts
the file's bytes; the expiration is passed when the request is. Signatures are checked as sigv4 says. It is our
reading of the documentation, run against nothing of Amazon's.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

_FREE = {"x-amz-signature", "policy", "file"}


def takes(fields: Mapping[str, str], body: bytes, *, bucket: str, secret: str, now: datetime) -> bool:
    """Whether S3 would store the body, by its documentation."""
    try:
        policy = json.loads(base64.b64decode(fields["policy"]))
    except (KeyError, ValueError):
        return False
    return (
        _signed(fields, secret)
        and now < datetime.fromisoformat(policy["expiration"].replace("Z", "+00:00"))
        and _covered(fields, policy["conditions"])
        and all(_holds(condition, {**fields, "bucket": bucket}, body) for condition in policy["conditions"])
        and _hashes(fields, body)
    )


def _signed(fields: Mapping[str, str], secret: str) -> bool:
    try:
        _, date, region, service, terminator = fields["x-amz-credential"].split("/")
    except (KeyError, ValueError):
        return False
    key = b"AWS4" + secret.encode()
    for part in (date, region, service, terminator, fields["policy"]):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.compare_digest(key.hex(), fields.get("x-amz-signature", ""))


def _covered(fields: Mapping[str, str], conditions: list[Any]) -> bool:
    named = {name.lower() for c in conditions if isinstance(c, dict) for name in c}
    named |= {c[1].lstrip("$").lower() for c in conditions if isinstance(c, list) and c[0] in {"eq", "starts-with"}}
    return all(f.lower() in _FREE | named or f.lower().startswith("x-ignore-") for f in fields)


def _holds(condition: Any, fields: Mapping[str, str], body: bytes) -> bool:
    if isinstance(condition, dict):
        lower = {name.lower(): value for name, value in fields.items()}
        return all(lower.get(name.lower()) == value for name, value in condition.items())
    kind, first, last = condition
    if kind == "content-length-range":
        return int(first) <= len(body) <= int(last)
    given = fields.get(first.lstrip("$"), "")
    return bool(given == last) if kind == "eq" else given.startswith(last)


def _hashes(fields: Mapping[str, str], body: bytes) -> bool:
    said = fields.get("x-amz-checksum-sha256")
    return said is None or said == base64.b64encode(hashlib.sha256(body).digest()).decode()
