// package = "posthog-rs"
// versions = ["0.30.0"]
// options = "`ClientOptionsBuilder::default().api_key(KEY).host(HOST)`; its feature `capture-v1` too"
// variants = ["", "capture-v1"]
// needs = ['tokio = { version = "=1.54.1", features = ["full"] }', 'serde_json = "=1.0.154"', 'chrono = "=0.4.45"']
// [cannot]
// group = "a group's own properties belong to no person"
use posthog_rs::{Client, ClientOptionsBuilder, Event};
use serde_json::{json, Value};
use std::env::var;
use std::io::{Read, Write};
use std::time::Duration;

fn step(name: &str) {
    let address = var("STEPS").unwrap().replace("http://", "");
    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    write!(stream, "GET /{name} HTTP/1.0\r\n\r\n").unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
}

fn event(id: &str, name: &str, properties: Value) -> Event {
    let mut event = Event::new(name, id);
    for (key, value) in properties.as_object().unwrap() {
        event.insert_prop(key, value).unwrap();
    }
    event
}

fn capture(client: &Client, id: &str, name: &str, properties: Value) {
    client.capture(event(id, name, properties));
}

#[tokio::main]
async fn main() {
    let (run, stranger) = (var("RUN").unwrap(), var("STRANGER").unwrap());
    let (ann, ben) = (format!("{run}-ann"), format!("{run}-ben"));
    let options = ClientOptionsBuilder::default()
        .api_key(var("KEY").unwrap())
        .host(var("HOST").unwrap())
        .flush_at(20_usize)
        .flush_interval_ms(200_u64)
        .max_capture_attempts(10_u32)
        .retry_initial_backoff_ms(500_u64)
        .build()
        .unwrap();
    let client = posthog_rs::client(options).await;
    let bought = json!({
        "total": 149.5, "note": "danke 🎉 Grüße",
        "items": [{"sku": "A-1", "tags": ["x", "y"]}], "deep": {"a": {"b": [1, 2.5, true]}},
    });
    capture(&client, &stranger, "$pageview", json!({}));
    capture(&client, &stranger, "Looked", json!({"colour": "red"}));
    let traits = json!({"email": format!("{ann}@example.com"), "plan": "pro", "address": {"city": "Köln"}});
    capture(&client, &ann, "$identify", json!({"$anon_distinct_id": stranger, "$set": traits}));
    client.alias(format!("{run}-nick"), ann.clone());
    capture(&client, &ann, "Bought", bought.clone());
    let mut past = event(&ann, "Past", json!({}));
    past.set_timestamp(chrono::DateTime::parse_from_rfc3339("2025-01-15T10:30:00Z").unwrap()).unwrap();
    client.capture(past);
    client.group_identify("company", format!("{run}-acme"), json!({"seats": 5})).unwrap();
    for n in 0..25 {
        capture(&client, &ann, "Batch", json!({"n": n}));
    }
    client.flush().await;
    step("away");
    for n in 0..5 {
        capture(&client, &ann, "Offline", json!({"n": n}));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    step("back");
    capture(&client, &ben, "$set", json!({"$set": {"email": format!("{ben}@example.com"), "plan": "free"}}));
    capture(&client, &ben, "Bought2", bought);
    capture(&client, &ben, "Left", json!({}));
    client.shutdown().await;
}
