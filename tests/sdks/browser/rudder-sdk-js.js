// package = "rudder-sdk-js"
// versions = ["2.52.21"]
// options = "`load(KEY, HOST, {configUrl: HOST})`; the predecessor of `@rudderstack/analytics-js`"
import * as rudder from "rudder-sdk-js";

go(async () => {
  rudder.load(KEY, HOST, { configUrl: HOST });
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
