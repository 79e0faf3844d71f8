// package = "analytics-node"
// versions = ["6.2.0"]
// options = "`new Analytics(KEY, {host: HOST})`; the predecessor of `@segment/analytics-node`"
import Analytics from "analytics-node";

const { HOST, KEY, STEPS, RUN, STRANGER } = process.env;
const [ann, ben] = [`${RUN}-ann`, `${RUN}-ben`];
const bought = { total: 149.5, note: "danke 🎉 Grüße", items: [{ sku: "A-1", tags: ["x", "y"] }], deep: { a: { b: [1, 2.5, true] } } };
const client = new Analytics(KEY, { host: HOST, flushAt: 20, flushInterval: 100, retryCount: 10 });

client.page({ anonymousId: STRANGER, name: "Shop" });
client.track({ anonymousId: STRANGER, event: "Looked", properties: { colour: "red" } });
client.identify({ userId: ann, anonymousId: STRANGER, traits: { email: `${ann}@example.com`, plan: "pro", address: { city: "Köln" } } });
client.track({ userId: ann, event: "Bought", properties: bought });
client.track({ userId: ann, event: "Past", properties: {}, timestamp: new Date("2025-01-15T10:30:00Z") });
client.group({ userId: ann, groupId: `${RUN}-acme`, traits: { seats: 5 } });
client.alias({ previousId: `${RUN}-nick`, userId: ann });
for (let n = 0; n < 25; n++) client.track({ userId: ann, event: "Batch", properties: { n } });
await fetch(`${STEPS}/away`);
for (let n = 0; n < 5; n++) client.track({ userId: ann, event: "Offline", properties: { n } });
await new Promise((go) => setTimeout(go, 3000));
await fetch(`${STEPS}/back`);
client.identify({ userId: ben, traits: { email: `${ben}@example.com`, plan: "free" } });
client.track({ userId: ben, event: "Bought2", properties: bought });
client.track({ userId: ben, event: "Left", properties: {} });
await client.flush();
