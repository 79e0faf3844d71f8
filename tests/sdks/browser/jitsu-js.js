// package = "@jitsu/js"
// versions = ["1.11.0"]
// options = "`jitsuAnalytics({host: HOST, writeKey: KEY})`; it logs that the key is not one of Jitsu's, and goes on"
// [cannot]
// alias = "has no alias"
// offline = "tries once, so it drops what happens while the host is away"
// past = "has no way to set a time"
import { jitsuAnalytics } from "@jitsu/js";

go(async () => {
  const jitsu = jitsuAnalytics({ host: HOST, writeKey: KEY });
  jitsu.page("Shop");
  jitsu.track("Looked", { colour: "red" });
  await jitsu.identify(NAMES.ann, TRAITS);
  jitsu.track("Bought", BOUGHT);
  jitsu.group(NAMES.company, { seats: 5 });
  await numbered(25, (n) => jitsu.track("Batch", n));
  await outage((n) => jitsu.track("Offline", n));
  await jitsu.reset();
  await jitsu.identify(NAMES.ben, SECOND);
  jitsu.track("Bought2", BOUGHT);
  await sleep(1500);
  jitsu.track("Left");
  await sleep(20);
  close_page();
});
