//! The journal as JSON, streamed in pieces: a client that does not read ties up one piece, not the whole.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use hyper::body::Bytes;

use crate::reply;
use crate::world::World;

/// The size from which a piece is sent, in bytes.
const PIECE: usize = 64 * 1024;

/// Which entries to return.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) pattern: Option<String>,
    /// Only those with a higher sequence number.
    pub(crate) after: u64,
    /// The maximum number of entries.
    pub(crate) limit: u64,
}

/// A list of entries. A short one is sent in one piece with its length.
pub(crate) fn response(world: Arc<World>, wanted: Wanted) -> Response {
    // Entries that arrive while the client reads are left for the next request.
    let last = world.last_entry();
    let mut list = List { world, wanted, last, begun: false, ended: false };
    let first = list.piece();
    if list.ended {
        return reply::text(StatusCode::OK, "application/json", first);
    }
    let first = stream::iter([Bytes::from(first)]);
    reply::parts("application/json", first.chain(stream::unfold(list, next)))
}

/// The rest of a list being sent.
struct List {
    world: Arc<World>,
    wanted: Wanted,
    last: u64,
    begun: bool,
    ended: bool,
}

impl List {
    /// The next piece. Entries dropped in the meantime are left out.
    fn piece(&mut self) -> Vec<u8> {
        let mut piece = Vec::new();
        if !self.begun {
            piece.push(b'[');
        }
        let Wanted { pattern, after, limit } = &mut self.wanted;
        let mut first = !self.begun;
        self.ended = true;
        self.world.entries(pattern.as_deref(), *after, |entry| {
            if entry.sequence > self.last || *limit == 0 {
                return false;
            }
            if piece.len() >= PIECE {
                self.ended = false;
                return false;
            }
            if !first {
                piece.push(b',');
            }
            first = false;
            // Cannot fail: all members can be written as JSON.
            let _ = serde_json::to_writer(&mut piece, entry);
            (*after, *limit) = (entry.sequence, *limit - 1);
            true
        });
        self.begun = true;
        if self.ended {
            piece.push(b']');
        }
        piece
    }
}

/// The pieces after the first. There is only one thread, which a fast reader would occupy until the end: so it yields before
/// each piece.
async fn next(mut list: List) -> Option<(Bytes, List)> {
    if list.ended {
        return None;
    }
    tokio::task::yield_now().await;
    Some((list.piece().into(), list))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;

    use hyper::body::Body as _;
    use serde_json::Value;

    use super::*;
    use crate::world::tests::world;

    /// The pieces of a list as they come.
    async fn pieces(
        world: &Arc<World>,
        pattern: Option<&str>,
        after: u64,
        limit: u64,
    ) -> Vec<Bytes> {
        let wanted = Wanted { pattern: pattern.map(str::to_owned), after, limit };
        let mut body = response(Arc::clone(world), wanted).into_body();
        let mut pieces = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            pieces.push(frame.expect("a frame").into_data().expect("data"));
        }
        pieces
    }

    fn sequences(pieces: &[Bytes]) -> Vec<u64> {
        let list: Vec<Value> = serde_json::from_slice(&pieces.concat()).expect("JSON");
        list.iter().filter_map(|entry| entry["sequence"].as_u64()).collect()
    }

    #[tokio::test]
    async fn a_long_journal_comes_in_short_pieces() {
        let world = Arc::new(world());
        assert_eq!(pieces(&world, None, 0, u64::MAX).await, ["[]"]);
        for n in 1..=5_000 {
            world.arrive("GET", if n % 2 == 0 { "/api/x" } else { "/token/v2" }, Some("me/1"));
        }
        let all = pieces(&world, None, 0, u64::MAX).await;
        assert!(all.len() > 10 && all.iter().all(|piece| piece.len() < PIECE + 4096));
        assert_eq!(sequences(&all), (1..=5_000).collect::<Vec<u64>>());
        let even = pieces(&world, Some("/api"), 0, u64::MAX).await;
        assert_eq!(sequences(&even), (2..=5_000).step_by(2).collect::<Vec<u64>>());
        assert_eq!(sequences(&pieces(&world, Some("/api"), 4_000, 3).await), [4_002, 4_004, 4_006]);
        assert_eq!(sequences(&pieces(&world, None, 4_999, 3).await), [5_000]);
        assert!(sequences(&pieces(&world, None, u64::MAX, 3).await).is_empty());
    }

    #[tokio::test]
    async fn other_tasks_run_between_two_pieces() {
        let world = Arc::new(world());
        (0..5_000).for_each(|_| {
            world.arrive("GET", "/x", None);
        });
        let turns = std::cell::Cell::new(0);
        let others = async {
            loop {
                turns.set(turns.get() + 1);
                tokio::task::yield_now().await;
            }
        };
        let read = tokio::select! {
            read = pieces(&world, None, 0, u64::MAX) => read.len(),
            () = others => 0,
        };
        assert!(read > 10 && turns.get() >= read - 1, "{} turns, {read} pieces", turns.get());
    }

    #[tokio::test]
    async fn a_journal_cleared_while_it_is_read_is_still_a_valid_list() {
        let world = Arc::new(world());
        (0..1_000).for_each(|_| {
            world.arrive("GET", "/x", None);
        });
        let wanted = Wanted { pattern: None, after: 0, limit: u64::MAX };
        let mut body = response(Arc::clone(&world), wanted).into_body();
        let mut whole = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            whole.extend(frame.expect("a frame").into_data().expect("data"));
            world.clear_journal();
            (0..1_000).for_each(|_| {
                world.arrive("GET", "/x", None);
            });
        }
        let list: Vec<Value> = serde_json::from_slice(&whole).expect("JSON");
        assert!((1..1_000).contains(&list.len()), "{}", list.len());
    }
}
