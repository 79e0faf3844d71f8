"""A seed in; contacts with messy events, and rules of all forms over them, out; equal for an equal seed."""

import random
from typing import Any

from schemas.records.records import Event
from schemas.times import iso
from tests.property.world_segments import DAY, HOUR, NOW, event

TYPES = ("viewed", "bought", "opened", "left", "called", "rated", "message.opened")
AGENTS = ("Mozilla/5.0", "Mozilla/5.0 (iPhone)", "Mimecast/1", "GoogleBot/2.1", "Mozilla/5.0 (X11) \u212aurl/")
OPS = ("eq", "ne", "gt", "gte", "lt", "lte")
CITIES = ("Oslo", "Bergen", "São Paulo", "O'Brien's {x:String}", "")
SPANS = ("1h", "6h", "1d", "2d", "1w")
LISTS: dict[str, tuple[Any, ...]] = {
    "mixed": (
        "pro",
        "1",
        50,
        99.5,
        "São Paulo",
        "true",
        "O'Brien's {x:String}",
        *range(100, 190),
        *map(str, range(300)),
    ),
    "users": tuple(f"u{n}" for n in range(0, 9000, 7)),
}
LATE = (0, 0, 0, 1000, HOUR, DAY, 3 * DAY, -2 * HOUR)


