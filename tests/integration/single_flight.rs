//! However many callers there are: one request, and nobody's trouble is anybody else's.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::support::{
    Server, Step, after, builder, client, gated, oauth_error, together, token, until, value,
    with_timeout,
};
use tu_token::ErrorKind::{Cancelled, Closed, InvalidClient, Pending, Timeout};
use tu_token::{Cancel, GetOptions};

const SLOW: Duration = Duration::from_millis(200);
/// What has to come soon comes within this, on a busy machine too.
const SOON: Duration = Duration::from_secs(10);

// --- one flight ------------------------------------------------------------------------------

#[test]
fn a_cold_cache_makes_one_request_for_all() {
    let server = Server::always(after(SLOW, token("shared", 1200)));
    let client = client(&server);
    let started = Instant::now();
    let outcomes = together(64, |_| client.token());
    // One after another they would take twelve seconds.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert!(outcomes.into_iter().all(|outcome| value(outcome) == "shared"));
    assert_eq!((server.requests(), server.connections()), (1, 1));
}

#[test]
fn spellings_of_one_scope_share_a_flight_and_other_scopes_do_not() {
    let server = Server::new(|_, _| after(SLOW, token("t", 1200)));
    let client = client(&server);
    let scopes = ["a b", "b a", "a  b", "a b a", " b a "];
    let get = |scope| client.get(&GetOptions { scope: Some(scope), ..GetOptions::default() });
    for outcome in together(20, |number| get(scopes[number % scopes.len()])) {
        outcome.unwrap();
    }
    assert_eq!(server.requests(), 1);
    get("c").unwrap();
    assert_eq!(server.requests(), 2);
}

#[test]
fn one_callers_time_limit_hurts_nobody() {
    let (server, gate) = gated(token("shared", 1200));
    let client = client(&server);
    let hasty = AtomicUsize::new(0);
    let outcomes = together(16, |number| match number % 4 {
        0 => {
            // Their own limits end these waits: the gate opens when all four have ended.
            let outcome = client.get(&with_timeout(Duration::from_millis(50)));
            if hasty.fetch_add(1, Ordering::SeqCst) == 3 {
                gate.store(true, Ordering::SeqCst);
            }
            outcome
        }
        _ => client.token(),
    });
    for (number, outcome) in outcomes.into_iter().enumerate() {
        match number % 4 {
            0 => assert_eq!(outcome.unwrap_err().kind(), Timeout),
            _ => assert_eq!(value(outcome), "shared"),
        }
    }
    assert_eq!(server.requests(), 1);
}

#[test]
fn a_cancel_ends_one_wait_while_the_fetch_serves_others() {
    let (server, gate) = gated(token("shared", 1200));
    let client = client(&server);
    let cancel = Cancel::new();
    let options = GetOptions { cancel: Some(&cancel), ..GetOptions::default() };
    std::thread::scope(|scope| {
        let cancelled = scope.spawn(|| client.get(&options).unwrap_err().kind());
        let served = scope.spawn(|| client.token());
        until("both wait", || client.stats(None).unwrap().waits == 2);
        cancel.trigger();
        assert_eq!(cancelled.join().unwrap(), Cancelled);
        // Not before that the fetch ends.
        gate.store(true, Ordering::SeqCst);
        assert_eq!(value(served.join().unwrap()), "shared");
        // It stays triggered, even with a token at hand.
        assert_eq!(client.get(&options).unwrap_err().kind(), Cancelled);
    });
    assert_eq!(server.requests(), 1);
}

#[test]
fn closing_wakes_everybody_who_waits() {
    let server = Server::always(vec![Step::Hang]);
    let client = client(&server);
    let (send, receive) = mpsc::channel();
    client.get_async(&GetOptions::default(), move |outcome| send.send(outcome).unwrap()).unwrap();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| client.token())).collect();
        until("all wait", || client.stats(None).unwrap().waits == 9);
        let at = Instant::now();
        client.close();
        for thread in waiting {
            assert_eq!(thread.join().unwrap().unwrap_err().kind(), Closed);
        }
        let outcome = receive.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(outcome.unwrap_err().kind(), Closed);
        // The fetch hangs for twice as long.
        assert!(at.elapsed() < Duration::from_secs(10), "closing waited for the fetch");
    });
    assert_eq!(client.token().unwrap_err().kind(), Closed);
    assert_eq!(client.rotate("id", "secret").unwrap_err().kind(), Closed);
}

