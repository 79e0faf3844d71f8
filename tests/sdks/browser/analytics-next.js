// package = "@segment/analytics-next"
// versions = ["1.84.3"]
// options = "`load({writeKey: KEY, cdnURL: HOST})`"
// variants = ["", "batching", "apiHost", "memory"]
// short = true
import { AnalyticsBrowser } from "@segment/analytics-next";

const ways = {
  "": [{ writeKey: KEY, cdnURL: HOST }, {}],
  batching: [{ writeKey: KEY, cdnURL: HOST }, { integrations: { "Segment.io": { deliveryStrategy: { strategy: "batching" } } } }],
  memory: [{ writeKey: KEY, cdnURL: HOST }, { disableClientPersistence: true }],
  apiHost: [
    { writeKey: KEY, cdnSettings: { integrations: { "Segment.io": { apiKey: KEY } } } },
    { integrations: { "Segment.io": { apiHost: `${HOST.replace(/^https?:\/\//, "")}/v1`, protocol: "http" } } },
  ],
};

go(async () => {
  const analytics = AnalyticsBrowser.load(...ways[VARIANT]);
  await analytics;
  analytics.page("Shop");
  analytics.track("Looked", { colour: "red" });
  await analytics.identify(NAMES.ann, TRAITS);
  analytics.track("Bought", BOUGHT);
  analytics.track("Past", {}, { timestamp: PAST });
  analytics.group(NAMES.company, { seats: 5 });
  analytics.alias(NAMES.ann, NAMES.nick);
  await numbered(25, (n) => analytics.track("Batch", n));
  await outage((n) => analytics.track("Offline", n));
  analytics.reset();
  await analytics.identify(NAMES.ben, SECOND);
  analytics.track("Bought2", BOUGHT);
  await sleep(1500);
  analytics.track("Left");
  await sleep(20);
  close_page();
});
