// package = "com.posthog.java:posthog"
// versions = ["1.2.0"]
// options = "`new PostHog.Builder(KEY).host(HOST)`"
// needs = ["org.json:json:20240303"]
// [cannot]
// past = "no time of an event's own"
// clock = "does not say when it sent, so a wrong clock is not corrected"
// group = "no call for groups"
import com.posthog.java.PostHog;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Instant;
import java.util.*;

public class PosthogJava {
  static final Map<String, String> ENV = System.getenv();
  static final Map<String, Object> BOUGHT = Map.of(
      "total", 149.5, "note", "danke 🎉 Grüße",
      "items", List.of(Map.of("sku", "A-1", "tags", List.of("x", "y"))),
      "deep", Map.of("a", Map.of("b", List.of(1, 2.5, true))));

  static void step(String name) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(URI.create(ENV.get("STEPS") + "/" + name)).build();
    HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
  }

  public static void main(String[] args) throws Exception {
    String run = ENV.get("RUN"), stranger = ENV.get("STRANGER"), ann = run + "-ann", ben = run + "-ben";
    PostHog client = new PostHog.Builder(ENV.get("KEY")).host(ENV.get("HOST")).build();
    client.capture(stranger, "$pageview");
    client.capture(stranger, "Looked", Map.of("colour", "red"));
    client.identify(ann, Map.of("email", ann + "@example.com", "plan", "pro", "address", Map.of("city", "Köln")));
    client.alias(ann, stranger);
    client.alias(ann, run + "-nick");
    client.capture(ann, "Bought", BOUGHT);
    for (int n = 0; n < 25; n++) client.capture(ann, "Batch", Map.of("n", n));
    step("away");
    for (int n = 0; n < 5; n++) client.capture(ann, "Offline", Map.of("n", n));
    Thread.sleep(3000);
    step("back");
    client.identify(ben, Map.of("email", ben + "@example.com", "plan", "free"));
    client.capture(ben, "Bought2", BOUGHT);
    client.capture(ben, "Left");
    client.shutdown();
    System.exit(0);
  }
}
