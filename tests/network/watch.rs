//! Tries one fault, once with a client that has no token and once with one that has, and compares what
//! was observed with what is expected.

use std::fmt::{Debug, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tu_token::{Client, Clock, Error, ErrorKind, EventKind, ManualClock, State, Token};

use crate::leaks::{Search, TOKEN};
use crate::line::Line;
use crate::row::{Ends, Expected, Remembered, Try};
use crate::scene::{LATE, SHORT, Scene};
use crate::support::until;

/// What a call may take that waits for nothing: half a second, ten times over for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(5);
/// The most that a fetch's pauses take.
const PAUSES: Duration = Duration::from_millis(750);

/// In KiB, what a request holds whose connection fails. A connected one holds at least a byte; it may seem
/// to hold far less than its buffers, as what it frees may have been allocated by others.
pub const NOTHING: usize = 0;

/// What the test saw.
#[derive(Clone, Debug)]
pub struct Observed {
    /// `None`: a token.
    pub status: Option<ErrorKind>,
    pub message: String,
    pub requests: u64,
    pub took: Duration,
    /// What the events say of how long its failed attempts took together, and how long the client lived.
    pub attempts: (Duration, Duration),
    pub retry_after: Option<Duration>,
    /// Of a second call: whether it failed at once in the same way, without a request.
    pub is_remembered: bool,
    pub kib: usize,
    /// A piece of a secret in an error, an event or what `Debug` shows.
    pub leak: Option<String>,
    /// `None`: not tried.
    pub cached: Option<Cached>,
}

/// What callers with a valid token met.
#[derive(Clone, Debug)]
pub struct Cached {
    /// In the soft window: the token, while the renewal was stopped.
    pub soft: bool,
    pub soft_requests: u64,
    /// The renewal brought a token.
    pub is_renewed: bool,
    pub next_request_in: Duration,
    /// In the hard margin, unless the renewal had succeeded: whether it was that token. `None`: none.
    pub hard: Option<bool>,
    pub hard_requests: u64,
    pub hard_took: Duration,
}

pub fn observe(
    scene: &Scene,
    search: &Search,
    one: &Try,
    ends: Ends,
    with_token: bool,
) -> Observed {
    let mut shown = String::new();
    let cold = Line::new();
    scene.heal(&cold, one.way);
    let (client, events) = scene.client(&cold, one.way, ends, Clock::System);
    let kept = (one.install)(&cold);
    let began = Instant::now();
    let outcome = in_time(&client, None);
    let took = began.elapsed();
    show(&mut shown, &client, &outcome);
    let requests = client.stats(None).unwrap().requests;
    let mut observed = Observed {
        status: outcome.as_ref().err().map(Error::kind),
        message: outcome.as_ref().err().map(Error::to_string).unwrap_or_default(),
        requests,
        took,
        attempts: (Duration::ZERO, Duration::ZERO),
        retry_after: outcome.as_ref().err().and_then(Error::retry_after),
        is_remembered: false,
        kib: 0,
        leak: None,
        cached: None,
    };
    if outcome.is_err() {
        let again = in_time(&client, None);
        show(&mut shown, &client, &again);
        observed.is_remembered = again.as_ref().err().map(Error::kind) == observed.status
            && client.stats(None).unwrap().requests == requests;
    }
    let lived = began.elapsed();
    drop((client, kept));
    let events = events.all();
    events.iter().for_each(|event| write!(shown, "{event} {event:?}").unwrap());
    let failed = events.iter().filter(|event| event.kind == EventKind::FetchFailed);
    observed.attempts = (failed.map(|event| event.duration).sum(), lived);
    // On a machine that is busy, what is remembered for a second may have passed.
    let pauses = if requests > 1 { PAUSES } else { Duration::ZERO };
    let idle = lived.saturating_sub(observed.attempts.0 + pauses);
    observed.is_remembered |= outcome.is_err() && idle > Duration::from_millis(500);

    let mut peak = cold.peak();
    if with_token {
        let warm = Line::new();
        observed.cached = Some(meanwhile(scene, one, ends, &warm, &mut shown));
        peak = peak.max(warm.peak());
    }
    observed.kib = peak.div_ceil(1024);
    observed.leak = search.found_in(&shown).map(str::to_owned);
    if std::env::var_os("NETWORK_FAULTS").is_some() {
        eprintln!("{}: {observed:?}", one.name);
    }
    observed
}

/// A call that comes back, whatever is wrong. A clock that stands still passes meanwhile.
fn in_time(client: &Client, clock: Option<&ManualClock>) -> Result<Token, Error> {
    const TICK: Duration = Duration::from_millis(20);
    let (client, (done, told)) = (client.clone(), std::sync::mpsc::channel());
    std::thread::spawn(move || done.send(client.token()));
    for _ in 0..120 * 50 {
        if let Ok(outcome) = told.recv_timeout(TICK) {
            return outcome;
        }
        clock.iter().for_each(|clock| clock.advance(TICK));
    }
    panic!("a call never returned");
}

fn show(shown: &mut String, client: &Client, outcome: &Result<Token, Error>) {
    write!(shown, "{client:?} {outcome:?} ").unwrap();
    if let Err(error) = outcome {
        write!(shown, "{error} {} {:?} ", error.message(), error.oauth_code()).unwrap();
    }
}

/// The fault, with a client that has got a token before. Its clock is turned by the test.
fn meanwhile(scene: &Scene, one: &Try, ends: Ends, line: &Line, shown: &mut String) -> Cached {
    scene.heal(line, one.way);
    let clock = Arc::new(ManualClock::default());
    let (client, events) = scene.client(line, one.way, ends, Clock::Manual(clock.clone()));
    let is_first =
        |outcome: &Result<Token, Error>| outcome.as_ref().is_ok_and(|token| token.value() == TOKEN);
    let first = in_time(&client, Some(&clock));
    assert!(is_first(&first), "{}: {first:?}", one.name);
    let before = client.stats(None).unwrap();
    line.stop(true);
    line.forget_peak();
    let kept = (one.install)(line);
    clock.advance(Duration::from_secs(1000));
    assert_eq!(client.stats(None).unwrap().state, State::Soft);
    let soft = in_time(&client, Some(&clock));
    show(shown, &client, &soft);
    // Nothing has come of the renewal yet, unless it needed no connection.
    let renewed = client.stats(None).unwrap().renewals;
    line.stop(false);
    until("the renewal ends", || {
        let now = client.stats(None).unwrap();
        now.failures > before.failures || now.renewals > before.renewals
    });
    let after_soft = client.stats(None).unwrap();
    let mut cached = Cached {
        soft: is_first(&soft) && renewed == before.renewals,
        soft_requests: after_soft.requests - before.requests,
        is_renewed: after_soft.renewals > before.renewals,
        next_request_in: after_soft.next_request_in,
        hard: None,
        hard_requests: 0,
        hard_took: Duration::ZERO,
    };
    if !cached.is_renewed {
        clock.advance(Duration::from_secs(172));
        assert_eq!(client.stats(None).unwrap().state, State::Hard);
        let began = Instant::now();
        let hard = in_time(&client, Some(&clock));
        show(shown, &client, &hard);
        (cached.hard, cached.hard_took) =
            (hard.map(|token| token.value() == TOKEN).ok(), began.elapsed());
        cached.hard_requests = client.stats(None).unwrap().requests - after_soft.requests;
    }
    drop((client, kept));
    events.all().iter().for_each(|event| write!(shown, "{event} {event:?}").unwrap());
    cached
}

/// What differs from what is expected.
pub fn compare(expected: &Expected, observed: &Observed) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut equal = |what: &str, is_right: bool, found: &dyn Debug, wanted: &dyn Debug| {
        if !is_right {
            wrong.push(format!("{what}: {found:?}, not {wanted:?}"));
        }
    };
    let Observed { status, message, requests, took, attempts, retry_after, kib, leak, .. } =
        observed;
    equal("status", *status == expected.status, status, &expected.status);
    equal("message", message.contains(expected.says), message, &expected.says);
    equal("requests", *requests == expected.requests, requests, &expected.requests);
    let times = time(expected.ends, expected.requests);
    equal("time", times.contains(took), took, &times);
    // One after the other: together they take no longer than the client lived.
    let (attempts, lived) = attempts;
    equal("duration of the attempts", attempts <= lived, attempts, lived);
    equal("KiB", *kib <= expected.kib, kib, &expected.kib);
    equal("leak", leak.is_none(), leak, &None::<String>);
    let waits = wait(expected.remembered, false);
    let waited = retry_after.map(|wait| wait.as_secs_f64());
    equal("remembered", waited.map_or(waits.is_none(), |it| within(it, waits)), &waited, &waits);
    equal("again", observed.is_remembered == waits.is_some(), &observed.is_remembered, &"the same");

    let Some(cached) = &observed.cached else { return wrong };
    equal("a token in the soft window", cached.soft, &cached.soft, &"the token");
    equal("renewals", cached.soft_requests == 1, &cached.soft_requests, &1);
    if expected.status.is_none() {
        let is_renewed = cached.is_renewed || cached.hard.is_some();
        equal("renewed", is_renewed, &cached, &"a token");
        return wrong;
    }
    let (waits, next) = (wait(expected.remembered, true), cached.next_request_in.as_secs_f64());
    equal("next renewal", within(next, waits), &next, &waits);
    equal("a token in the hard margin", cached.hard == Some(true), &cached.hard, &"the token");
    let is_held_back = match expected.remembered {
        Remembered::Seconds(seconds) => seconds > 172,
        Remembered::HalfAnHour => true,
        _ => false,
    };
    let probes = u64::from(!is_held_back);
    equal("probes", cached.hard_requests == probes, &cached.hard_requests, &probes);
    let most = *time(expected.ends, 1).end();
    equal("time in the hard margin", cached.hard_took <= most, &cached.hard_took, &most);
    wrong
}

