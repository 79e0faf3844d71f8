// package = "posthog-js"
// versions = ["1.449.2", "1.380.0", "1.330.0", "1.290.0", "1.257.0", "1.200.0", "1.96.1"]
// options = "`init(KEY, {api_host: HOST})`; the npm package, as the script snippet loads PostHog's own files"
// short = true
import posthog from "posthog-js";

go(async () => {
  await new Promise((loaded) => posthog.init(KEY, { api_host: HOST, loaded }));
  await sleep(300);
  posthog.capture("Looked", { colour: "red" });
  posthog.identify(NAMES.ann, TRAITS);
  posthog.capture("Bought", BOUGHT);
  posthog.capture("Past", {}, { timestamp: new Date(PAST) });
  posthog.group("company", NAMES.company, { seats: 5 });
  posthog.alias(NAMES.nick);
  await numbered(25, (n) => posthog.capture("Batch", n));
  await outage((n) => posthog.capture("Offline", n));
  posthog.reset();
  posthog.identify(NAMES.ben, SECOND);
  posthog.capture("Bought2", BOUGHT);
  await sleep(4000);
  posthog.capture("Left");
  close_page();
});
