//! `GET /_emulator/live`: the page's changing pieces, as server-sent events.
//!
//! The first event has all pieces, each further one those that are different. Changes within a moment are told
//! together: a load test does not drown whoever watches it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use hyper::body::{Body as HttpBody, Bytes, Frame};
use hyper::header::CACHE_CONTROL;
use serde_json::json;
use tokio::sync::mpsc;

use crate::world::{Pieces, World};
use crate::{page, reply};

/// The least time between two events.
const PACE: Duration = Duration::from_millis(100);
/// After so long without a change something is sent all the same, so that a dead connection is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The stream. It ends with the client or with the emulator.
pub(crate) async fn stream(State(world): State<Arc<World>>) -> Response {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(tell(world, sender));
    let mut response = reply::text(StatusCode::OK, "text/event-stream", String::new());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *response.body_mut() = Body::new(Events(receiver));
    response
}

async fn tell(world: Arc<World>, sender: mpsc::Sender<Bytes>) {
    let mut changes = world.changes();
    let mut told = Arc::new(Pieces::new());
    loop {
        changes.mark_unchanged();
        let pieces = world.pieces(page::fragments);
        let event = event(world.clock.unix_ms(), &told, &pieces);
        told = pieces;
        if sender.send(event.into()).await.is_err() {
            return;
        }
        let change = async {
            tokio::time::sleep(PACE).await;
            // No change in this time is fine too: then the event is the heartbeat.
            let _ = tokio::time::timeout(HEARTBEAT, changes.changed()).await;
        };
        tokio::select! {
            () = change => {}
            () = sender.closed() => return,
        }
    }
}

/// The time by the emulator's clock, and the pieces that are not as they were told.
fn event(now: u64, told: &Pieces, pieces: &Pieces) -> String {
    let different = pieces.iter().filter(|(id, html)| told.get(*id) != Some(*html));
    let parts: serde_json::Map<_, _> =
        different.map(|(id, html)| ((*id).to_owned(), json!(html))).collect();
    // JSON is one line, as an event's data has to be.
    format!("data: {}\n\n", json!({ "now": now, "parts": parts }))
}

/// A body that goes on as long as there is somebody to tell something.
struct Events(mpsc::Receiver<Bytes>);

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_told_and_in_one_line() {
        let old = Pieces::from([("a", "1\n2".to_owned()), ("b", "x".to_owned())]);
        let new = Pieces::from([("a", "1\n2".to_owned()), ("b", "y\nz".to_owned())]);
        let text = event(7, &old, &new);
        assert_eq!(text, "data: {\"now\":7,\"parts\":{\"b\":\"y\\nz\"}}\n\n");
        assert_eq!(event(7, &new, &new), "data: {\"now\":7,\"parts\":{}}\n\n");
        assert!(event(7, &Pieces::new(), &new).contains("\"a\":"));
    }
}
