//! What is told to the program's event function.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Reply, Server, Step, builder, until, value};
use tu_token::{Client, Clock, Config, Credentials, Event, EventKind, ManualClock};

const SECOND: Duration = Duration::from_secs(1);

/// A client whose clock is turned by hand, and the events it has told.
struct Scene {
    server: Server,
    client: Client,
    clock: Arc<ManualClock>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Scene {
    fn new() -> Self {
        Self::with_tokens_of(1200, &[])
    }

    fn with_tokens_of(seconds: u64, set: &[(&str, &str)]) -> Self {
        Self::over(Server::tokens(seconds), set)
    }

    fn over(server: Server, set: &[(&str, &str)]) -> Self {
        let (clock, events) = (Arc::new(ManualClock::default()), Arc::default());
        let told: Arc<Mutex<Vec<Event>>> = Arc::clone(&events);
        let mut config = Config::new();
        for (key, value) in crate::support::options(&server.url()).iter().chain(set) {
            config.set(key, value);
        }
        config.on_event(move |event: &Event| told.lock().unwrap().push(event.clone()));
        let client = Client::with_clock(&config, Clock::Manual(clock.clone())).unwrap();
        Self { server, client, clock, events }
    }

    /// The events of a kind, once all that happened so far has been told.
    fn told(&self, kind: EventKind) -> Vec<Event> {
        let is_kind = |kind| move |event: &&Event| event.kind == kind;
        let ends = |events: &[Event]| events.iter().filter(is_kind(EventKind::Rotated)).count();
        let before = ends(&self.events.lock().unwrap());
        // Events are told in order: when this one is, nothing of the above is to come.
        self.client.rotate("id", "secret").unwrap();
        until("the last event", || ends(&self.events.lock().unwrap()) > before);
        self.events.lock().unwrap().iter().filter(is_kind(kind)).cloned().collect()
    }
}

#[test]
fn a_suspend_is_told_with_the_fetch_that_follows_it() {
    let scene = Scene::new();
    assert_eq!(value(scene.client.token()), "token-1");
    scene.clock.suspend(SECOND * 7200);
    assert_eq!(value(scene.client.token()), "token-2");
    let told = scene.told(EventKind::Clock);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].duration, SECOND * 7200);
    assert!(told[0].message.contains("slept"), "{}", told[0].message);
}

#[test]
fn a_wall_clock_that_is_set_is_told_and_changes_nothing() {
    let scene = Scene::new();
    assert_eq!(value(scene.client.token()), "token-1");
    for by_ms in [86_400_000, -2 * 86_400_000] {
        scene.clock.set_wall(by_ms);
        assert_eq!(value(scene.client.token()), "token-1");
    }
    scene.clock.advance(SECOND * 1200);
    assert_eq!(value(scene.client.token()), "token-2");
    let told = scene.told(EventKind::Clock);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].duration, SECOND * 86_400);
    assert!(told[0].message.contains("back"), "{}", told[0].message);
}

#[test]
fn time_that_merely_passes_is_not_told() {
    let scene = Scene::new();
    for number in 1..4 {
        assert_eq!(value(scene.client.token()), format!("token-{number}"));
        scene.clock.advance(SECOND * 1200);
    }
    assert!(scene.told(EventKind::Clock).is_empty());
}

#[test]
fn a_renewal_that_the_budget_holds_back_is_told_though_callers_are_served() {
    let scene = Scene::with_tokens_of(60, &[("max_requests_per_minute", "1")]);
    assert_eq!(value(scene.client.token()), "token-1");
    // Due for renewal from 45 s at the latest; the budget is free again after 60 s.
    scene.clock.advance(SECOND * 46);
    for _ in 0..3 {
        assert_eq!(value(scene.client.token()), "token-1");
    }
    assert_eq!(scene.told(EventKind::Budget).len(), 1);
    assert_eq!(scene.server.requests(), 1);
}

