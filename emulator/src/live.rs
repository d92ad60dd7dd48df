//! `GET /_emulator/live`: the page's dynamic fragments, as server-sent events.
//!
//! The first event has all fragments, later ones only those that changed. Changes in quick succession are combined, so that
//! a load test does not flood the page.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::Response;
use futures_util::stream;
use hyper::body::Bytes;
use hyper::header::CACHE_CONTROL;
use tokio::sync::mpsc;

use crate::world::{Pieces, World};
use crate::{page, reply};

/// The minimum time between two events.
const PACE: Duration = Duration::from_millis(100);
/// After this time without a change, an event is sent anyway, so that a dead connection is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// An event up to this size in bytes is sent in one part.
const SHORT: usize = 256 * 1024;

/// The stream. It ends with the client or with the emulator.
pub(crate) async fn live(State(world): State<Arc<World>>) -> Response {
    let (sender, mut receiver) = mpsc::channel(1);
    tokio::spawn(tell(world, sender));
    let events = stream::poll_fn(move |context| receiver.poll_recv(context));
    let mut response = reply::parts("text/event-stream", events);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn tell(world: Arc<World>, sender: mpsc::Sender<Bytes>) {
    let mut changes = world.changes();
    let mut told = Arc::new(Pieces::new());
    loop {
        changes.mark_unchanged();
        let pieces = world.pieces(page::pieces);
        let event = event(world.clock.unix_ms(), &told, &pieces);
        told = pieces;
        for part in event {
            if sender.send(part).await.is_err() {
                return;
            }
        }
        let change = async {
            tokio::time::sleep(PACE).await;
            // If nothing changes in this time, the event is the heartbeat.
            let _ = tokio::time::timeout(HEARTBEAT, changes.changed()).await;
        };
        tokio::select! {
            () = change => {}
            () = sender.closed() => return,
        }
    }
}

/// An event with the emulator's time and the fragments that changed. It is split into parts, so that many clients, some of
/// which may not read, share the memory of a fragment.
fn event(now: u64, told: &Pieces, pieces: &Pieces) -> Vec<Bytes> {
    let mut parts = vec![format!("data: {{\"now\":{now},\"parts\":{{").into()];
    for (id, text) in pieces.iter().filter(|(id, text)| !is_told(told.get(*id), text)) {
        let comma = if parts.len() == 1 { "" } else { "," };
        // JSON is one line, as an event's data must be.
        parts.extend([format!("{comma}\"{id}\":").into(), text.clone()]);
    }
    parts.push(Bytes::from_static(b"}}\n\n"));
    let size: usize = parts.iter().map(Bytes::len).sum();
    if size <= SHORT { vec![parts.concat().into()] } else { parts }
}

/// Whether this was already sent. Unchanged fragments share their memory, so usually nothing is compared.
fn is_told(told: Option<&Bytes>, text: &Bytes) -> bool {
    told.is_some_and(|told| {
        (told.as_ptr() == text.as_ptr() && told.len() == text.len()) || told == text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(of: &[(&'static str, &'static str)]) -> Pieces {
        of.iter().map(|(id, text)| (*id, Bytes::from_static(text.as_bytes()))).collect()
    }

    #[test]
    fn only_changes_are_sent_and_in_one_line() {
        let old = pieces(&[("a", r#""1\n2""#), ("b", r#""x""#), ("c", r#""3""#)]);
        let new = pieces(&[("a", r#""1\n2""#), ("b", r#""y\nz""#), ("c", r#""4""#)]);
        let text = |old, new| String::from_utf8(event(7, old, new).concat()).expect("text");
        let expected = "data: {\"now\":7,\"parts\":{\"b\":\"y\\nz\",\"c\":\"4\"}}\n\n";
        assert_eq!(text(&old, &new), expected);
        assert_eq!(text(&new, &new), "data: {\"now\":7,\"parts\":{}}\n\n");
        assert!(text(&Pieces::new(), &new).contains("\"a\":"));
    }

    #[test]
    fn many_listeners_share_the_memory() {
        let world = crate::world::tests::world();
        let fault = crate::faults::Fault::body("x".repeat(SHORT)).on("/api/y");
        world.add_faults(vec![fault]).expect("taken");
        let first = world.pieces(page::pieces);
        world.arrive("GET", "/api/x", None);
        let second = world.pieces(page::pieces);
        let address = |pieces: &Pieces, id: &str| pieces.get(id).expect("a piece").as_ptr();
        assert_eq!(address(&first, "keys"), address(&second, "keys"));
        assert_ne!(address(&first, "requests"), address(&second, "requests"));
        let events = [event(1, &Pieces::new(), &second), event(2, &Pieces::new(), &second)];
        for event in events {
            assert!(event.iter().any(|part| part.as_ptr() == address(&second, "faults")));
        }
    }
}
