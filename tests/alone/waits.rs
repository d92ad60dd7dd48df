//! Those who wait, those who do not, and the functions that are called: none is in another's way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crate::alone;
use crate::support::{
    Server, Step, answer, builder, client, gated, manual_client, patient_builder, token, until,
    value, with_timeout,
};
use tu_token::ErrorKind::{Budget, Cancelled, Closed, Pending, Server as InTrouble, Timeout};
use tu_token::{Cancel, Client, Error, Event, EventKind, GetOptions, ManualClock, State, Token};

/// What has to come soon comes within this, on a busy machine too.
const SOON: Duration = Duration::from_secs(20);

/// Asks with a function, and returns where its outcome arrives.
fn ask(client: &Client, options: &GetOptions<'_>) -> mpsc::Receiver<Result<Token, Error>> {
    let (send, receive) = mpsc::channel();
    // Whoever does not care for the outcome has dropped the other end.
    client.get_async(options, move |outcome| drop(send.send(outcome))).unwrap();
    receive
}

/// An event callback that writes everything down, and what it wrote.
fn recorded() -> (impl Fn(&Event) + Send + Sync + 'static, Arc<Mutex<Vec<Event>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    (move |event: &Event| seen.lock().unwrap().push(event.clone()), events)
}

fn count(events: &Mutex<Vec<Event>>, kind: EventKind) -> usize {
    events.lock().unwrap().iter().filter(|event| event.kind == kind).count()
}

// --- calls that do not wait ------------------------------------------------------------------

#[test]
fn a_call_that_does_not_wait_is_owed_its_fetch() {
    let _alone = alone();
    let no_wait = with_timeout(Duration::ZERO);
    for by_function in [false, true] {
        let server = Server::tokens(1200);
        let (client, clock) = manual_client(&server);
        let get = || match by_function {
            true => ask(&client, &no_wait).recv_timeout(SOON).unwrap(),
            false => client.get(&no_wait),
        };
        client.invalidate(&client.token().unwrap());
        // Too soon after the last fetch: the next one has to wait its second, the caller has not. (The clock stands
        // still.)
        for _ in 0..3 {
            assert_eq!(get().unwrap_err().kind(), Pending);
        }
        assert_eq!(server.requests(), 1);
        // Nobody asks again, and yet:
        until("the fetch", || {
            clock.advance(Duration::from_millis(100));
            client.stats(None).unwrap().state == State::Fresh
        });
        assert_eq!(value(get()), "token-2");
        assert_eq!(server.requests(), 2);
    }
}

// --- functions -------------------------------------------------------------------------------

#[test]
fn functions_are_called_in_time_while_every_fetching_thread_hangs() {
    let _alone = alone();
    let server = Server::always(vec![Step::Hang]);
    let slow = [(); 2].map(|()| builder(&server.url()).build().unwrap());
    let outcomes: Vec<_> = (0..70)
        .map(|number| {
            let scope = format!("scope-{number}");
            let options = GetOptions { scope: Some(&scope), ..with_timeout(10 * SOON) };
            ask(&slow[number % 2], &options)
        })
        .collect();
    until("no thread is left", || server.requests() == 64);

    let other = client(&server);
    let at = Instant::now();
    let late = ask(&other, &with_timeout(Duration::from_millis(200)));
    assert_eq!(late.recv_timeout(SOON / 2).unwrap().unwrap_err().kind(), Timeout);
    assert!(at.elapsed() >= Duration::from_millis(190), "too early: {:?}", at.elapsed());

    let cancel = Cancel::new();
    let options = GetOptions { cancel: Some(&cancel), ..with_timeout(10 * SOON) };
    let cancelled = ask(&other, &options);
    cancel.trigger();
    assert_eq!(cancelled.recv_timeout(SOON).unwrap().unwrap_err().kind(), Cancelled);

    let at = Instant::now();
    slow.iter().for_each(Client::close);
    for outcome in outcomes {
        let left = SOON.saturating_sub(at.elapsed());
        assert_eq!(outcome.recv_timeout(left).unwrap().unwrap_err().kind(), Closed);
    }
    assert_eq!(server.requests(), 64);
}

/// A fetch that only waits, for a `Retry-After` here, needs no thread meanwhile.
#[test]
fn fetches_that_wait_for_one_endpoint_do_not_hold_up_another() {
    let _alone = alone();
    let (busy, gate) = gated(answer(429, "Retry-After: 50\r\n", ""));
    let healthy = Server::tokens(1200);
    let slow = builder(&busy.url()).set("fetch_timeout", "100s").build().unwrap();
    let _waiting: Vec<_> = (0..70)
        .map(|number| {
            let scope = format!("scope-{number}");
            ask(&slow, &GetOptions { scope: Some(&scope), ..with_timeout(10 * SOON) })
        })
        .collect();
    until("all that can have asked", || busy.requests() >= 64);
    gate.store(true, Ordering::SeqCst);
    // What was told to wait is not asked again, so this is when all have been told.
    until("they wait", || slow.stats(Some("scope-0")).unwrap().next_request_in > SOON);
    assert_eq!(value(client(&healthy).token()), "token-1");
    let still = slow.stats(Some("scope-0")).unwrap().next_request_in;
    assert!(still > Duration::ZERO, "it waited for the other");
    slow.close();
}

