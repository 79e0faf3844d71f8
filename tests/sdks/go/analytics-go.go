// package = "gopkg.in/segmentio/analytics-go.v3"
// versions = ["3.1.0"]
// options = "`Config{Endpoint: HOST}`"
package main

import (
	"net/http"
	"os"
	"time"

	"gopkg.in/segmentio/analytics-go.v3"
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
	client, err := analytics.NewWithConfig(os.Getenv("KEY"), analytics.Config{
		Endpoint: os.Getenv("HOST"), Interval: 200 * time.Millisecond, BatchSize: 20,
	})
	if err != nil {
		panic(err)
	}
	track := func(id, event string, properties analytics.Properties) {
		client.Enqueue(analytics.Track{UserId: id, Event: event, Properties: properties})
	}
	bought := analytics.Properties{
		"total": 149.5, "note": "danke 🎉 Grüße",
		"items": []any{map[string]any{"sku": "A-1", "tags": []string{"x", "y"}}},
		"deep":  map[string]any{"a": map[string]any{"b": []any{1, 2.5, true}}},
	}
	client.Enqueue(analytics.Page{AnonymousId: stranger, Name: "Shop"})
	client.Enqueue(analytics.Track{AnonymousId: stranger, Event: "Looked", Properties: analytics.Properties{"colour": "red"}})
	client.Enqueue(analytics.Identify{UserId: ann, AnonymousId: stranger, Traits: analytics.Traits{
		"email": ann + "@example.com", "plan": "pro", "address": map[string]any{"city": "Köln"},
	}})
	client.Enqueue(analytics.Alias{UserId: ann, PreviousId: run + "-nick"})
	track(ann, "Bought", bought)
	past, _ := time.Parse(time.RFC3339, "2025-01-15T10:30:00Z")
	client.Enqueue(analytics.Track{UserId: ann, Event: "Past", Timestamp: past})
	client.Enqueue(analytics.Group{UserId: ann, GroupId: run + "-acme", Traits: analytics.Traits{"seats": 5}})
	for n := 0; n < 25; n++ {
		track(ann, "Batch", analytics.Properties{"n": n})
	}
	step("away")
	for n := 0; n < 5; n++ {
		track(ann, "Offline", analytics.Properties{"n": n})
	}
	time.Sleep(3 * time.Second)
	step("back")
	client.Enqueue(analytics.Identify{UserId: ben, Traits: analytics.Traits{"email": ben + "@example.com", "plan": "free"}})
	track(ben, "Bought2", bought)
	track(ben, "Left", nil)
	client.Close()
}
