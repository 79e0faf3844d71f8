# package = "rudder-sdk-python"
# versions = ["2.1.9"]
# options = "`Client(KEY, host=HOST)`"
"""A journey with this SDK."""

import os
import time
import urllib.request
from datetime import UTC, datetime

from rudderstack import analytics

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


client = analytics.Client(KEY, host=HOST, upload_interval=0.1, upload_size=20, gzip=True)
client.page(anonymous_id=STRANGER, name="Shop")
client.track(anonymous_id=STRANGER, event="Looked", properties={"colour": "red"})
traits = {"email": f"{ann}@example.com", "plan": "pro", "address": {"city": "Köln"}}
client.identify(ann, traits, anonymous_id=STRANGER)
client.track(ann, "Bought", bought)
client.track(ann, "Past", {}, timestamp=datetime(2025, 1, 15, 10, 30, tzinfo=UTC))
client.group(ann, f"{RUN}-acme", {"seats": 5})
client.alias(f"{RUN}-nick", ann)
for n in range(25):
    client.track(ann, "Batch", {"n": n})
step("away")
for n in range(5):
    client.track(ann, "Offline", {"n": n})
time.sleep(3)
step("back")
client.identify(ben, {"email": f"{ben}@example.com", "plan": "free"})
client.track(ben, "Bought2", bought)
client.track(ben, "Left", {})
client.shutdown()
