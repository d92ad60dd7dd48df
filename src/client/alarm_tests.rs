//! Timers of clients replace one another and do not pile up.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::clock::{BootTime, Clock};
use crate::endpoint::Failure;
use crate::endpoint::http::HttpAnswer;
use crate::endpoint::request::TokenRequest;
use crate::endpoint::{Endpoint, TimeLimit, Transport};
use crate::process::Mailbox;
use crate::threads::timers_waiting;
use crate::{Client, Config, GetOptions, State};

/// More than the other tests of this process, or a client with one scope, ever have.
const FEW: usize = 500;
const MANY: usize = 20_000;

/// An endpoint that grants a token, or never answers.
struct Answers(bool);

impl Transport for Answers {
    fn post(&self, _: &TokenRequest, _: TimeLimit) -> Result<HttpAnswer, Failure> {
        if !self.0 {
            Mailbox::<()>::default().take(&Clock::System, BootTime::from_nanos(u64::MAX));
        }
        Ok(HttpAnswer {
            status: 200,
            body: Zeroizing::new(br#"{"access_token":"token","expires_in":1200}"#.to_vec()),
            origin: "test".to_owned(),
            ..HttpAnswer::default()
        })
    }
}

fn client(answers: bool) -> Client {
    let mut config = Config::new();
    config.set("client_id", "id").set("client_secret", "secret").set("scope", "a");
    config.set("keep_warm", "true").set("fetch_timeout", "1h");
    let endpoint = |_: &mut _| Ok(Endpoint::over(Answers(answers)));
    Client::with_endpoint(&config, Clock::System, endpoint).unwrap()
}

#[test]
fn a_client_that_is_kept_warm_has_one_alarm_an_entry() {
    for answers in [true, false] {
        let client = client(answers);
        if answers {
            client.token().unwrap();
            assert_eq!(client.stats(None).unwrap().state, State::Fresh);
        }
        let before = timers_waiting();
        for round in 0..MANY {
            client.wake();
            client.rotate("id", &round.to_string()).unwrap();
        }
        let more = timers_waiting().saturating_sub(before);
        assert!(more < FEW, "{more} more timers");
    }
}

#[test]
fn waits_that_end_early_leave_no_timers() {
    let client = client(false);
    let within = |seconds| GetOptions {
        timeout: Some(Duration::from_secs(seconds)),
        ..GetOptions::default()
    };
    // Stays pending throughout, and is due first.
    let _waits = client.get_future(&within(600));
    let before = timers_waiting();
    for _ in 0..MANY {
        drop(client.get_future(&within(1200)));
    }
    let more = timers_waiting().saturating_sub(before);
    assert!(more < FEW, "{more} more timers");
}
