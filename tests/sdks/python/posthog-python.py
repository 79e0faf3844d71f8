# package = "posthog"
# versions = ["7.91.1"]
# options = "`Posthog(KEY, host=HOST)`; with `capture_mode=\"v1\"` too"
# variants = ["", "capture-v1"]
"""A journey with this SDK."""

import os
import time
import urllib.request
from datetime import UTC, datetime

from posthog import Posthog

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


mode = "v1" if os.environ["VARIANT"] else "v0"
client = Posthog(KEY, host=HOST, flush_interval=0.1, flush_at=20, gzip=True, capture_mode=mode)
client.capture("$pageview", distinct_id=STRANGER)
client.capture("Looked", distinct_id=STRANGER, properties={"colour": "red"})
traits = {"email": f"{ann}@example.com", "plan": "pro", "address": {"city": "Köln"}}
client.capture("$identify", distinct_id=ann, properties={"$anon_distinct_id": STRANGER, "$set": traits})
client.capture("Bought", distinct_id=ann, properties=bought)
client.capture("Past", distinct_id=ann, timestamp=datetime(2025, 1, 15, 10, 30, tzinfo=UTC))
client.group_identify("company", f"{RUN}-acme", {"seats": 5}, distinct_id=ann)
client.alias(f"{RUN}-nick", ann)
for n in range(25):
    client.capture("Batch", distinct_id=ann, properties={"n": n})
step("away")
for n in range(5):
    client.capture("Offline", distinct_id=ann, properties={"n": n})
time.sleep(3)
step("back")
client.set(distinct_id=ben, properties={"email": f"{ben}@example.com", "plan": "free"})
client.capture("Bought2", distinct_id=ben, properties=bought)
client.capture("Left", distinct_id=ben)
client.shutdown()