fn within(found: f64, bounds: Option<(f64, f64)>) -> bool {
    bounds.is_some_and(|(least, most)| (least..=most).contains(&found))
}

/// How long a call may take. What runs into a limit takes at least that; ten times the figure is allowed.
fn time(ends: Ends, requests: u64) -> std::ops::RangeInclusive<Duration> {
    let times = u32::try_from(requests).unwrap();
    let (least, figure) = match ends {
        Ends::AtOnce => (Duration::ZERO, AT_ONCE / 10),
        Ends::Connect | Ends::Request => (SHORT * times, SHORT * times),
        Ends::OneConnect => (LATE, LATE),
        Ends::HalfConnect => (LATE / 2, LATE / 2),
        Ends::Pause(seconds) => (Duration::from_secs(seconds), Duration::from_secs(seconds)),
    };
    least..=(10 * figure + PAUSES)
}

/// Between how many seconds and how many the next request comes; `with_token`: while there is one.
fn wait(remembered: Remembered, with_token: bool) -> Option<(f64, f64)> {
    match remembered {
        Remembered::Not => None,
        Remembered::Transient if with_token => Some((2.5, 5.0)),
        // What has passed since then on a busy machine is not known.
        Remembered::Transient => Some((0.01, 1.0)),
        Remembered::Refusal => Some((50.0, 60.0)),
        #[allow(clippy::cast_precision_loss)]
        Remembered::Seconds(seconds) => Some((seconds as f64 - 10.0, seconds as f64)),
        Remembered::HalfAnHour if with_token => Some((50.0, 1800.0)),
        Remembered::HalfAnHour => Some((1740.0, 1800.0)),
    }
}

/// Expectations that must not be met: each differs from a row's own in one column.
pub fn wrong_expectations(right: &Expected) -> Vec<Expected> {
    let other = |change: &dyn Fn(&mut Expected)| {
        let mut other = right.clone();
        change(&mut other);
        other
    };
    let remembered = match right.remembered {
        Remembered::Refusal => Remembered::Transient,
        _ => Remembered::Refusal,
    };
    let ends = match right.ends {
        Ends::AtOnce => Ends::Pause(10),
        _ => Ends::Pause(100),
    };
    let mut others = vec![
        other(&|one| {
            one.status = match one.status {
                None => Some(ErrorKind::Network),
                Some(ErrorKind::Network) => Some(ErrorKind::BadResponse),
                Some(_) => None,
            };
        }),
        other(&|one| one.requests += 1),
        other(&|one| one.ends = ends),
        other(&|one| one.remembered = remembered),
        other(&|one| one.says = "what no message says"),
    ];
    if right.kib > NOTHING {
        others.push(other(&|one| one.kib = NOTHING));
    }
    others
}
