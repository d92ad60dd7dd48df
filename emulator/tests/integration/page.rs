//! The page: its content, what it may load, and its live updates.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::common::{Answer, send, token};
use scraper::{Html, Selector};
use tu_token_emulator::serde_json::{Value, from_str};
use tu_token_emulator::{Emulator, Fault, NewKey};

const PARTS: [&str; 4] = ["/", "/_emulator/page.css", "/_emulator/page.js", "/_emulator/icon.svg"];

fn emulator() -> Emulator {
    Emulator::start().expect("an emulator")
}

fn get(emulator: &Emulator, path: &str) -> Answer {
    send("GET", &format!("{}{path}", emulator.url()), &[], "")
}

/// An emulator with content for every part of the page, and its page.
fn full_page() -> (Emulator, Html) {
    let emulator = emulator();
    let odd = "<script>alert('\"')</script>";
    let key = NewKey::new(odd, "asset.view").description(odd).client_id("id with blanks");
    emulator.create_key(key).expect("a key");
    let gone = emulator.create_key(NewKey::new("gone", "a")).expect("a key");
    emulator.revoke(&gone.client_id).expect("revoked");
    token(&emulator, "asset.view");
    send("GET", &format!("{}/nowhere", emulator.url()), &[("user-agent", odd)], "");
    emulator.faults([Fault::status(503).times(2), Fault::body(odd)]).expect("taken");
    let answer = get(&emulator, "/");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    (emulator, Html::parse_document(&answer.body))
}

fn all<'a>(page: &'a Html, selector: &str) -> Vec<scraper::ElementRef<'a>> {
    let selector = Selector::parse(selector).expect("a selector");
    let owned: Vec<_> = page.select(&selector).collect();
    owned
}

#[test]
fn the_document_is_well_formed() {
    let (_emulator, page) = full_page();
    assert!(page.errors.is_empty(), "{:?}", page.errors);
    assert!(!Html::parse_document("<!DOCTYPE html><p></b>").errors.is_empty(), "errors are found");
    let ids: Vec<&str> =
        all(&page, "[id]").iter().filter_map(|element| element.attr("id")).collect();
    let set: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), set.len(), "ids are unique: {ids:?}");
    assert!(ids.iter().all(|id| !id.contains(' ')), "{ids:?}");
    for attribute in ["for", "aria-labelledby", "aria-describedby", "data-copy-from"] {
        for element in all(&page, &format!("[{attribute}]")) {
            let id = element.attr(attribute).unwrap_or_default();
            assert!(set.contains(id), "{attribute}={id}");
        }
    }
    for input in all(&page, "input") {
        let id = input.attr("id").expect("an id");
        assert_eq!(all(&page, &format!("label[for='{id}']")).len(), 1, "{id} has a label");
    }
    for button in all(&page, "button") {
        assert!(button.attr("type").is_some(), "{}", button.html());
        assert!(!button.text().collect::<String>().trim().is_empty(), "{}", button.html());
    }
    for dialog in all(&page, "dialog, section, [role=group], [role=region]") {
        assert!(dialog.attr("aria-labelledby").is_some(), "{}", dialog.html());
    }
    assert_eq!(
        (all(&page, "h1").len(), all(&page, "main").len(), all(&page, "[lang=en]").len()),
        (1, 1, 1)
    );
    assert_eq!(all(&page, "img:not([alt])").len(), 0);
    assert!(all(&page, "[role=status]").len() >= 2, "changes are said aloud");
}

#[test]
fn everything_is_readable_without_a_script() {
    let (emulator, page) = full_page();
    let text: String = page.root_element().text().collect();
    for shown in [
        &emulator.demo_key().client_id,
        "<script>alert('\"')</script>",
        "2 of 10",
        "1 revoked key",
        "/token/v2",
        "client_secret=\u{2588}\u{2588}\u{2588}\u{2588}",
        "next 2 requests to token",
        "until cleared",
        "On time",
    ] {
        assert!(text.contains(shown), "{shown}");
    }
    assert_eq!(all(&page, "script").len(), 1, "what clients send stays text");
    assert_eq!(all(&page, "noscript").len(), 1);
}

