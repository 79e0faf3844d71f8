// package = "segment"
// versions = ["0.2.6"]
// options = "`HttpClient::new(reqwest::Client::new(), HOST)`"
// needs = ['tokio = { version = "=1.54.1", features = ["full"] }', 'serde_json = "=1.0.154"', 'reqwest = { version = "=0.12.28", default-features = false }', 'time = { version = "=0.3.55", features = ["parsing"] }']
// [cannot]
// clock = "does not say when it sent, so a wrong clock is not corrected"
// offline = "sends once and hands the error to its caller, without what it was to send; gives no ids, so what the caller repeats may count twice"
use segment::message::{Alias, BatchMessage, Group, Identify, Page, Track, User};
use segment::{AutoBatcher, Batcher, HttpClient};
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

fn user(id: &str) -> User {
    User::UserId { user_id: id.to_owned() }
}

fn track(user: User, event: &str, properties: Value) -> BatchMessage {
    Track { user, event: event.to_owned(), properties, ..Default::default() }.into()
}

#[tokio::main]
async fn main() {
    let (run, stranger) = (var("RUN").unwrap(), var("STRANGER").unwrap());
    let (ann, ben) = (format!("{run}-ann"), format!("{run}-ben"));
    let anonymous = || User::AnonymousId { anonymous_id: stranger.clone() };
    let http = HttpClient::new(reqwest::Client::new(), var("HOST").unwrap());
    let mut client = AutoBatcher::new(http, Batcher::new(None), var("KEY").unwrap());
    let bought = json!({
        "total": 149.5, "note": "danke 🎉 Grüße",
        "items": [{"sku": "A-1", "tags": ["x", "y"]}], "deep": {"a": {"b": [1, 2.5, true]}},
    });
    client.push(Page { user: anonymous(), name: "Shop".to_owned(), properties: json!({}), ..Default::default() }).await.unwrap();
    client.push(track(anonymous(), "Looked", json!({"colour": "red"}))).await.unwrap();
    client.push(Identify {
        user: User::Both { user_id: ann.clone(), anonymous_id: stranger.clone() },
        traits: json!({"email": format!("{ann}@example.com"), "plan": "pro", "address": {"city": "Köln"}}),
        ..Default::default()
    }).await.unwrap();
    client.push(track(user(&ann), "Bought", bought.clone())).await.unwrap();
    let past = time::OffsetDateTime::parse("2025-01-15T10:30:00Z", &time::format_description::well_known::Rfc3339);
    client.push(Track {
        user: user(&ann), event: "Past".to_owned(), properties: json!({}), timestamp: Some(past.unwrap()), ..Default::default()
    }).await.unwrap();
    client.push(Group {
        user: user(&ann), group_id: format!("{run}-acme"), traits: json!({"seats": 5}), ..Default::default()
    }).await.unwrap();
    client.push(Alias { user: user(&ann), previous_id: format!("{run}-nick"), ..Default::default() }).await.unwrap();
    for n in 0..25 {
        client.push(track(user(&ann), "Batch", json!({"n": n}))).await.unwrap();
    }
    client.flush().await.unwrap();
    step("away");
    for n in 0..5 {
        client.push(track(user(&ann), "Offline", json!({"n": n}))).await.unwrap();
    }
    println!("offline: {:?}", client.flush().await);
    tokio::time::sleep(Duration::from_secs(3)).await;
    step("back");
    client.push(Identify {
        user: user(&ben), traits: json!({"email": format!("{ben}@example.com"), "plan": "free"}), ..Default::default()
    }).await.unwrap();
    client.push(track(user(&ben), "Bought2", bought)).await.unwrap();
    client.push(track(user(&ben), "Left", json!({}))).await.unwrap();
    client.flush().await.unwrap();
}