#[test]
fn a_budget_that_is_used_up_all_the_time_is_told_once_a_minute() {
    let scene = Scene::with_tokens_of(1, &[("max_requests_per_minute", "20")]);
    for _ in 0..300 {
        // Tokens of a second: every call wants another.
        let _ = scene.client.token();
        scene.clock.advance(SECOND);
    }
    let told = scene.told(EventKind::Budget).len();
    assert!((4..=5).contains(&told), "{told}");
}

#[test]
fn a_fresh_token_that_an_api_refuses_casts_doubt_once() {
    let scene = Scene::new();
    for _ in 0..3 {
        let token = scene.client.token().unwrap();
        scene.client.invalidate(&token);
        scene.clock.advance(SECOND * 2);
    }
    let told = scene.told(EventKind::Warning);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].message.contains("API Tokens v2"), "{}", told[0].message);
    assert_eq!(scene.told(EventKind::Invalidated).len(), 3);
}

#[test]
fn an_old_token_that_an_api_refuses_casts_no_doubt() {
    let scene = Scene::new();
    let token = scene.client.token().unwrap();
    scene.clock.advance(SECOND * 300);
    scene.client.invalidate(&token);
    assert!(scene.told(EventKind::Warning).is_empty());
}

type Told = Arc<Mutex<Vec<Event>>>;

/// An event function that is held up in its first event, what it was told, and what lets it go on.
fn held_up() -> (impl Fn(&Event) + Send + Sync + 'static, Told, Sender<()>) {
    let told = Told::default();
    let (go_on, gone_on) = channel();
    let (tells, gone_on) = (told.clone(), Mutex::new(Some(gone_on)));
    let function = move |event: &Event| {
        tells.lock().unwrap().push(event.clone());
        if let Some(gone_on) = gone_on.lock().unwrap().take() {
            // Ends also when nobody can send any more.
            let _ = gone_on.recv_timeout(Duration::from_secs(30));
        }
    };
    (function, told, go_on)
}

/// Has that many events told.
fn rotate(client: &Client, times: usize) {
    (0..times).for_each(|_| client.rotate("id", "secret").unwrap());
}

/// Where losses are told, and how many: numbers of events from 0.
fn losses(events: &[Event]) -> Vec<(usize, String)> {
    let messages = events.iter().map(|event| event.message.as_str()).enumerate();
    messages
        .filter_map(|(at, message)| {
            let (_, lost) = message.split_once(" (")?;
            Some((at, lost.split_once(" events before this one were lost")?.0.to_owned()))
        })
        .collect()
}

#[test]
fn lost_events_are_told_where_they_are_missing() {
    let server = Server::tokens(1200);
    let (function, told, go_on) = held_up();
    let client = builder(&server.url()).on_event(function).build().unwrap();
    rotate(&client, 1);
    until("the first is being told", || told.lock().unwrap().len() == 1);
    rotate(&client, 1024 + 76);
    drop(go_on);
    until("what was queued is told", || told.lock().unwrap().len() == 1025);
    assert_eq!(losses(&told.lock().unwrap()), []);
    rotate(&client, 2);
    until("what came later is told", || told.lock().unwrap().len() == 1027);
    assert_eq!(losses(&told.lock().unwrap()), [(1025, "76".to_owned())]);
}

#[test]
fn losses_at_the_end_of_a_client_are_told() {
    let server = Server::tokens(1200);
    let (function, told, go_on) = held_up();
    let client = builder(&server.url()).set("name", "fleet").on_event(function).build().unwrap();
    rotate(&client, 1);
    until("the first is being told", || told.lock().unwrap().len() == 1);
    rotate(&client, 1024 + 5);
    drop(client);
    drop(go_on);
    until("the last is told", || told.lock().unwrap().len() == 1026);
    let told = told.lock().unwrap();
    assert_eq!(losses(&told), [(1025, "5".to_owned())]);
    assert_eq!((told[1025].kind, &*told[1025].client), (EventKind::Warning, "fleet"));
}

