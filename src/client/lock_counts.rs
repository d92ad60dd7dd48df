//! Counts how often a call takes its client's lock: once per step.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

std::thread_local!(static OF_THREAD: Cell<usize> = const { Cell::new(0) });
static OF_ALL: AtomicUsize = AtomicUsize::new(0);

/// The client's lock is about to be taken.
pub(super) fn note() {
    OF_THREAD.set(OF_THREAD.get() + 1);
    OF_ALL.fetch_add(1, Ordering::SeqCst);
}

#[cfg(not(feature = "__shuttle"))]
mod tests {
    use std::process::Command;
    use std::sync::Arc;
    use std::time::Duration;

    use zeroize::Zeroizing;

    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::endpoint::http::HttpAnswer;
    use crate::endpoint::request::TokenRequest;
    use crate::endpoint::{Endpoint, Failure, TimeLimit, Transport};
    use crate::process::Mailbox;
    use crate::{Client, Config};

    /// Reports the count when a request is about to be sent.
    struct Counts(Arc<Mailbox<usize>>);

    impl Transport for Counts {
        fn post(&self, _: &TokenRequest, _: TimeLimit) -> Result<HttpAnswer, Failure> {
            self.0.put(OF_ALL.load(Ordering::SeqCst));
            Ok(HttpAnswer {
                status: 200,
                body: Zeroizing::new(br#"{"access_token":"token","expires_in":1200}"#.to_vec()),
                origin: "test".to_owned(),
                ..HttpAnswer::default()
            })
        }
    }

    fn alone() -> bool {
        std::env::var_os("TU_TOKEN_COUNTS_LOCKINGS").is_some()
    }

    /// Runs in a process of its own, because other tests have clients too.
    #[test]
    fn a_call_takes_the_lock_once_a_step() {
        if alone() {
            return count();
        }
        let tests = std::env::current_exe().unwrap();
        let status = Command::new(tests)
            .args(["client::lock_counts::tests::a_call_takes_the_lock_once_a_step", "--exact"])
            .env("TU_TOKEN_COUNTS_LOCKINGS", "1")
            .status()
            .unwrap();
        assert!(status.success());
    }

    fn count() {
        let (sent, clock) = (Arc::new(Mailbox::default()), Arc::new(ManualClock::default()));
        let mut config = Config::new();
        config.set("client_id", "id").set("client_secret", "secret").set("scope", "a");
        let endpoint = Endpoint::over(Counts(sent.clone()));
        let client =
            Client::with_endpoint(&config, Clock::Manual(clock.clone()), |_| Ok(endpoint)).unwrap();

        let before = OF_ALL.load(Ordering::SeqCst);
        client.token().unwrap();
        let at_request = sent.take(&Clock::System, crate::clock::BootTime::from_nanos(u64::MAX));
        let after = OF_ALL.load(Ordering::SeqCst);
        assert_eq!(at_request.unwrap() - before, 2, "one to ask; one when there is a thread");
        assert_eq!(after - before, 3, "and one for the answer");

        client.token().unwrap();
        assert_eq!(OF_ALL.load(Ordering::SeqCst), after, "a hit takes none");

        clock.advance(Duration::from_secs(1000));
        let of_thread = OF_THREAD.get();
        client.token().unwrap();
        assert_eq!(OF_THREAD.get() - of_thread, 1, "one to start the renewal");
    }
}