class Generated:
    """``user`` is any of ``contacts``; one in ten is anonymous."""

    def __init__(self, seed: int, contacts: int) -> None:
        self._rng = random.Random(seed)
        self._contacts = contacts
        self._count = 0

    # --- events

    def event(self, now: int) -> Event:
        """Makes an event received now, with a time of now, of days ago, or of the future."""
        rng = self._rng
        self._count += 1
        number = rng.randrange(self._contacts)
        kind = rng.choices(("track", "identify", "contact"), (8, 1, 1))[0]
        fields: dict[str, Any] = {"properties": self._properties()}
        if kind == "identify":
            fields["attributes"] = self._attributes()
        elif kind == "contact":
            fields["consents"] = {rng.choice(("email", "sms")): rng.choice((True, False, None))}
        return event(
            rng.choice(TYPES),
            user=f"u{number}",
            by="anonymous_id" if number % 10 == 0 else "external_id",
            at=now - rng.choice(LATE) - rng.randrange(HOUR),
            received=now,
            event_id=f"evt_{self._count}",
            kind=kind,
            **fields,
        )

    def _properties(self) -> dict[str, Any]:
        rng = self._rng
        properties: dict[str, Any] = {"city": rng.choice(CITIES), "cart": {"items": rng.choice((0, 1, 2, "3", None))}}
        if rng.random() < 0.9:
            total = rng.choice((rng.randrange(200), round(rng.uniform(0, 200), 2)))
            properties["total"] = rng.choice((total, total, str(total), "many", True, [total], 1e300))
        if rng.random() < 0.5:
            properties["tags"] = rng.choice((["a", "b"], ["b", 5], "a-b", [], [True, "5"]))
        if rng.random() < 0.3:
            properties["user_agent"] = rng.choice((*AGENTS, None, 7))
            properties["ip"] = rng.choice(("64.235.150.7", "209.222.88.1", "64.235.144.300", "::1", 3, "10.0.0.1"))
            properties["machine_open"] = rng.choice((True, False, "true", 1, None))
        if rng.random() < 0.5:
            properties["until"] = self._time()
        return properties

    def _attributes(self) -> dict[str, Any]:
        rng = self._rng
        event: dict[str, Any] = {
            "plan": rng.choice(("free", "pro", 1, "1", True, None)),
            "score": rng.choice((rng.randrange(100), str(rng.randrange(100)), rng.uniform(0, 100), "1e1", "x", None)),
            "address": rng.choice(({"city": rng.choice(CITIES), "zip": {"code": rng.randrange(5)}}, "none", None)),
            "address.city": rng.choice((rng.choice(CITIES), None)),
            "since": self._time(),
            "zone": rng.choice(("Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin", "here", 5, None)),
        }
        return {name: event[name] for name in rng.sample(sorted(event), rng.randint(1, 4))}

    def _time(self) -> Any:
        ms = NOW + self._rng.randrange(-10 * DAY, 10 * DAY)
        day, second = iso(ms)[:10], iso(ms)[:19]
        old = ("1962-05-04", "2000-02-29", "1850-05-28", -2_000_000_000_000, f"19{day[2:]}")
        zoned = f"{second}+02:00"
        return self._rng.choice((iso(ms), ms, ms // 1000, day, zoned, second, "soon", -1, second[:16], *old))

    # --- rules

    def rule(self, others: list[str], depth: int = 2) -> dict[str, Any]:
        """Makes a rule; it may refer to the segments ``others``."""
        rng = self._rng
        if depth and rng.random() < 0.45:
            form = rng.choice(("all", "any", "not"))
            if form == "not":
                return {"not": self.rule(others, depth - 1)}
            return {form: [self.rule(others, depth - 1) for _ in range(rng.randint(2, 3))]}
        forms = [self._count_rule, self._total_rule, self._sequence, self._absent, self._attribute, self._contact]
        if others and rng.random() < 0.15:
            return {"segment": rng.choice(others)}
        return rng.choice(forms)()

    def _count_rule(self) -> dict[str, Any]:
        count = {"op": self._rng.choice(OPS), "value": self._rng.randrange(1, 6)}
        return {**self._step(), "count": count, **self._window()}

    def _total_rule(self) -> dict[str, Any]:
        rng = self._rng
        path = rng.choice(("total", "total", "cart.items"))
        limit = rng.choice((rng.randrange(4), rng.randrange(400), round(rng.uniform(50, 200), 2)))
        total = {"property": path, "op": rng.choice(OPS), "value": limit}
        return {**self._step(), rng.choice(("sum", "max", "min")): total, **self._window()}

    def _sequence(self) -> dict[str, Any]:
        rng = self._rng
        steps = [self._step() for _ in range(rng.randint(2, 4))]
        for step in steps[1:]:
            if rng.random() < 0.7:
                step["within"] = rng.choice(SPANS)
        for step in steps:
            if rng.random() < 0.3:
                self._repeat(step)
        return {"sequence": steps}

    def _repeat(self, step: dict[str, Any]) -> None:
        step["count"] = {"op": "gte", "value": self._rng.randrange(2, 5)}
        if self._rng.random() < 0.5:
            step["within"] = self._rng.choice(SPANS)

    def _absent(self) -> dict[str, Any]:
        rule: dict[str, Any] = {"absent": self._step(), "after": self._step(), "for": self._rng.choice(SPANS[:3])}
        if self._rng.random() < 0.5:
            rule["within"] = self._rng.choice(("25h", "3d"))
        if self._rng.random() < 0.4:
            self._repeat(rule["after"])
        return rule

    def _attribute(self) -> dict[str, Any]:
        path = self._rng.choice(("plan", "score", "address.city", "address.zip.code", "since", "never"))
        if self._rng.random() < 0.3:
            zone = self._rng.choice(("Asia/Tokyo", {"attribute": "zone", "default": "America/New_York"}, "UTC"))
            return {"attribute": "since", "op": "anniversary", "value": self._rng.randrange(-9, 9), "tz": zone}
        moving = {"op": self._rng.choice(("before", "after")), "value": self._rng.choice(("now", "now-2d", "now+3d"))}
        return {"attribute": path, **(moving if path == "since" else self._test())}

    def _contact(self) -> dict[str, Any]:
        rng = self._rng
        flag = rng.random() < 0.5
        if rng.random() < 0.5:
            test = rng.choice(
                (
                    {"op": rng.choice(("eq", "ne")), "value": "u7"},
                    {"op": rng.choice(("in", "not_in")), "value": [f"u{n}" for n in range(0, 400, 3)]},
                    {"op": rng.choice(("in", "not_in")), "value": {"list": "users"}},
                    {"op": rng.choice(("starts_with", "ends_with", "contains")), "value": rng.choice(("1", "u2", "0"))},
                    {"op": rng.choice(("exists", "not_exists"))},
                )
            )
            return {"identifier": rng.choice(("external_id", "user_id", "anonymous_id")), **test}
        return rng.choice(({"identified": flag}, {"consent": rng.choice(("email", "sms")), "value": flag}))

    def _step(self) -> dict[str, Any]:
        rng = self._rng
        step: dict[str, Any] = {"event": rng.choice(TYPES)}
        if rng.random() < 0.1:
            return {"event": "message.opened", "by": rng.choice(("person", "machine"))}
        chance = rng.random()
        if chance < 0.15:
            step["where"] = [{"property": rng.choice(("total", "city", "tags", "cart.items", "until")), **self._test()}]
        elif chance < 0.4:
            most = {"property": "total", "op": rng.choice(("gt", "lte")), "value": 100}
            step["where"] = [most, {"property": "city", "op": "ne", "value": rng.choice(CITIES)}]
        return step

    def _window(self) -> dict[str, Any]:
        first = NOW + self._rng.randrange(-3 * DAY, DAY)
        last = first + self._rng.randrange(HOUR, 4 * DAY)
        return self._rng.choice(({}, {"within": self._rng.choice(SPANS)}, {"between": [iso(first), iso(last)]}))

    def _test(self) -> dict[str, Any]:
        rng = self._rng
        value = rng.choice(("pro", "Oslo", 1, 50, 99.5, True, rng.choice(CITIES)))
        return rng.choice(
            (
                {"op": rng.choice(("eq", "ne")), "value": value},
                {"op": rng.choice(("gt", "gte", "lt", "lte")), "value": rng.randrange(150)},
                {"op": rng.choice(("gt", "lte", "before", "after")), "value": iso(NOW + rng.randrange(-DAY, DAY))},
                {
                    "op": rng.choice(("in", "not_in")),
                    "value": rng.choice((["pro", "b", 1, 5, True, "Bergen"], {"list": "mixed"})),
                },
                {"op": "contains", "value": rng.choice(("a", "ã", 5, True, "5", "'s {"))},
                {"op": rng.choice(("starts_with", "ends_with")), "value": rng.choice(("O", "o", "b"))},
                {"op": rng.choice(("exists", "not_exists"))},
            )
        )
