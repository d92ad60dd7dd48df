//! Tokens as a wrapper sees them, hits that allocate nothing, and futures. The states of a token:
//! `tests/vectors/life.json`.

use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::support::{Server, client, manual_client, until, value, with_timeout};
use tu_token::ErrorKind::Timeout;

const SOFT: Duration = Duration::from_secs(1000);
const EXPIRED: Duration = Duration::from_secs(1201);

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
    assert!(client.known_scope("some.other").is_none());
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tu_token::GetOptions;

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
        if let Some(known) = options.scope.and_then(|scope| client.known_scope(scope)) {
            let of_known = || client.serial_of_known(&known, options.min_ttl).unwrap();
            assert_eq!(allocations::of(of_known), 0, "{options:?}");
            assert_eq!(of_known(), serial());
        }
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
