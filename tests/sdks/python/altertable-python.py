# package = "altertable"
# versions = ["0.2.0"]
# options = "`Altertable(KEY, server_url=HOST)`"
# [cannot]
# page = "no page views of its own"
# group = "no call for groups"
# offline = "sends once and raises"
# clock = "does not say when it sent, so a wrong clock is not corrected"
"""A journey with this SDK."""

import os
import time
import urllib.request

from altertable.client import Altertable, NetworkError

HOST, KEY, STEPS, RUN, STRANGER = (os.environ[name] for name in ("HOST", "KEY", "STEPS", "RUN", "STRANGER"))
ann, ben = f"{RUN}-ann", f"{RUN}-ben"
bought = {
    "total": 149.5,
    "note": "danke 🎉 Grüße",
    "items": [{"sku": "A-1", "tags": ["x", "y"]}],
    "deep": {"a": {"b": [1, 2.5, True]}},
}


def step(name: str) -> None:
    with urllib.request.urlopen(f"{STEPS}/{name}") as answer:
        answer.read()


client = Altertable(KEY, server_url=HOST)
client.track("Looked", STRANGER, {"properties": {"colour": "red"}})
traits = {"email": f"{ann}@example.com", "plan": "pro", "address": {"city": "Köln"}}
client.identify(ann, {"traits": traits, "anonymous_id": STRANGER})
client.track("Bought", ann, {"properties": bought})
client.track("Past", ann, {"timestamp": "2025-01-15T10:30:00Z"})
client.alias(f"{RUN}-nick", ann)
for n in range(25):
    client.track("Batch", ann, {"properties": {"n": n}})
step("away")
for n in range(5):
    try:
        client.track("Offline", ann, {"properties": {"n": n}})
    except NetworkError as error:
        print("offline:", error)
time.sleep(3)
step("back")
client.identify(ben, {"traits": {"email": f"{ben}@example.com", "plan": "free"}})
client.track("Bought2", ben, {"properties": bought})
client.track("Left", ben)
