//! The life of a token, on a clock that the test turns: fresh, soft, hard, dead, refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::support::{
    Reply, Server, Step, after, answer, client, manual_client, oauth_error, together, token, until,
    value, with_timeout,
};
use tu_token::ErrorKind::{Pending, Server as InTrouble, Timeout};
use tu_token::{Client, GetOptions, State};

const SLOW: Duration = Duration::from_millis(200);

/// A server whose second answer and all later ones are another token, or a failure.
fn first_then(second: Reply) -> Server {
    Server::new(move |before, _| match before {
        0 => token("first", 1200),
        _ => second.clone(),
    })
}

const SOFT: Duration = Duration::from_secs(1000);
const HARD: Duration = Duration::from_secs(1175);
const EXPIRED: Duration = Duration::from_secs(1201);

fn state(client: &Client) -> State {
    client.stats(None).unwrap().state
}

#[test]
fn a_fresh_token_causes_no_request() {
    let server = Server::tokens(1200);
    let (client, clock) = manual_client(&server);
    client.token().unwrap();
    clock.advance(Duration::from_secs(599));
    for outcome in together(8, |_| client.token()) {
        assert_eq!(value(outcome), "token-1");
    }
    assert_eq!((server.requests(), state(&client)), (1, State::Fresh));
}

#[test]
fn a_soft_token_is_served_while_one_request_renews_it() {
    let server = first_then(after(SLOW, token("second", 1200)));
    let (client, clock) = manual_client(&server);
    client.token().unwrap();
    clock.advance(SOFT);
    assert_eq!(state(&client), State::Soft);
    let started = Instant::now();
    let outcomes = together(32, |_| client.token());
    assert!(started.elapsed() < SLOW, "a caller waited");
    assert!(outcomes.into_iter().all(|outcome| value(outcome) == "first"));
    until("the renewal", || value(client.token()) == "second");
    assert_eq!((server.requests(), client.stats(None).unwrap().renewals), (2, 1));
    let bodies: Vec<String> = server.received().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies[0], bodies[1], "a renewal repeats the request");
}

#[test]
fn a_hard_token_is_waited_out_and_kept_if_the_fetch_fails() {
    let server = first_then(after(SLOW, token("second", 1200)));
    let (client, clock) = manual_client(&server);
    client.token().unwrap();
    clock.advance(HARD);
    assert!(together(8, |_| client.token()).into_iter().all(|outcome| value(outcome) == "second"));
    assert_eq!(server.requests(), 2);

    let server = first_then(answer(500, "", ""));
    let (client, clock) = manual_client(&server);
    client.token().unwrap();
    clock.advance(HARD);
    assert_eq!((value(client.token()), state(&client)), ("first".to_owned(), State::Hard));
    assert_eq!(value(client.get(&with_timeout(Duration::ZERO))), "first");
    assert_eq!(server.requests(), 2, "one attempt, and then a pause");
}

#[test]
fn a_failing_endpoint_hurts_only_when_the_token_is_dead() {
    for failing in [answer(500, "", ""), oauth_error(401, "invalid_client"), vec![Step::Reset]] {
        let server = first_then(failing);
        let (client, clock) = manual_client(&server);
        client.token().unwrap();
        clock.advance(SOFT);
        for failures in 1..=2 {
            assert_eq!(value(client.token()), "first");
            until("the renewal fails", || client.stats(None).unwrap().failures == failures);
            assert_eq!(value(client.token()), "first");
            assert_eq!(server.requests() as u64, 1 + failures, "one attempt a fetch");
            clock.advance(Duration::from_secs(61));
        }
        clock.advance(EXPIRED - SOFT);
        let error = client.token().unwrap_err();
        assert!(!matches!(error.kind(), Timeout | Pending), "{error}");
        assert_eq!(state(&client), State::Expired);
    }
}

#[test]
fn a_client_heals_with_its_endpoint() {
    let ill = Arc::new(AtomicBool::new(false));
    let is_ill = ill.clone();
    let server = Server::new(move |before, _| match is_ill.load(Ordering::SeqCst) {
        true => answer(500, "", ""),
        false => token(&format!("token-{before}"), 1200),
    });
    let (client, clock) = manual_client(&server);
    client.token().unwrap();
    ill.store(true, Ordering::SeqCst);
    clock.advance(SOFT);
    client.token().unwrap();
    until("the renewal fails", || client.stats(None).unwrap().failures == 1);
    clock.advance(EXPIRED - SOFT);
    assert_eq!(client.token().unwrap_err().kind(), InTrouble);
    ill.store(false, Ordering::SeqCst);
    clock.advance(Duration::from_secs(60));
    assert_eq!(value(client.token()), "token-3");
}

#[test]
fn min_ttl_asks_at_most_four_times_a_lifetime() {
    let server = Server::tokens(1200);
    let (client, clock) = manual_client(&server);
    let long = GetOptions { min_ttl: Duration::from_secs(5000), ..GetOptions::default() };
    for _ in 0..1200 {
        client.get(&long).unwrap();
        clock.advance(Duration::from_secs(1));
    }
    assert!(server.requests() <= 5, "{}", server.requests());
}

#[test]
fn a_refused_token_is_dropped_once() {
    let server = Server::tokens(1200);
    let (client, clock) = manual_client(&server);
    let first = client.token().unwrap();
    clock.advance(Duration::from_secs(2));
    client.invalidate(&first);
    assert_eq!(state(&client), State::Empty);
    let second = client.token().unwrap();
    assert_eq!(second.value(), "token-2");
    // The API answers 401 to the first one's last requests, and to the second token as well.
    clock.advance(Duration::from_secs(2));
    client.invalidate(&first);
    client.invalidate_value("Bearer token-1");
    assert_eq!(value(client.token()), "token-2");
    client.invalidate_value("bearer token-2");
    client.invalidate(&second);
    assert_eq!(value(client.token()), "token-3");
    assert_eq!(server.requests(), 3);
}

