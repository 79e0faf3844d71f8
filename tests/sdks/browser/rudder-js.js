// package = "@rudderstack/analytics-js"
// versions = ["3.34.1"]
// options = "`load(KEY, HOST, {configUrl: HOST})` of `@rudderstack/analytics-js/bundled`, which loads no plugins from RudderStack"
// variants = ["", "beacon", "batch", "memory"]
// short = true
import { RudderAnalytics } from "@rudderstack/analytics-js/bundled";

const ways = { "": {}, beacon: { useBeacon: true }, batch: { queueOptions: { batch: { enabled: true, flushInterval: 500 } } }, memory: { storage: { type: "memoryStorage" } } };

go(async () => {
  const rudder = new RudderAnalytics();
  rudder.load(KEY, HOST, { configUrl: HOST, ...ways[VARIANT] });
  await new Promise((go) => rudder.ready(go));
  rudder.page("Shop");
  rudder.track("Looked", { colour: "red" });
  rudder.identify(NAMES.ann, TRAITS);
  rudder.track("Bought", BOUGHT);
  rudder.track("Past", {}, { originalTimestamp: PAST });
  rudder.group(NAMES.company, { seats: 5 });
  rudder.alias(NAMES.ann, NAMES.nick);
  await numbered(25, (n) => rudder.track("Batch", n));
  await outage((n) => rudder.track("Offline", n));
  rudder.reset(true);
  rudder.identify(NAMES.ben, SECOND);
  rudder.track("Bought2", BOUGHT);
  await sleep(2500);
  rudder.track("Left");
  await sleep(20);
  close_page();
});
