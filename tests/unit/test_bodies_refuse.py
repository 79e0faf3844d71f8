"""Refused bodies in; refusals that name the path of the field and the right form out."""

from collections.abc import Callable
from typing import Any

import pytest

from ingest.contacts import split
from ingest.control.quarantine import request_of
from ingest.control.webhooks import new_webhook, retry_filter
from ingest.control.writer import new_segment
from ingest.receivers import define
from schemas.api.requests.body import MOST_PROBLEMS, checked
from schemas.api.requests.graphql import GraphQLRequest
from schemas.api.requests.segments import SegmentPreview
from schemas.errors import ApiError

READERS: dict[str, Callable[[Any], object]] = {
    "receiver": lambda body: define.new_receiver(body, "w", "e", 1),
    "split": split.parse,
    "preview": lambda body: checked(SegmentPreview, body),
    "graphql": lambda body: checked(GraphQLRequest, body),
    "segment": lambda body: new_segment(body, "w", "e", 1),
    "webhook": lambda body: new_webhook(body, "w", "e", 1, b"entropy"),
    "retries": lambda body: retry_filter(body, 1),
    "quarantine": lambda body: request_of(body, 1),
}
HOOK = {"url": "https://x.y/", "types": ["*"]}
RULE = {"identified": True}
EMAIL = {"type": "email", "value": "a@b.c"}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("body", [None, [], "x", 1], ids=str)
def test_a_body_is_an_object(name: str, body: Any) -> None:
    with pytest.raises(ApiError, match="the body must be a JSON object") as refused:
        READERS[name](body)
    assert (refused.value.code, refused.value.param) == ("invalid_type", None)


