"""The explorer's page runs its own script and nothing else, and stands in no other page."""

import hashlib
import re
from base64 import b64encode

from sinks.read_api.graphql import execution


def test_the_policy_names_the_pages_own_script_and_style_by_digest() -> None:
    answer = execution.explorer()
    page, policy = bytes(answer.body).decode(), answer.headers["Content-Security-Policy"]
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert "unsafe-inline" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r" on[a-z]+=| style=", page), "what a digest does not cover"
