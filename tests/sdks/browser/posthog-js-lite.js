// package = "posthog-js-lite"
// versions = ["4.12.1"]
// options = "`new PostHog(KEY, {host: HOST})`"
// [cannot]
// page = "no page views of its own"
import PostHog from "posthog-js-lite";

go(async () => {
  const posthog = new PostHog(KEY, { host: HOST, flushInterval: 300 });
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
  await sleep(1500);
  posthog.capture("Left");
  await posthog.flush();
  close_page();
});
