// package = "com.segment.analytics.kotlin:core"
// versions = ["1.27.0"]
// options = "`setApiHost(\"HOST/v1\")` and `setCdnHost(\"HOST/v1\")`, without a scheme: it speaks TLS only, so put a certificate in front; the core of the Android SDK, on a JVM"
// tls = true
// queue = "/tmp/analytics-kotlin"
// [cannot]
// past = "no time of an event's own"
import com.segment.analytics.kotlin.core.compat.ConfigurationBuilder;
import com.segment.analytics.kotlin.core.compat.JavaAnalytics;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.*;

public class AnalyticsKotlin {
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
    String run = ENV.get("RUN"), ann = run + "-ann", ben = run + "-ben";
    String host = ENV.get("HOST").replaceFirst("https?://", "") + "/v1";
    JavaAnalytics client = new JavaAnalytics(new ConfigurationBuilder(ENV.get("KEY")).setApplication(run)
        .setFlushAt(20).setFlushInterval(1).setApiHost(host).setCdnHost(host).build());
    Thread.sleep(1000); // until it has started
    client.screen("Shop");
    client.track("Looked", Map.of("colour", "red"));
    Thread.sleep(1000); // each call sees who the one before it named only when that has been worked off
    client.identify(run + "-nick", Map.of("plan", "free"));
    Thread.sleep(1000);
    client.alias(ann);
    Thread.sleep(1000);
    client.identify(ann, Map.of("email", ann + "@example.com", "plan", "pro", "address", Map.of("city", "Köln")));
    client.track("Bought", BOUGHT);
    client.group(run + "-acme", Map.of("seats", 5));
    for (int n = 0; n < 25; n++) client.track("Batch", Map.of("n", n));
    client.flush();
    step("away");
    for (int n = 0; n < 5; n++) client.track("Offline", Map.of("n", n));
    Thread.sleep(3000);
    step("back");
    client.reset();
    client.identify(ben, Map.of("email", ben + "@example.com", "plan", "free"));
    client.track("Bought2", BOUGHT);
    client.track("Left");
    client.flush();
    Thread.sleep(3000);
    System.exit(0);
  }
}
