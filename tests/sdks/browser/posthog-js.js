// package = "posthog-js"
// versions = ["1.449.2", "1.430.4", "1.410.10", "1.380.0", "1.360.2", "1.345.5", "1.330.0", "1.310.2", "1.290.0", "1.275.3", "1.257.0", "1.240.6", "1.220.0", "1.200.0", "1.180.1", "1.160.3", "1.145.0", "1.130.2", "1.110.0", "1.96.1"]
// options = "`init(KEY, {api_host: HOST})`; the npm package, as the script snippet loads PostHog's own files; with `request_batching: false` it may lose what happens as a page closes"
// variants = ["", "memory", "xhr", "single"]
// short = true
// [versions_cannot."1.130.2"]
// offline = "(as 1.121 to 1.131) sends what it has gathered once, so it drops what happens while the host is away"
import posthog from "posthog-js";

const ways = {
  "": {},
  memory: { persistence: "memory", person_profiles: "always" },
  xhr: { api_transport: "XHR", disable_compression: true },
  single: { request_batching: false },
};

go(async () => {
  await new Promise((loaded) => posthog.init(KEY, { api_host: HOST, loaded, ...ways[VARIANT] }));
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
  if (VARIANT === "single") await sleep(500); // each is packed in its own time, and none is kept for the page's end
  close_page();
});
