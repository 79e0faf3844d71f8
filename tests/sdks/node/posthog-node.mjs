// package = "posthog-node"
// versions = ["5.70.0"]
// options = "`new PostHog(KEY, {host: HOST})`"
// short = true
import { PostHog } from "posthog-node";

const { HOST, KEY, STEPS, RUN, STRANGER } = process.env;
const [ann, ben] = [`${RUN}-ann`, `${RUN}-ben`];
const bought = { total: 149.5, note: "danke 🎉 Grüße", items: [{ sku: "A-1", tags: ["x", "y"] }], deep: { a: { b: [1, 2.5, true] } } };
const client = new PostHog(KEY, { host: HOST, flushAt: 20, flushInterval: 100, fetchRetryCount: 10, fetchRetryDelay: 500 });
const capture = (distinctId, event, properties, more) => client.capture({ distinctId, event, properties, ...more });

capture(STRANGER, "$pageview", {});
capture(STRANGER, "Looked", { colour: "red" });
client.identify({ distinctId: ann, properties: { $anon_distinct_id: STRANGER, $set: { email: `${ann}@example.com`, plan: "pro", address: { city: "Köln" } } } });
capture(ann, "Bought", bought);
capture(ann, "Past", {}, { timestamp: new Date("2025-01-15T10:30:00Z") });
client.groupIdentify({ groupType: "company", groupKey: `${RUN}-acme`, properties: { seats: 5 }, distinctId: ann });
client.alias({ distinctId: ann, alias: `${RUN}-nick` });
for (let n = 0; n < 25; n++) capture(ann, "Batch", { n });
await fetch(`${STEPS}/away`);
for (let n = 0; n < 5; n++) capture(ann, "Offline", { n });
await new Promise((go) => setTimeout(go, 3000));
await fetch(`${STEPS}/back`);
client.identify({ distinctId: ben, properties: { $set: { email: `${ben}@example.com`, plan: "free" } } });
capture(ben, "Bought2", bought);
capture(ben, "Left", {});
await client.shutdown(20000);
