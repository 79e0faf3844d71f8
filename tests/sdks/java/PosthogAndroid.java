// package = "com.posthog:posthog"
// versions = ["6.13.1", "6.6.5"]
// options = "`PostHogConfig(KEY, HOST)`; the core of the Android SDK, on a JVM"
// [cannot]
// offline = "it drops what fails because the host refuses a connection"
import com.posthog.PostHog;
import com.posthog.PostHogConfig;
import com.posthog.PostHogInterface;
import java.lang.reflect.Constructor;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.time.Instant;
import java.util.*;

public class PosthogAndroid {
  static final Map<String, String> ENV = System.getenv();
  static final Map<String, Object> BOUGHT = Map.of(
      "total", 149.5, "note", "danke 🎉 Grüße",
      "items", List.of(Map.of("sku", "A-1", "tags", List.of("x", "y"))),
      "deep", Map.of("a", Map.of("b", List.of(1, 2.5, true))));

  static void step(String name) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(URI.create(ENV.get("STEPS") + "/" + name)).build();
    HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
  }

  /** `PostHogConfig(KEY, HOST)` as Kotlin calls it: all other arguments have their defaults. */
  static PostHogConfig config() throws Exception {
    for (Constructor<?> one : PostHogConfig.class.getDeclaredConstructors()) {
      if (!one.isSynthetic()) continue;
      Class<?>[] types = one.getParameterTypes();
      Object[] arguments = new Object[types.length];
      for (int n = 0; n < types.length; n++) {
        arguments[n] = types[n] == boolean.class ? (Object) false : types[n] == int.class ? (Object) 0 : null;
      }
      arguments[0] = ENV.get("KEY");
      arguments[1] = ENV.get("HOST");
      arguments[types.length - 2] = ~3; // which arguments are left out
      return (PostHogConfig) one.newInstance(arguments);
    }
    throw new IllegalStateException("no such constructor");
  }

  static void capture(PostHogInterface client, String event, Map<String, Object> properties, Date at) {
    client.capture(event, null, properties, null, null, null, at);
  }

  public static void main(String[] args) throws Exception {
    String run = ENV.get("RUN"), ann = run + "-ann", ben = run + "-ben";
    PostHogConfig config = config();
    config.setFlushAt(20);
    config.setFlushIntervalSeconds(1);
    config.setStoragePrefix(Files.createTempDirectory("posthog").toString());
    PostHogInterface client = PostHog.Companion.with(config);
    client.screen("Shop", null);
    capture(client, "Looked", Map.of("colour", "red"), null);
    client.identify(ann, Map.of("email", ann + "@example.com", "plan", "pro", "address", Map.of("city", "Köln")), null);
    client.alias(run + "-nick");
    capture(client, "Bought", BOUGHT, null);
    capture(client, "Past", Map.of(), Date.from(Instant.parse("2025-01-15T10:30:00Z")));
    client.group("company", run + "-acme", Map.of("seats", 5));
    for (int n = 0; n < 25; n++) capture(client, "Batch", Map.of("n", n), null);
    client.flush();
    step("away");
    for (int n = 0; n < 5; n++) capture(client, "Offline", Map.of("n", n), null);
    Thread.sleep(3000);
    step("back");
    client.reset();
    client.identify(ben, Map.of("email", ben + "@example.com", "plan", "free"), null);
    capture(client, "Bought2", BOUGHT, null);
    capture(client, "Left", Map.of(), null);
    client.flush();
    Thread.sleep(9000); // it rests for some seconds after a failure
    client.close();
    System.exit(0);
  }
}