#[test]
fn a_storm_of_401_is_spaced() {
    let server = Server::tokens(1200);
    let client = client(&server);
    let started = Instant::now();
    for _ in 0..3 {
        let token = client.token().unwrap();
        client.invalidate(&token);
    }
    assert_eq!(server.requests(), 3);
    assert!(started.elapsed() >= Duration::from_millis(1990), "{:?}", started.elapsed());
}

#[test]
fn a_wrapper_sees_by_the_serial_until_when_its_own_copy_holds() {
    let server = Server::tokens(1200);
    let (client, clock) = manual_client(&server);
    assert_eq!(client.serial_at_hand(None), None, "no token yet");
    let first = client.token().unwrap();
    let at_hand = || client.serial_at_hand(None).map(|serial| serial.get());
    assert_eq!(at_hand(), Some(first.serial()));
    assert_eq!(client.serial_at_hand(Some("some.other")), None);
    clock.advance(SOFT);
    assert_eq!(at_hand(), None, "somebody has to ask for the renewal");
    value(client.token());
    // While it is under way, the first one is at hand again.
    until("the renewal", || at_hand().is_some_and(|serial| serial != first.serial()));
    let second = client.token().unwrap();
    assert_ne!(first.serial(), second.serial());
    client.invalidate(&second);
    assert_eq!(at_hand(), None, "an API refused it");
    clock.advance(Duration::from_secs(1));
    value(client.token());
    client.close();
    assert_eq!(at_hand(), None, "the client is closed");
    assert_eq!(server.requests(), 3);
}

// --- hits ------------------------------------------------------------------------------------

/// Counts what each thread allocates. (The C library has an allocator of its own.)
#[cfg(not(feature = "capi"))]
mod allocations {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::cell::Cell;

    thread_local!(static MADE: Cell<u64> = const { Cell::new(0) });

    struct Counting;

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    // SAFETY: every call is passed on to the system's allocator as it is; the count is a number
    // without a destructor, which allocates nothing.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            MADE.set(MADE.get() + 1);
            // SAFETY: the caller keeps `alloc`'s contract, which is the same.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            // SAFETY: as above.
            unsafe { System.dealloc(pointer, layout) }
        }
    }

    /// How many allocations of this thread a call makes.
    pub fn of<R>(call: impl FnOnce() -> R) -> u64 {
        let before = MADE.get();
        let kept = call();
        let made = MADE.get() - before;
        drop(kept);
        made
    }
}

#[test]
#[cfg(not(feature = "capi"))]
fn a_hit_allocates_nothing_but_the_copy() {
    let server = Server::tokens(1200);
    let client = client(&server);
    let scoped = GetOptions { scope: Some("site.view"), ..GetOptions::default() };
    let long = GetOptions { min_ttl: Duration::from_secs(60), ..GetOptions::default() };
    client.token().unwrap();
    client.get(&scoped).unwrap();
    let awaited = |options: &GetOptions<'_>| {
        let mut future = std::pin::pin!(client.get_future(options));
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome.unwrap(),
            Poll::Pending => panic!("it is at hand"),
        }
    };
    for options in [&GetOptions::default(), &scoped, &long] {
        assert_eq!(allocations::of(|| client.get(options).unwrap()), 1, "{options:?}");
        assert_eq!(allocations::of(|| awaited(options)), 1, "{options:?}");
        let sent = Arc::new(AtomicBool::new(false));
        let told = sent.clone();
        let function = move |outcome: Result<_, _>| told.store(outcome.is_ok(), Ordering::SeqCst);
        assert_eq!(allocations::of(|| client.get_async(options, function)), 1, "{options:?}");
        assert!(sent.load(Ordering::SeqCst));
        let serial = || client.serial_at_hand_for(options.scope, options.min_ttl).unwrap();
        assert_eq!(allocations::of(serial), 0, "{options:?}");
        let mut buffer = [0; 100];
        assert_eq!(allocations::of(|| client.copy_bearer(options.scope, &mut buffer)), 0);
    }
    assert_eq!(server.requests(), 2);
}

/// At hand when it was asked for, and dead when the task comes to it.
#[test]
fn a_future_gives_no_token_that_has_died_since() {
    let server = Server::tokens(1200);
    let (client, clock) = manual_client(&server);
    client.token().unwrap();
    let within = |seconds| with_timeout(Duration::from_secs(seconds));
    let mut futures =
        [client.get_future(&within(5)), client.get_future(&within(3000)), client.token_async()];
    let mut poll =
        |at: usize| std::pin::pin!(&mut futures[at]).poll(&mut Context::from_waker(Waker::noop()));
    clock.advance(EXPIRED);
    let Poll::Ready(outcome) = poll(0) else { panic!("its own time is over") };
    assert_eq!(outcome.unwrap_err().kind(), Timeout);
    let mut outcome = poll(1);
    until("another token", || {
        if outcome.is_pending() {
            outcome = poll(1);
        }
        outcome.is_ready()
    });
    let Poll::Ready(outcome) = outcome else { unreachable!() };
    assert_eq!(value(outcome), "token-2");
    assert!(poll(1).is_pending(), "its outcome has been taken");
    drop(client);
    let Poll::Ready(outcome) = poll(2) else { panic!("there is nobody to wait for") };
    assert_eq!(outcome.unwrap_err().kind(), tu_token::ErrorKind::Closed);
}
