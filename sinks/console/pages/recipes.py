"""Sample rules, each with its purpose, as on the page `/docs/rules`; a test compares both; pure."""

from typing import Any, NamedTuple


class Recipe(NamedTuple):
    """A name, a sentence, and the rule."""

    name: str
    about: str
    rule: Any


RECIPES = (
    Recipe(
        "Regulars",
        "Three orders in thirty days.",
        {"event": "order_completed", "count": {"op": "gte", "value": 3}, "within": "30d"},
    ),
    Recipe(
        "Big spenders",
        "Orders worth 500 or more in ninety days.",
        {"event": "order_completed", "sum": {"property": "total", "op": "gte", "value": 500}, "within": "90d"},
    ),
    Recipe(
        "Lapsed buyers",
        "Bought once, and not for half a year.",
        {"all": [{"event": "order_completed"}, {"not": {"event": "order_completed", "within": "180d"}}]},
    ),
    Recipe(
        "Cart abandoned today",
        "Something in the cart and no order in the two hours after it; out again a day after.",
        {"absent": {"event": "order_completed"}, "after": {"event": "product_added"}, "for": "2h", "within": "1d"},
    ),
    Recipe(
        "Looked at prices, did not buy",
        "Three looks in a week, and no order in the two days after the third.",
        {
            "absent": {"event": "order_completed"},
            "after": {
                "event": "page_viewed",
                "where": [{"property": "path", "op": "eq", "value": "/pricing"}],
                "count": {"op": "gte", "value": 3},
                "within": "7d",
            },
            "for": "2d",
        },
    ),
    Recipe(
        "Looked, then signed up",
        "One after the other, within a day.",
        {"sequence": [{"event": "page_viewed"}, {"event": "signed_up", "within": "1d"}]},
    ),
    Recipe(
        "Never came back",
        "Signed up, and no page view in three days.",
        {"absent": {"event": "page_viewed"}, "after": {"event": "signed_up"}, "for": "3d"},
    ),
    Recipe(
        "Birthday today",
        "Where the contact lives, else in Berlin.",
        {"attribute": "birthday", "op": "anniversary", "tz": {"attribute": "timezone", "default": "Europe/Berlin"}},
    ),
    Recipe(
        "Birthday in a week",
        "In time for a card.",
        {"attribute": "birthday", "op": "anniversary", "value": 7, "tz": "Europe/Berlin"},
    ),
    Recipe(
        "Trial ends in three days",
        "And has not ended yet.",
        {
            "all": [
                {"attribute": "trial_ends", "op": "before", "value": "now+3d"},
                {"attribute": "trial_ends", "op": "after", "value": "now"},
            ]
        },
    ),
    Recipe(
        "Reads mail, does not click",
        "Opened by a person in thirty days, with consent, and no click.",
        {
            "all": [
                {"consent": "email_marketing"},
                {"event": "message.opened", "by": "person", "within": "30d"},
                {"not": {"event": "message.clicked", "by": "person", "within": "30d"}},
            ]
        },
    ),
    Recipe(
        "Private mail addresses",
        "At one of two providers.",
        {
            "any": [
                {"identifier": "email", "op": "ends_with", "value": "@gmail.com"},
                {"identifier": "email", "op": "ends_with", "value": "@yahoo.com"},
            ]
        },
    ),
    Recipe(
        "Can be texted",
        "Has a phone number, and has not withdrawn the consent.",
        {"all": [{"identifier": "phone", "op": "exists"}, {"not": {"consent": "sms_marketing", "value": False}}]},
    ),
    Recipe(
        "Ordered on the first of May",
        "A day in New York, from midnight to midnight.",
        {"event": "order_completed", "between": ["2026-05-01", "2026-05-02"], "tz": "America/New_York"},
    ),
    Recipe(
        "Pays, or lives in Scandinavia",
        "Attributes, one in a list.",
        {
            "any": [
                {"attribute": "plan", "op": "in", "value": ["pro", "team"]},
                {"attribute": "address.country", "op": "in", "value": ["DK", "NO", "SE"]},
            ]
        },
    ),
    Recipe(
        "Bought a rare product",
        "Of a list that others keep up to date.",
        {"event": "order_completed", "where": [{"property": "sku", "op": "in", "value": {"list": "vip_skus"}}]},
    ),
)
