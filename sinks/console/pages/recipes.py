"""Rules to start from, each with its purpose; pure."""

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
        "Cart abandoned",
        "Something in the cart, and no order in the two hours after it.",
        {"absent": {"event": "order_completed"}, "after": {"event": "product_added"}, "for": "2h"},
    ),
    Recipe(
        "Signed up, never came back",
        "Signed up, and did nothing for three days.",
        {"absent": {"event": "page_viewed"}, "after": {"event": "signed_up"}, "for": "3d"},
    ),
    Recipe(
        "Looked at prices, then signed up",
        "One after the other, within a day.",
        {
            "sequence": [
                {"event": "page_viewed", "where": [{"property": "path", "op": "eq", "value": "/pricing"}]},
                {"event": "signed_up", "within": "1d"},
            ]
        },
    ),
    Recipe(
        "Active this week",
        "Any page view in seven days.",
        {"event": "page_viewed", "within": "7d"},
    ),
    Recipe(
        "Gone quiet",
        "Known people without a page view in thirty days.",
        {"all": [{"identified": True}, {"not": {"event": "page_viewed", "within": "30d"}}]},
    ),
    Recipe(
        "Paying customers in Germany",
        "Two attributes at once.",
        {
            "all": [
                {"attribute": "plan", "op": "in", "value": ["pro", "team"]},
                {"attribute": "country", "op": "eq", "value": "DE"},
            ]
        },
    ),
    Recipe(
        "Trial ends soon",
        "The attribute is a time within the next three days.",
        {
            "all": [
                {"attribute": "trial_ends_at", "op": "after", "value": "now"},
                {"attribute": "trial_ends_at", "op": "before", "value": "now+3d"},
            ]
        },
    ),
    Recipe(
        "May be written to",
        "Consent for e-mail is given.",
        {"consent": "email_marketing", "value": True},
    ),
)