#[test]
fn nothing_comes_from_elsewhere_and_nothing_inline_runs() {
    let (emulator, page) = full_page();
    for element in all(&page, "[src], [href]") {
        let place = element.attr("src").or(element.attr("href")).unwrap_or_default();
        assert!(
            place.starts_with('#') || (place.starts_with('/') && !place.starts_with("//")),
            "{place}"
        );
        if !place.starts_with('#') {
            assert_eq!(get(&emulator, place).status, 200, "{place}");
        }
    }
    assert_eq!(
        all(&page, "style, [style], script:not([src]), iframe, object, embed, base, form[action]")
            .len(),
        0
    );
    for element in all(&page, "*") {
        assert!(
            element.value().attrs().all(|(name, _)| !name.starts_with("on")),
            "{}",
            element.html()
        );
    }
    for path in PARTS {
        let answer = get(&emulator, path);
        let own = emulator.url();
        let text = answer.body.replace(&own, "").replace("http://www.w3.org/2000/svg", "");
        for mark in ["http://", "https://", "@import", "url(", "//cdn"] {
            assert!(!text.contains(mark), "{path} has {mark}");
        }
        let policy = answer.header("content-security-policy").expect("a policy");
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'none'",
        ] {
            assert!(policy.split("; ").any(|found| found == rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.header("access-control-allow-origin").is_none());
    }
}

#[test]
fn the_script_finds_what_it_looks_for() {
    let (emulator, page) = full_page();
    let script = get(&emulator, "/_emulator/page.js").body;
    let wanted: BTreeSet<&str> =
        script.split("byId(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(wanted.len() > 15, "{wanted:?}");
    for id in wanted {
        let found = all(&page, "[id]").iter().any(|element| element.attr("id") == Some(id));
        assert!(found, "the script looks for {id}");
    }
}

/// An event stream, read as a browser would.
struct Live(BufReader<TcpStream>);

impl Live {
    fn open(emulator: &Emulator) -> Live {
        let mut stream = TcpStream::connect(emulator.address()).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        stream
            .write_all(b"GET /_emulator/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .expect("written");
        let mut live = Live(BufReader::new(stream));
        let head: Vec<String> =
            std::iter::from_fn(|| Some(live.line())).take_while(|line| !line.is_empty()).collect();
        assert!(head[0].starts_with("HTTP/1.1 200"), "{head:?}");
        assert!(head.contains(&"content-type: text/event-stream".to_owned()), "{head:?}");
        live
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line in time");
        line.trim_end().to_owned()
    }

    /// The fragments of the next event.
    fn parts(&mut self) -> Value {
        loop {
            if let Some(event) = self.line().strip_prefix("data: ") {
                return from_str::<Value>(event).expect("JSON")["parts"].clone();
            }
        }
    }

    /// Reads until a fragment contains this text.
    fn wait_for(&mut self, piece: &str, text: &str) {
        let begun = Instant::now();
        while !self.parts()[piece].as_str().is_some_and(|html| html.contains(text)) {
            assert!(begun.elapsed() < Duration::from_secs(20), "no {text} in {piece}");
        }
    }
}

#[test]
fn the_page_is_updated_live() {
    let emulator = emulator();
    let mut live = Live::open(&emulator);
    let first = live.parts();
    assert_eq!(first.as_object().map(|parts| parts.len()), Some(6), "{first}");
    assert!(first["keys"].as_str().is_some_and(|html| html.contains("demo")), "{first}");
    let secret = &emulator.demo_key().client_secret;
    assert!(!first.to_string().contains(secret));

    let begun = Instant::now();
    token(&emulator, "asset.view");
    live.wait_for("requests", "id=\"request-1\"");
    // The aim is a tenth of a second.
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    emulator.faults([Fault::status(503).once()]).expect("taken");
    live.wait_for("faults", "fault 1");
    emulator.advance(Duration::from_secs(300));
    live.wait_for("clock-offset", "<b>5m</b> ahead");
    emulator.create_key(NewKey::new("another", "a")).expect("a key");
    live.wait_for("keys-count", "2 of 10");
}

#[test]
fn a_burst_of_changes_causes_few_events() {
    let emulator = emulator();
    let mut live = Live::open(&emulator);
    live.parts();
    let begun = Instant::now();
    for _ in 0..200 {
        token(&emulator, "asset.view");
    }
    let mut events = 0;
    loop {
        events += 1;
        let parts = live.parts();
        if parts["requests"].as_str().is_some_and(|html| html.contains("id=\"request-200\"")) {
            break;
        }
    }
    let most = 3 + begun.elapsed().as_millis() / 100;
    assert!(events <= most, "{events} events, {most} allowed");
}

#[test]
fn open_pages_do_not_delay_the_end() {
    let emulator = emulator();
    let mut watchers: Vec<Live> = (0..5).map(|_| Live::open(&emulator)).collect();
    for live in &mut watchers {
        live.parts();
    }
    let begun = Instant::now();
    drop(emulator);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    for mut live in watchers {
        // The end of the stream or a reset, but not silence.
        let mut rest = Vec::new();
        let end = live.0.read_to_end(&mut rest).map_err(|error| error.kind());
        assert!(!matches!(end, Err(std::io::ErrorKind::WouldBlock)), "still open");
    }
}