#[test]
fn an_attempt_is_told_with_its_own_duration_and_a_token_with_that_of_the_fetch() {
    let events = Arc::<Mutex<Vec<Event>>>::default();
    let told = events.clone();
    let clock = Arc::new(ManualClock::default());
    let turned = clock.clone();
    let server = Server::new(move |before, _| {
        // What the endpoint takes, by the client's clock.
        turned.advance(SECOND * [3, 1, 2][before]);
        match before {
            0 => crate::support::answer(500, "", ""),
            1 => crate::support::answer(429, "Retry-After: 4\r\n", ""),
            _ => crate::support::token("token-3", 1200),
        }
    });
    let mut config = Config::new();
    for (key, value) in crate::support::options(&server.url()) {
        config.set(key, value);
    }
    config.set("fetch_timeout", "60s").set("request_timeout", "30s");
    config.on_event(move |event: &Event| told.lock().unwrap().push(event.clone()));
    let client = Client::with_clock(&config, Clock::Manual(clock.clone())).unwrap();
    let count = |kind| events.lock().unwrap().iter().filter(|event| event.kind == kind).count();
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| value(client.token()));
        for failed in 1..=2 {
            until("an attempt fails", || count(EventKind::FetchFailed) == failed);
            // The longest of both pauses.
            clock.advance(SECOND * 4);
        }
        assert_eq!(caller.join().unwrap(), "token-3");
    });
    until("the end is told", || count(EventKind::FetchSucceeded) == 1);
    let events = events.lock().unwrap();
    let durations: Vec<(EventKind, u32, Duration)> =
        events.iter().map(|event| (event.kind, event.attempt, event.duration)).collect();
    assert_eq!(
        durations,
        [
            (EventKind::FetchStarted, 0, Duration::ZERO),
            (EventKind::FetchFailed, 1, SECOND * 3),
            (EventKind::FetchFailed, 2, SECOND),
            (EventKind::FetchSucceeded, 3, SECOND * (3 + 4 + 1 + 4 + 2)),
        ]
    );
}

/// A token, a renewal that fails, and then, without a token, one attempt that is answered so.
fn failed_after_a_token(reply: Reply) -> (Scene, tu_token::Error) {
    let server = Server::new(move |before, _| match before {
        0 => crate::support::token("token-1", 1200),
        1 => crate::support::answer(500, "", ""),
        _ => reply.clone(),
    });
    let scene = Scene::over(server, &[]);
    assert_eq!(value(scene.client.token()), "token-1");
    scene.clock.advance(SECOND * 1195);
    assert_eq!(value(scene.client.token()), "token-1");
    scene.clock.advance(SECOND * 60);
    let error = scene.client.token().unwrap_err();
    assert_eq!(scene.server.requests(), 3);
    (scene, error)
}

#[test]
fn the_last_failed_attempt_tells_how_long_until_another_fetch_may_start() {
    let wait_of =
        |seconds: u64| crate::support::answer(429, &format!("Retry-After: {seconds}\r\n"), "");
    for (reply, least, most) in [
        (crate::support::oauth_error(401, "invalid_client"), 60.0, 60.0),
        (crate::support::oauth_error(400, "invalid_scope"), 60.0, 60.0),
        (crate::support::answer(302, "", ""), 60.0, 60.0),
        (crate::support::answer(500, "", ""), 1.5, 2.0),
        (crate::support::answer(404, "", ""), 1.5, 2.0),
        (vec![Step::Reset], 1.5, 2.0),
        (crate::support::answer(429, "", ""), 1.5, 2.0),
        (wait_of(100), 100.0, 100.0),
    ] {
        let shown = format!("{reply:?}");
        let (scene, error) = failed_after_a_token(reply);
        let stats = scene.client.stats(None).unwrap();
        let told = scene.told(EventKind::FetchFailed);
        let wait = told[1].wait.unwrap_or_else(|| panic!("no wait: {shown}"));
        assert!((least..=most).contains(&wait.as_secs_f64()), "{wait:?}: {shown}");
        assert_eq!((Some(wait), wait), (error.retry_after(), stats.next_request_in), "{shown}");
        // The renewal's, too: half of the 5 s that were left, at most.
        let renewal = told[0].wait.unwrap();
        assert!(renewal >= SECOND && renewal <= SECOND * 5 / 2, "{renewal:?}");
        assert_eq!(told.len(), 2);
    }
}