#[test]
fn dropping_the_last_handle_closes() {
    let server = Server::always(vec![Step::Hang]);
    let client = client(&server);
    let future = client.clone().token_async();
    until("the fetch runs", || server.requests() == 1);
    drop(client);
    assert_eq!(block_on(future).unwrap_err().kind(), Closed);
}

#[test]
fn no_wait_is_pending_first_and_a_token_later() {
    let (server, gate) = gated(token("later", 1200));
    let client = client(&server);
    for _ in 0..10 {
        assert_eq!(client.get(&with_timeout(Duration::ZERO)).unwrap_err().kind(), Pending);
    }
    gate.store(true, Ordering::SeqCst);
    until("the token is there", || client.get(&with_timeout(Duration::ZERO)).is_ok());
    assert_eq!(server.requests(), 1);
}

#[test]
fn a_time_below_a_millisecond_is_a_wait() {
    let server = Server::always(vec![Step::Hang]);
    let short = builder(&server.url()).timeout(Duration::from_micros(500)).build().unwrap();
    assert_eq!(short.token().unwrap_err().kind(), Timeout);
    let none = builder(&server.url()).timeout(Duration::ZERO).build().unwrap();
    assert_eq!(none.token().unwrap_err().kind(), Pending);
}

// --- without a thread that waits -------------------------------------------------------------

/// Wakes the thread that blocks on a future.
struct Unpark(Thread, AtomicBool);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.store(true, Ordering::SeqCst);
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = Box::pin(future);
    let unpark = Arc::new(Unpark(std::thread::current(), AtomicBool::new(true)));
    let waker = Waker::from(unpark.clone());
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if unpark.1.swap(false, Ordering::SeqCst)
            && let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
        {
            return output;
        }
        assert!(Instant::now() < end, "the future was not woken");
        std::thread::park_timeout(Duration::from_secs(1));
    }
}

#[test]
fn functions_and_futures_are_served_by_the_same_flight() {
    let (server, gate) = gated(token("shared", 1200));
    let client = client(&server);
    let (send, receive) = mpsc::channel();
    for _ in 0..50 {
        let send = send.clone();
        let deliver = move |outcome| send.send(outcome).unwrap();
        client.get_async(&GetOptions::default(), deliver).unwrap();
    }
    let futures: Vec<_> = (0..10).map(|_| client.token_async()).collect();
    assert!(receive.try_recv().is_err(), "too early");
    gate.store(true, Ordering::SeqCst);
    for future in futures {
        assert_eq!(value(block_on(future)), "shared");
    }
    for _ in 0..50 {
        assert_eq!(value(receive.recv_timeout(SOON).unwrap()), "shared");
    }
    // At hand: before the call returns.
    let deliver = move |outcome| send.send(outcome).unwrap();
    client.get_async(&GetOptions::default(), deliver).unwrap();
    assert_eq!(value(receive.try_recv().unwrap()), "shared");
    assert!(receive.recv_timeout(Duration::ZERO).is_err(), "exactly once");
    assert_eq!(server.requests(), 1);
}

#[test]
fn failures_time_limits_and_cancels_reach_functions_too() {
    let (server, gate) = gated(oauth_error(401, "invalid_client"));
    let client = client(&server);
    let cancel = Cancel::new();
    let ask = |options: &GetOptions<'_>| {
        let (send, receive) = mpsc::channel();
        client.get_async(options, move |outcome| send.send(outcome).unwrap()).unwrap();
        move || receive.recv_timeout(SOON).unwrap().unwrap_err().kind()
    };
    let refused = ask(&GetOptions::default());
    let late = ask(&with_timeout(SLOW / 4));
    let pending = ask(&with_timeout(Duration::ZERO));
    let cancelled = ask(&GetOptions { cancel: Some(&cancel), ..GetOptions::default() });
    cancel.trigger();
    assert_eq!((pending(), cancelled(), late()), (Pending, Cancelled, Timeout));
    gate.store(true, Ordering::SeqCst);
    assert_eq!(refused(), InvalidClient);
    drop(client.token_async());
    assert_eq!(server.requests(), 1);
}

#[test]
fn a_future_that_is_dropped_gives_up_the_wait_alone() {
    let server = Server::always(after(SLOW, token("kept", 1200)));
    let client = client(&server);
    drop(client.token_async());
    assert_eq!(value(block_on(client.token_async())), "kept");
    assert_eq!(server.requests(), 1);
}
