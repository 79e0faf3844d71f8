// host, key, user and number of events in; one identify call and as many captures out
import { PostHog } from "posthog-node";

const [host, key, distinctId, count] = process.argv.slice(2);
const client = new PostHog(key, { host, flushAt: 5, flushInterval: 50, fetchRetryCount: 10, fetchRetryDelay: 300 });
client.on("error", (error) => console.error(error));
client.identify({ distinctId, properties: { $anon_distinct_id: `${distinctId}-browser`, $set: { email: `${distinctId}@example.com`, plan: "pro" } } });
for (let n = 0; n < Number(count); n++) client.capture({ distinctId, event: "Bought", properties: { n } });
await client.shutdown(30000);