#[test]
fn a_rate_limit_says_how_long_and_a_remembered_error_that_it_is_one() {
    for (headers, seconds) in [("Retry-After: 100\r\n", 100), ("", 2)] {
        let (scene, live) = failed_after_a_token(crate::support::answer(429, headers, ""));
        let live = live.message().to_owned();
        assert!(live.ends_with(&format!(" (next try in {seconds} s)")), "{live}");
        scene.clock.advance(SECOND);
        let later = scene.client.token().unwrap_err();
        let (seconds, live) = (seconds - 1, live.split(" (next").next().unwrap());
        assert_eq!(later.message(), format!("{live} (remembered; next try in {seconds} s)"));
        assert_eq!(later.to_string(), later.message());
        assert_eq!(
            scene.told(EventKind::FetchFailed)[1].message.split(" (next").next(),
            Some(live)
        );
    }
}

#[test]
fn events_of_a_client_that_has_gone_are_still_told() {
    let server = Server::tokens(1200);
    let told = Arc::new(Mutex::new(Vec::new()));
    let tells = told.clone();
    let client = builder(&server.url())
        .on_event(move |event: &Event| tells.lock().unwrap().push(event.kind))
        .build()
        .unwrap();
    assert_eq!(value(client.token()), "token-1");
    drop(client);
    until("both are told", || told.lock().unwrap().len() == 2);
    assert_eq!(*told.lock().unwrap(), [EventKind::FetchStarted, EventKind::FetchSucceeded]);
    until("the function is let go of", || Arc::strong_count(&told) == 1);
}

#[test]
fn a_client_that_is_closed_lets_go_of_its_functions() {
    let server = Server::tokens(1200);
    let (told, asked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(()));
    let (tells, asks) = (told.clone(), asked.clone());
    let mut config = Config::new();
    config.set("token_url", &server.url()).set("scope", "asset.view");
    config.on_event(move |event: &Event| tells.lock().unwrap().push(event.kind));
    config.on_credentials(move |_| {
        let _held = &asks;
        Some(Credentials::new("id", "secret"))
    });
    let client = Client::new(&config).unwrap();
    drop(config);
    assert_eq!(value(client.token()), "token-1");
    client.close();
    // In this order, so that nothing is told behind the function's end.
    until("both functions are let go of", || {
        Arc::strong_count(&told) == 1 && Arc::strong_count(&asked) == 1
    });
    assert_eq!(*told.lock().unwrap(), [EventKind::FetchStarted, EventKind::FetchSucceeded]);
    client.close();
    assert!(client.may_send_to("https://iris.trackunit.com/"), "that does not end");
}

#[test]
fn a_host_that_refuses_fresh_tokens_is_told_once_and_only_if_tokens_go_there() {
    let scene = Scene::with_tokens_of(1200, &[("api_hosts", "api.example other.example")]);
    for url in [
        "https://api.example/a",
        "https://API.example/b",
        "https://other.example/",
        "https://unknown.example/",
        "no url",
    ] {
        scene.client.api_refused(url);
    }
    let told = scene.told(EventKind::Warning);
    let messages: Vec<&str> = told.iter().map(|event| event.message.as_str()).collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].starts_with("api.example refused"), "{messages:?}");
    assert!(messages[1].starts_with("other.example refused"), "{messages:?}");
    assert!(messages[0].contains("API Tokens v2"));
}
