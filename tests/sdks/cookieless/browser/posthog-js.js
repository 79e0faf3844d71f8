// package = "posthog-js"
// versions = ["1.449.2"]
// options = "`cookieless_mode`"
// variants = ["always", "on_reject"]
import posthog from "posthog-js";

go(async () => {
  await new Promise((loaded) => posthog.init(KEY, { api_host: HOST, loaded, cookieless_mode: VARIANT }));
  if (VARIANT === "on_reject") posthog.opt_out_capturing(); // what a banner does when it is declined
  await sleep(300);
  posthog.capture(`Looked ${RUN}`, { colour: "red" });
  posthog.identify(NAMES.ann, TRAITS);
  await numbered(5, (n) => posthog.capture(`Batch ${RUN}`, n));
  await sleep(4000);
  posthog.capture(`Left ${RUN}`);
  close_page();
});