@pytest.mark.parametrize(
    ("name", "body", "code", "param", "form"),
    [
        ("receiver", {}, "missing_field", "provider", "provider is needed"),
        ("receiver", {"provider": 1}, "invalid_field", "provider", "a valid string"),
        ("receiver", {"provider": "acme"}, "invalid_field", "provider", "one of mailgun, postmark"),
        ("receiver", {"provider": "ses", "secret": "s"}, "unknown_field", "secret", "not a field of this body"),
        ("receiver", {"provider": "twilio"}, "missing_field", "signing_secret", "signing_secret is needed"),
        ("receiver", {"provider": "twilio", "signing_secret": " "}, "invalid_field", "signing_secret", "blank"),
        ("receiver", {"provider": "twilio", "signing_secret": "x" * 2049}, "invalid_field", "signing_secret", "2048"),
        ("receiver", {"provider": "twilio", "signing_secret": "s", "consent": ""}, "invalid_field", "consent", "1"),
        ("receiver", {"provider": "ses", "topic_arn": "a"}, "invalid_field", "topic_arn", "arn:aws:sns:<region>"),
        ("split", {}, "missing_field", "evidence", "one of evidence, identifiers and lift"),
        ("split", {"evidence": ["a"], "lift": [EMAIL]}, "missing_field", "evidence", "one of evidence"),
        ("split", {"evidence": ["a"], "identifiers": []}, "missing_field", "evidence", "one of evidence"),
        ("split", {"evidences": ["a"]}, "unknown_field", "evidences", "not a field of this body"),
        ("split", {"evidence": []}, "invalid_field", "evidence", "at least 1 item"),
        ("split", {"evidence": ["a"] * 201}, "invalid_field", "evidence", "at most 200 items"),
        ("split", {"evidence": None}, "invalid_field", "evidence", "must be a list"),
        ("split", {"evidence": ["a", 1]}, "invalid_field", "evidence[1]", "a valid string"),
        ("split", {"identifiers": ["a"]}, "invalid_field", "identifiers[0]", "must be a JSON object"),
        ("split", {"identifiers": [EMAIL, {"type": "email"}]}, "missing_field", "identifiers[1].value", "is needed"),
        ("split", {"lift": [{"type": "no type", "value": "x"}]}, "invalid_field", "lift[0].type", "type of identifier"),
        ("split", {"lift": [{"type": "email", "value": "null"}]}, "invalid_field", "lift[0].value", "valid identifier"),
        ("segment", {"rule": RULE}, "missing_field", "name", "name is needed"),
        ("segment", {"name": "x"}, "missing_field", "rule", "rule is needed"),
        ("segment", {"name": " ", "rule": RULE}, "invalid_field", "name", "must not be blank"),
        ("segment", {"name": "x", "rule": None}, "invalid_field", "rule", "an object"),
        ("segment", {"name": "x", "kind": "list"}, "invalid_field", "kind", "'rule' or 'static'"),
        ("segment", {"name": "x", "kind": "static", "rule": RULE}, "invalid_field", "rule", "not a rule"),
        ("segment", {"name": "x", "rule": RULE, "include_existing": 1}, "invalid_field", "include_existing", "boolean"),
        ("segment", {"name": "x", "rules": RULE}, "unknown_field", "rules", "name, kind, rule, include_existing"),
        ("webhook", {**HOOK, "url": "ftp://x.y"}, "invalid_field", "url", "an http or https URL"),
        ("webhook", {**HOOK, "url": ""}, "invalid_field", "url", "at least 1 character"),
        ("webhook", {**HOOK, "types": ["a*"]}, "invalid_field", "types[0]", "a name, group.* or *"),
        ("webhook", {**HOOK, "types": []}, "invalid_field", "types", "at least 1 item"),
        ("webhook", {**HOOK, "secret": "with space"}, "invalid_field", "secret", "printable ASCII"),
        ("webhook", {**HOOK, "events": []}, "unknown_field", "events", "url, types, segments, secret"),
        ("retries", {}, "missing_field", "filter", "filter is needed"),
        ("retries", {"filter": {"status": "ok"}}, "invalid_field", "filter.status", "'failed' or 'pending'"),
        ("retries", {"filter": {"since": "soon"}}, "invalid_field", "filter.since", "ISO 8601, or unix seconds"),
        ("retries", {"filter": {"state": 1}}, "unknown_field", "filter.state", "type, status, since, until"),
        ("quarantine", {"filter": {"topics": 1}}, "unknown_field", "filter.topics", "ids, reason, topic, since, until"),
        ("quarantine", {"filter": {"ids": ["x"]}}, "invalid_field", "filter.ids[0]", "topic:partition:offset:index"),
        ("quarantine", {"filter": {}, "dry_run": 1}, "invalid_field", "dry_run", "a valid boolean"),
        ("preview", {}, "missing_field", "rule", "rule is needed"),
        ("preview", {"rule": {}, "name": "x"}, "unknown_field", "name", "not a field of this body"),
        ("graphql", {}, "missing_field", "query", "query is needed"),
        ("graphql", {"query": " "}, "invalid_field", "query", "must not be blank"),
        ("graphql", {"query": "{a}", "variables": 3}, "invalid_field", "variables", "must be a JSON object"),
        ("graphql", {"query": "{a}", "operationName": 3}, "invalid_field", "operationName", "a valid string"),
    ],
)
def test_the_field_and_its_right_form_are_named(name: str, body: Any, code: str, param: str, form: str) -> None:
    with pytest.raises(ApiError) as refused:
        READERS[name](body)
    assert (refused.value.code, refused.value.param) == (code, param)
    assert form in refused.value.message


@pytest.mark.parametrize("place", ["", "filter"])
def test_of_very_many_wrong_fields_none_is_described(place: str) -> None:
    unknown: dict[str, Any] = {f"field{n}": 1 for n in range(MOST_PROBLEMS + 1)}
    with pytest.raises(ApiError, match="the fields of this body: filter, dry_run") as refused:
        request_of({place: unknown} if place else {"filter": {}, **unknown}, 1)
    assert (refused.value.code, refused.value.param) == ("invalid_field", None)


def test_members_of_a_graphql_request_that_are_unknown_are_ignored() -> None:
    body = checked(GraphQLRequest, {"query": "{a}", "operationName": "q", "extensions": {}})
    assert (body.query, body.operation_name, body.variables) == ("{a}", "q", None)
