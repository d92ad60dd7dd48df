//! Callbacks that take long.

use std::sync::Arc;
use std::time::Duration;

use super::stage::{self, Got, SECOND, got, ok};
use super::{explore, time};
use crate::clock::{BootTime, Clock};
use crate::process::Mailbox;
use crate::{Cancel, Client, ErrorKind, GetOptions};

const FOREVER: BootTime = BootTime::from_nanos(u64::MAX);
/// How long a callback blocks.
const LONG: Duration = Duration::from_secs(60);
/// After this, another thread calls those behind it.
const HELP: Duration = Duration::from_millis(200);

/// Asks with a callback that reports its result and the time, and then blocks.
fn ask(
    client: &Client,
    cancel: Option<&Cancel>,
    blocks: Duration,
) -> Arc<Mailbox<(Got, Duration)>> {
    let told = Arc::new(Mailbox::default());
    let tell = told.clone();
    let options = GetOptions { cancel, ..GetOptions::default() };
    let accepted = client.get_async(&options, move |outcome| {
        tell.put((got(outcome), time::elapsed()));
        time::sleep(blocks);
    });
    accepted.unwrap();
    told
}

fn when(told: &Mailbox<(Got, Duration)>, wanted: &Got) -> Duration {
    let (got, at) = told.take(&Clock::System, FOREVER).unwrap();
    assert_eq!(&got, wanted);
    at
}

#[test]
fn a_blocking_callback_does_not_delay_others() {
    explore(|| {
        let (client, endpoint) = stage::client(|_, _| stage::token("one").after(SECOND));
        let calls = [LONG, LONG, Duration::ZERO].map(|blocks| ask(&client, None, blocks));
        for call in &calls {
            assert!(when(call, &ok("one")) <= SECOND + 2 * HELP, "it waited for another");
        }
        time::sleep(2 * LONG);
        stage::end(client, &endpoint);
    });
}

/// More callbacks than may run at a time.
#[test]
fn many_blocking_callbacks_are_called_a_few_at_a_time() {
    explore(|| {
        let (client, endpoint) = stage::client(|_, _| stage::token("one").after(9 * SECOND));
        let cancel = Cancel::new();
        let calls: Vec<_> = (0..10).map(|_| ask(&client, Some(&cancel), LONG)).collect();
        time::sleep_until(SECOND);
        cancel.trigger();
        for call in &calls {
            let at = when(call, &Err(ErrorKind::Cancelled));
            assert!(at <= 4 * SECOND, "it waited for others: {at:?}");
        }
        time::sleep(2 * LONG);
        stage::end(client, &endpoint);
    });
}

/// As many blocking callbacks as there are places for renewals, one for each fetch.
#[test]
fn a_blocking_callback_holds_no_fetchs_place() {
    explore(|| {
        let no_wait = GetOptions { timeout: Some(Duration::ZERO), ..GetOptions::default() };
        let slow = [(); 8].map(|()| {
            let (client, endpoint) = stage::client(|_, _| stage::token("slow").after(SECOND));
            assert_eq!(got(client.get(&no_wait)), Err(ErrorKind::Pending));
            (client, endpoint)
        });
        time::sleep_until(SECOND / 2);
        let calls = slow.each_ref().map(|(client, _)| ask(client, None, LONG));
        for call in &calls {
            when(call, &ok("slow"));
        }
        let (client, endpoint) = stage::client(|_, _| stage::token("one"));
        assert_eq!(got(client.get(&no_wait)), Err(ErrorKind::Pending));
        time::sleep(SECOND);
        assert_eq!(endpoint.requests(), 1, "callbacks hold the places of fetches");
        time::sleep(2 * LONG);
        stage::end(client, &endpoint);
        slow.into_iter().for_each(|(client, endpoint)| stage::end(client, &endpoint));
    });
}
