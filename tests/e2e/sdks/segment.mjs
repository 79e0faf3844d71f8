// host, key, user and number of events in; one identify call and as many tracks out
import { Analytics } from "@segment/analytics-node";

const [host, writeKey, userId, count] = process.argv.slice(2);
const analytics = new Analytics({ writeKey, host, flushAt: 5, flushInterval: 50, maxRetries: 10 });
analytics.on("error", (error) => console.error(error));
analytics.identify({ userId, anonymousId: `${userId}-browser`, traits: { email: `${userId}@example.com`, plan: "pro" } });
for (let n = 0; n < Number(count); n++) analytics.track({ userId, event: "Bought", properties: { n } });
await analytics.closeAndFlush({ timeout: 30000 });