#[test]
fn a_slow_function_does_not_delay_a_thread_that_waits_for_the_same_fetch() {
    let _alone = alone();
    let (server, gate) = gated(token("shared", 1200));
    let client = patient_builder(&server.url()).build().unwrap();
    let (thread_is_served, served) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    let slow = move |outcome| {
        let was_in_time = served.recv_timeout(2 * SOON).is_ok();
        tell.send((was_in_time, value(outcome))).unwrap();
    };
    client.get_async(&GetOptions::default(), slow).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let got = value(client.token());
            thread_is_served.send(()).unwrap();
            got
        });
        until("both wait", || client.stats(None).unwrap().waits == 2);
        gate.store(true, Ordering::SeqCst);
        assert_eq!(thread.join().unwrap(), "shared");
    });
    let outcome = told.recv_timeout(3 * SOON).unwrap();
    assert_eq!(outcome, (true, "shared".to_owned()), "the thread waited for the function");
    assert_eq!(server.requests(), 1);
}

/// As much of the stack as a program's callback may well use.
#[inline(never)]
fn use_stack() -> usize {
    let mut space = [1_u8; 300 * 1024];
    std::hint::black_box(&mut space);
    space.iter().map(|byte| usize::from(*byte)).sum()
}

#[test]
fn a_function_that_panics_takes_no_other_with_it() {
    let _alone = alone();
    let (server, gate) = gated(token("for-all", 1200));
    let client = client(&server);
    let options = GetOptions::default();
    let before = ask(&client, &options);
    client.get_async(&options, |_| panic!("on purpose")).unwrap();
    let after = ask(&client, &options);
    gate.store(true, Ordering::SeqCst);
    assert_eq!(value(before.recv_timeout(SOON).unwrap()), "for-all");
    assert_eq!(value(after.recv_timeout(SOON).unwrap()), "for-all");
}

#[test]
fn functions_have_room_on_the_stack() {
    let _alone = alone();
    let (server, gate) = gated(token("t", 1200));
    let used = Arc::new(Mutex::new(Vec::new()));
    let by_event = used.clone();
    let client = builder(&server.url())
        .set("fetch_timeout", "10s")
        .on_event(move |_: &Event| by_event.lock().unwrap().push(use_stack()))
        .build()
        .unwrap();
    let (send, receive) = mpsc::channel();
    let function = move |outcome| send.send((use_stack(), value(outcome))).unwrap();
    client.get_async(&GetOptions::default(), function).unwrap();
    gate.store(true, Ordering::SeqCst);
    let outcome = receive.recv_timeout(2 * SOON).unwrap();
    assert_eq!(outcome, (300 * 1024, "t".to_owned()));
    // One that begins, one that ends.
    until("the events are told", || used.lock().unwrap().len() == 2);
    assert!(used.lock().unwrap().iter().all(|bytes| *bytes == 300 * 1024));
}

// --- tokens that die on their way --------------------------------------------------------------

/// A client with a clock turned by hand, whose endpoint gives tokens of two seconds once a gate is
/// open.
fn short_lived() -> (Server, Arc<AtomicBool>, Client, Arc<ManualClock>) {
    let gate = Arc::new(AtomicBool::new(false));
    let is_open = gate.clone();
    let server = Server::new(move |before, _| {
        until("the gate opens", || is_open.load(Ordering::SeqCst));
        token(&format!("token-{}", before + 1), 2)
    });
    let (client, clock) = manual_client(&server);
    // Ahead of the machine's own clock, by which waits are looked at between two events.
    clock.advance(Duration::from_secs(1_000_000_000));
    (server, gate, client, clock)
}

#[test]
fn a_function_that_takes_longer_than_the_token_lives_leaves_the_next_one_no_dead_token() {
    let _alone = alone();
    let (server, gate, client, clock) = short_lived();
    let (send, receive) = mpsc::channel();
    for _ in 0..2 {
        let (send, clock) = (send.clone(), clock.clone());
        let slow = move |outcome| {
            clock.advance(Duration::from_secs(3));
            send.send(value(outcome)).unwrap();
        };
        client.get_async(&GetOptions::default(), slow).unwrap();
    }
    gate.store(true, Ordering::SeqCst);
    let got = [(); 2].map(|()| receive.recv_timeout(10 * SOON).unwrap());
    assert_eq!(got, ["token-1", "token-2"], "the first is dead when the second is called");
    assert_eq!(server.requests(), 2);
}

