// package = "com.segment.analytics.java:analytics"
// versions = ["3.5.2"]
// options = "`Analytics.builder(KEY).endpoint(HOST)`"
import com.segment.analytics.Analytics;
import com.segment.analytics.messages.*;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Instant;
import java.util.*;
import java.util.concurrent.TimeUnit;

public class AnalyticsJava {
  static final Map<String, String> ENV = System.getenv();

  static void step(String name) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(URI.create(ENV.get("STEPS") + "/" + name)).build();
    HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
  }

  public static void main(String[] args) throws Exception {
    String run = ENV.get("RUN"), stranger = ENV.get("STRANGER"), ann = run + "-ann", ben = run + "-ben";
    Analytics client = Analytics.builder(ENV.get("KEY")).endpoint(ENV.get("HOST")).flushInterval(1, TimeUnit.SECONDS).build();
    Map<String, Object> bought = Map.of(
        "total", 149.5, "note", "danke 🎉 Grüße",
        "items", List.of(Map.of("sku", "A-1", "tags", List.of("x", "y"))),
        "deep", Map.of("a", Map.of("b", List.of(1, 2.5, true))));
    client.enqueue(PageMessage.builder("Shop").anonymousId(stranger));
    client.enqueue(TrackMessage.builder("Looked").anonymousId(stranger).properties(Map.of("colour", "red")));
    client.enqueue(IdentifyMessage.builder().userId(ann).anonymousId(stranger).traits(
        Map.of("email", ann + "@example.com", "plan", "pro", "address", Map.of("city", "Köln"))));
    client.enqueue(TrackMessage.builder("Bought").userId(ann).properties(bought));
    client.enqueue(TrackMessage.builder("Past").userId(ann).timestamp(Date.from(Instant.parse("2025-01-15T10:30:00Z"))));
    client.enqueue(GroupMessage.builder(run + "-acme").userId(ann).traits(Map.of("seats", 5)));
    client.enqueue(AliasMessage.builder(run + "-nick").userId(ann));
    for (int n = 0; n < 25; n++) client.enqueue(TrackMessage.builder("Batch").userId(ann).properties(Map.of("n", n)));
    client.flush();
    step("away");
    for (int n = 0; n < 5; n++) client.enqueue(TrackMessage.builder("Offline").userId(ann).properties(Map.of("n", n)));
    Thread.sleep(3000);
    step("back");
    client.enqueue(IdentifyMessage.builder().userId(ben).traits(Map.of("email", ben + "@example.com", "plan", "free")));
    client.enqueue(TrackMessage.builder("Bought2").userId(ben).properties(bought));
    client.enqueue(TrackMessage.builder("Left").userId(ben));
    client.flush();
    Thread.sleep(3000);
    client.shutdown();
    System.exit(0);
  }
}
