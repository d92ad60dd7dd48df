//! Closing a client while it is in use.

use shuttle::thread;

use super::stage::{self, Call, SECOND, at, caller, got, ok};
use super::{explore, time};
use crate::{ErrorKind, GetOptions};

#[test]
fn a_close_ends_all_waits_while_the_token_arrives() {
    explore(|| {
        let (client, endpoint) = stage::client(|_, _| stage::token("one").after(SECOND));
        let waits = [caller(&client), caller(&client)];
        let call = Call::new(&client, &GetOptions::default());
        let closed = client.clone();
        let closes = at(SECOND, move || closed.close());
        let mut outcomes = vec![call.wait()];
        outcomes.extend(waits.map(|waits| waits.join().unwrap()));
        for outcome in outcomes {
            assert!(outcome == ok("one") || outcome == Err(ErrorKind::Closed), "{outcome:?}");
        }
        closes.join().unwrap();
        assert_eq!(got(client.token()), Err(ErrorKind::Closed));
        assert_eq!(time::elapsed(), SECOND, "a wake-up was lost");
        stage::end(client, &endpoint);
        assert!(call.is_over());
    });
}

#[test]
fn a_close_ends_waits_at_once_however_new_they_are() {
    explore(|| {
        let (client, endpoint) = stage::client(|_, _| stage::token("one").after(9 * SECOND));
        let waits = caller(&client);
        let closed = client.clone();
        let closes = thread::spawn(move || closed.close());
        let call = Call::new(&client, &GetOptions::default());
        assert_eq!(call.wait(), Err(ErrorKind::Closed));
        assert_eq!(waits.join().unwrap(), Err(ErrorKind::Closed));
        closes.join().unwrap();
        assert_eq!(time::elapsed().as_secs(), 0, "a wake-up was lost");
        stage::end(client, &endpoint);
        assert!(call.is_over());
    });
}

/// A close wakes a fetch that pauses between attempts: its thread is free at once.
#[test]
fn a_close_ends_the_pause_between_attempts() {
    explore(|| {
        let (client, endpoint) = stage::client(|_, _| stage::failure(503, "server_error"));
        let waits = caller(&client);
        let closed = client.clone();
        let closes = thread::spawn(move || closed.close());
        let expected = [Err(ErrorKind::Closed), Err(ErrorKind::Server)];
        let outcome = waits.join().unwrap();
        assert!(expected.contains(&outcome), "{outcome:?}");
        closes.join().unwrap();
        drop(client);
        time::sleep(std::time::Duration::from_millis(1));
        assert_eq!(std::sync::Arc::strong_count(&endpoint), 1, "the fetch continues");
    });
}

#[test]
fn dropping_the_last_handle_ends_calls() {
    explore(|| {
        let (client, endpoint) = stage::client(|_, _| stage::token("one").after(SECOND));
        let calls = [(); 2].map(|()| Call::new(&client, &GetOptions::default()));
        let frees = at(SECOND, move || drop(client));
        for call in &calls {
            let outcome = call.wait();
            assert!(outcome == ok("one") || outcome == Err(ErrorKind::Closed), "{outcome:?}");
        }
        frees.join().unwrap();
        assert_eq!(time::elapsed(), SECOND, "a wake-up was lost");
        time::sleep(3600 * SECOND);
        assert_eq!(std::sync::Arc::strong_count(&endpoint), 1);
        assert!(calls.iter().all(Call::is_over));
    });
}
