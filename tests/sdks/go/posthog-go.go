// package = "github.com/posthog/posthog-go"
// versions = ["1.5.2"]
// options = "`Config{Endpoint: HOST}`"
// short = true
// [cannot]
// group = "a group's own properties belong to no person"
package main

import (
	"net/http"
	"os"
	"time"

	"github.com/posthog/posthog-go"
)

func step(name string) {
	answer, err := http.Get(os.Getenv("STEPS") + "/" + name)
	if err != nil {
		panic(err)
	}
	answer.Body.Close()
}

func main() {
	run, stranger := os.Getenv("RUN"), os.Getenv("STRANGER")
	ann, ben := run+"-ann", run+"-ben"
	client, err := posthog.NewWithConfig(os.Getenv("KEY"), posthog.Config{
		Endpoint: os.Getenv("HOST"), Interval: 200 * time.Millisecond, BatchSize: 20,
	})
	if err != nil {
		panic(err)
	}
	capture := func(id, event string, properties posthog.Properties) {
		client.Enqueue(posthog.Capture{DistinctId: id, Event: event, Properties: properties})
	}
	bought := posthog.Properties{
		"total": 149.5, "note": "danke 🎉 Grüße",
		"items": []any{map[string]any{"sku": "A-1", "tags": []string{"x", "y"}}},
		"deep":  map[string]any{"a": map[string]any{"b": []any{1, 2.5, true}}},
	}
	capture(stranger, "$pageview", nil)
	capture(stranger, "Looked", posthog.Properties{"colour": "red"})
	client.Enqueue(posthog.Identify{DistinctId: ann, Properties: posthog.Properties{
		"email": ann + "@example.com", "plan": "pro", "address": map[string]any{"city": "Köln"},
	}})
	client.Enqueue(posthog.Alias{DistinctId: ann, Alias: stranger})
	client.Enqueue(posthog.Alias{DistinctId: ann, Alias: run + "-nick"})
	capture(ann, "Bought", bought)
	past, _ := time.Parse(time.RFC3339, "2025-01-15T10:30:00Z")
	client.Enqueue(posthog.Capture{DistinctId: ann, Event: "Past", Timestamp: past})
	client.Enqueue(posthog.GroupIdentify{Type: "company", Key: run + "-acme", Properties: posthog.Properties{"seats": 5}})
	for n := 0; n < 25; n++ {
		capture(ann, "Batch", posthog.Properties{"n": n})
	}
	step("away")
	for n := 0; n < 5; n++ {
		capture(ann, "Offline", posthog.Properties{"n": n})
	}
	time.Sleep(3 * time.Second)
	step("back")
	client.Enqueue(posthog.Identify{DistinctId: ben, Properties: posthog.Properties{"email": ben + "@example.com", "plan": "free"}})
	capture(ben, "Bought2", bought)
	capture(ben, "Left", nil)
	client.Close()
}
