// package = "com.posthog:posthog-server"
// versions = ["2.3.3"]
// options = "`PostHogConfig.builder(KEY).host(HOST)`"
// [cannot]
// offline = "it drops what fails because the host refuses a connection"
// group = "a group's own properties belong to no person"
import com.posthog.server.PostHog;
import com.posthog.server.PostHogCaptureOptions;
import com.posthog.server.PostHogConfig;
import com.posthog.server.PostHogInterface;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Instant;
import java.util.*;

public class PosthogServer {
  static final Map<String, String> ENV = System.getenv();
  static final Map<String, Object> BOUGHT = Map.of(
      "total", 149.5, "note", "danke 🎉 Grüße",
      "items", List.of(Map.of("sku", "A-1", "tags", List.of("x", "y"))),
      "deep", Map.of("a", Map.of("b", List.of(1, 2.5, true))));

  static void step(String name) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(URI.create(ENV.get("STEPS") + "/" + name)).build();
    HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
  }

  static void capture(PostHogInterface client, String id, String event, Map<String, Object> properties) {
    client.capture(id, event, PostHogCaptureOptions.builder().properties(properties).build());
  }

  public static void main(String[] args) throws Exception {
    String run = ENV.get("RUN"), stranger = ENV.get("STRANGER"), ann = run + "-ann", ben = run + "-ben";
    PostHogInterface client = PostHog.with(
        PostHogConfig.builder(ENV.get("KEY")).host(ENV.get("HOST")).flushIntervalSeconds(1).flushAt(20).build());
    client.capture(stranger, "$pageview");
    capture(client, stranger, "Looked", Map.of("colour", "red"));
    client.identify(ann, Map.of("email", ann + "@example.com", "plan", "pro", "address", Map.of("city", "Köln")));
    client.alias(ann, stranger);
    client.alias(ann, run + "-nick");
    capture(client, ann, "Bought", BOUGHT);
    client.capture(ann, "Past", PostHogCaptureOptions.builder().timestamp(Instant.parse("2025-01-15T10:30:00Z")).build());
    client.group(ann, "company", run + "-acme", Map.of("seats", 5));
    for (int n = 0; n < 25; n++) capture(client, ann, "Batch", Map.of("n", n));
    client.flush();
    step("away");
    for (int n = 0; n < 5; n++) capture(client, ann, "Offline", Map.of("n", n));
    Thread.sleep(3000);
    step("back");
    client.identify(ben, Map.of("email", ben + "@example.com", "plan", "free"));
    capture(client, ben, "Bought2", BOUGHT);
    client.capture(ben, "Left");
    client.flush();
    Thread.sleep(9000); // it rests for some seconds after a failure
    client.close();
    System.exit(0);
  }
}
