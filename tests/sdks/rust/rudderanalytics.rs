// package = "rudderanalytics"
// versions = ["2.0.1"]
// options = "`RudderAnalytics::load(KEY, HOST)`"
// needs = ['serde_json = "=1.0.154"', 'chrono = "=0.4.45"']
// [cannot]
// offline = "gives up after about a second, and hands the error to its caller"
use rudderanalytics::client::RudderAnalytics;
use rudderanalytics::message::{Alias, Batch, BatchMessage, Group, Identify, Message, Page, Track};
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

fn track(user: &str, event: &str, properties: Value) -> Track {
    Track { user_id: Some(user.to_owned()), event: event.to_owned(), properties: Some(properties), ..Default::default() }
}

fn main() {
    let (run, stranger) = (var("RUN").unwrap(), var("STRANGER").unwrap());
    let (ann, ben) = (format!("{run}-ann"), format!("{run}-ben"));
    let client = RudderAnalytics::load(var("KEY").unwrap(), var("HOST").unwrap());
    let send = |message: Message| client.send(&message).unwrap();
    let bought = json!({
        "total": 149.5, "note": "danke 🎉 Grüße",
        "items": [{"sku": "A-1", "tags": ["x", "y"]}], "deep": {"a": {"b": [1, 2.5, true]}},
    });
    send(Message::Page(Page { anonymous_id: Some(stranger.clone()), name: "Shop".to_owned(), ..Default::default() }));
    send(Message::Track(Track {
        anonymous_id: Some(stranger.clone()), event: "Looked".to_owned(), properties: Some(json!({"colour": "red"})), ..Default::default()
    }));
    send(Message::Identify(Identify {
        user_id: Some(ann.clone()), anonymous_id: Some(stranger),
        traits: Some(json!({"email": format!("{ann}@example.com"), "plan": "pro", "address": {"city": "Köln"}})),
        ..Default::default()
    }));
    send(Message::Track(track(&ann, "Bought", bought.clone())));
    let past = chrono::DateTime::parse_from_rfc3339("2025-01-15T10:30:00Z").unwrap().to_utc();
    send(Message::Track(Track { original_timestamp: Some(past), ..track(&ann, "Past", json!({})) }));
    send(Message::Group(Group {
        user_id: Some(ann.clone()), group_id: format!("{run}-acme"), traits: Some(json!({"seats": 5})), ..Default::default()
    }));
    send(Message::Alias(Alias { user_id: ann.clone(), previous_id: format!("{run}-nick"), ..Default::default() }));
    let batch = (0..25).map(|n| BatchMessage::Track(track(&ann, "Batch", json!({"n": n})))).collect();
    send(Message::Batch(Batch { batch, ..Default::default() }));
    step("away");
    for n in 0..5 {
        println!("offline: {:?}", client.send(&Message::Track(track(&ann, "Offline", json!({"n": n})))));
    }
    std::thread::sleep(Duration::from_secs(3));
    step("back");
    send(Message::Identify(Identify {
        user_id: Some(ben.clone()), traits: Some(json!({"email": format!("{ben}@example.com"), "plan": "free"})), ..Default::default()
    }));
    send(Message::Track(track(&ben, "Bought2", bought)));
    send(Message::Track(track(&ben, "Left", json!({}))));
}