#[test]
fn a_function_whose_own_time_is_over_gets_no_dead_token_either() {
    let _alone = alone();
    let (server, gate, client, clock) = short_lived();
    let (send, receive) = mpsc::channel();
    for _ in 0..2 {
        let (send, clock) = (send.clone(), clock.clone());
        let slow = move |outcome: Result<Token, Error>| {
            clock.advance(Duration::from_secs(60));
            let got = outcome.map(|token| token.value().to_owned());
            send.send(got.map_err(|error| error.kind())).unwrap();
        };
        client.get_async(&with_timeout(Duration::from_secs(30)), slow).unwrap();
    }
    gate.store(true, Ordering::SeqCst);
    assert_eq!(receive.recv_timeout(SOON).unwrap(), Ok("token-1".to_owned()));
    assert_eq!(receive.recv_timeout(SOON).unwrap(), Err(Timeout));
    assert_eq!(server.requests(), 1);
}

/// Whether a future's task was woken.
#[derive(Default)]
struct Told(AtomicBool);

impl Wake for Told {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_task_that_comes_late_to_its_future_gets_another_token() {
    let _alone = alone();
    let (server, gate, client, clock) = short_lived();
    let mut context = Context::from_waker(Waker::noop());
    let told = Arc::new(Told::default());
    let waker = Waker::from(told.clone());
    let mut late = std::pin::pin!(client.token_async());
    let mut too_late = std::pin::pin!(client.get_future(&with_timeout(Duration::from_secs(2))));
    assert!(late.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    gate.store(true, Ordering::SeqCst);
    // The entry has its token a moment before its waiters are notified.
    until("it is notified", || told.0.load(Ordering::SeqCst));
    clock.advance(Duration::from_secs(3));
    let Poll::Ready(outcome) = too_late.as_mut().poll(&mut context) else { panic!("it waits") };
    assert_eq!(outcome.unwrap_err().kind(), Timeout, "its own time is over");
    let mut outcome = None;
    until("another token", || {
        if let Poll::Ready(ready) = late.as_mut().poll(&mut context) {
            outcome = Some(ready);
        }
        outcome.is_some()
    });
    assert_eq!(value(outcome.unwrap()), "token-2");
    assert_eq!(server.requests(), 2);
}

#[test]
fn a_future_whose_client_has_gone_gives_no_dead_token() {
    let _alone = alone();
    let (_server, gate, client, clock) = short_lived();
    let mut futures = [(); 2].map(|()| client.token_async());
    let told = [(); 2].map(|()| Arc::new(Told::default()));
    for (future, told) in futures.iter_mut().zip(&told) {
        let waker = Waker::from(told.clone());
        assert!(std::pin::pin!(future).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    gate.store(true, Ordering::SeqCst);
    // The entry has its token a moment before its waiters are notified.
    until("both are notified", || told.iter().all(|told| told.0.load(Ordering::SeqCst)));
    let mut context = Context::from_waker(Waker::noop());
    drop(client);
    let mut poll = |at: usize| match std::pin::pin!(&mut futures[at]).poll(&mut context) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("there is nobody to wait for"),
    };
    assert_eq!(value(poll(0)), "token-1", "it was there before");
    clock.advance(Duration::from_secs(3));
    assert_eq!(poll(1).unwrap_err().kind(), Closed);
}

// --- cancelling ------------------------------------------------------------------------------

#[test]
fn two_hundred_cancels_end_two_hundred_waits_and_no_other() {
    const CANCELLED: usize = 200;
    const SERVED: usize = 20;
    let _alone = alone();
    let (server, gate) = gated(token("shared", 1200));
    let client = patient_builder(&server.url()).build().unwrap();
    let cancels: Vec<Cancel> = (0..CANCELLED + SERVED).map(|_| Cancel::new()).collect();
    let (send, receive) = mpsc::channel();
    std::thread::scope(|scope| {
        for (number, cancel) in cancels.iter().enumerate() {
            let (send, client) = (send.clone(), &client);
            scope.spawn(move || {
                let options = GetOptions { cancel: Some(cancel), ..GetOptions::default() };
                let outcome = client.get(&options).map(|token| token.value().to_owned());
                send.send((number, outcome)).unwrap();
            });
        }
        until("all wait", || client.stats(None).unwrap().waits == cancels.len() as u64);
        for number in shuffled(cancels.len()).into_iter().take(CANCELLED) {
            cancels[number].trigger();
            let (ended, outcome) = receive.recv_timeout(SOON).unwrap();
            assert_eq!((ended, outcome.unwrap_err().kind()), (number, Cancelled));
        }
        assert!(receive.try_recv().is_err(), "a wait ended that nobody cancelled");
        gate.store(true, Ordering::SeqCst);
        for _ in 0..SERVED {
            let (number, outcome) = receive.recv_timeout(SOON).unwrap();
            assert!(!cancels[number].is_triggered());
            assert_eq!(outcome.unwrap(), "shared");
        }
    });
    assert_eq!(server.requests(), 1);
}

/// The numbers below `count` in an order that looks like chance and is the same in each run.
fn shuffled(count: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..count).collect();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for last in (1..count).rev() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        numbers.swap(last, (random % (last as u64 + 1)) as usize);
    }
    numbers
}

// --- futures ---------------------------------------------------------------------------------

/// Counts by its references who could still wake somebody.
struct Wakes;

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_future_that_is_dropped_leaves_its_place() {
    let _alone = alone();
    let (server, gate) = gated(token("late", 1200));
    let client = client(&server);
    let wakes = Arc::new(Wakes);
    let waker = Waker::from(wakes.clone());
    let mut context = Context::from_waker(&waker);
    let mut stays = std::pin::pin!(client.token_async());
    for _ in 0..1000 {
        let mut leaves = std::pin::pin!(client.token_async());
        assert!(leaves.as_mut().poll(&mut context).is_pending());
    }
    assert!(stays.as_mut().poll(&mut context).is_pending());
    // Ours, the context's, and that of the one future that is left.
    assert_eq!(Arc::strong_count(&wakes), 3);
    gate.store(true, Ordering::SeqCst);
    let mut outcome = None;
    until("the one that stays is served", || {
        if let Poll::Ready(ready) = stays.as_mut().poll(&mut context) {
            outcome = Some(ready);
        }
        outcome.is_some()
    });
    assert_eq!(value(outcome.unwrap()), "late");
    assert_eq!(server.requests(), 1);
}

// --- the budget ------------------------------------------------------------------------------

#[test]
fn a_budget_that_has_run_out_is_told_once() {
    let _alone = alone();
    let server = Server::tokens(1200);
    let (record, events) = recorded();
    let client = builder(&server.url())
        .set("max_requests_per_minute", "1")
        .on_event(record)
        .build()
        .unwrap();
    assert_eq!(value(client.token()), "token-1");
    for scope in ["c", "d", "c", "c"] {
        let options = GetOptions { scope: Some(scope), ..GetOptions::default() };
        let error = client.get(&options).unwrap_err();
        assert_eq!(error.kind(), Budget, "{error}");
        let wait = error.retry_after().expect("the wait is known");
        assert!(wait > Duration::from_secs(30) && wait <= Duration::from_secs(60), "{wait:?}");
        let outcome = ask(&client, &options).recv_timeout(SOON).unwrap();
        assert_eq!(outcome.unwrap_err().kind(), Budget);
    }
    assert_eq!(value(client.token()), "token-1");
    assert_eq!(server.requests(), 1);
    // Events are told in order: after this one nothing of the above is to come.
    client.rotate("other-id", "other-secret").unwrap();
    until("the last event", || count(&events, EventKind::Rotated) == 1);
    assert_eq!(count(&events, EventKind::Budget), 1);
    let events = events.lock().unwrap();
    let event = events.iter().find(|event| event.kind == EventKind::Budget).unwrap();
    assert_eq!(event.error, Some(Budget));
    assert!(event.wait.is_some_and(|wait| wait > Duration::from_secs(30)));
}

// --- wake ------------------------------------------------------------------------------------

#[test]
fn wake_lets_a_caller_ask_at_once() {
    let _alone = alone();
    let ill = Arc::new(AtomicBool::new(true));
    let is_ill = ill.clone();
    let server = Server::new(move |_, _| match is_ill.load(Ordering::SeqCst) {
        true => answer(500, "", ""),
        false => token("healed", 1200),
    });
    let (client, clock) = manual_client(&server);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| client.token().unwrap_err());
        // Turns the pauses between the attempts into nothing.
        until("the first fetch ends", || {
            clock.advance(Duration::from_millis(5));
            first.is_finished()
        });
    });
    for _ in 0..4 {
        clock.advance(Duration::from_secs(60));
        assert_eq!(client.token().unwrap_err().kind(), InTrouble);
    }
    let requests = server.requests();
    ill.store(false, Ordering::SeqCst);
    // Past the minimum between two fetches; the failure is remembered for longer.
    clock.advance(Duration::from_secs(1));
    let error = client.token().unwrap_err();
    assert!(error.retry_after().unwrap() >= Duration::from_secs(3), "{:?}", error.retry_after());
    assert_eq!((error.kind(), server.requests()), (InTrouble, requests));
    client.wake();
    assert_eq!((value(client.token()).as_str(), server.requests()), ("healed", requests + 1));
}
