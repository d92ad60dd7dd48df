//! Reads that end in time.
//!
//! Linux may end a read that waits for input (`SO_RCVTIMEO`) late by an eighth of its time limit: by up to two
//! seconds if the limit is over 16 s, by half a second with other kernels or limits. The fetch would be
//! given up before that ([`OVERRUN`](crate::cache::policy::OVERRUN)), with an error that does not know
//! what was wrong. So a long wait is divided into short ones, which are hardly late.

use std::time::{Duration, Instant};

use ureq::Error;
use ureq::unversioned::transport::{NextTimeout, Transport};

use super::layer::Layer;

/// The longest wait that is left to the system.
const SLICE: Duration = Duration::from_secs(1);

/// Makes reads end in time.
#[derive(Debug)]
pub(super) struct Punctual;

impl Layer for Punctual {
    fn await_input(
        &mut self,
        inner: &mut dyn Transport,
        timeout: NextTimeout,
    ) -> Result<bool, Error> {
        let began = Instant::now();
        loop {
            let left = timeout.after.saturating_sub(began.elapsed());
            let slice = NextTimeout { after: left.min(SLICE).into(), ..timeout };
            match inner.await_input(slice) {
                Err(Error::Timeout(_)) if left > SLICE => {}
                outcome => return outcome,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use ureq::Timeout;
    use ureq::unversioned::transport::{Buffers, LazyBuffers};

    use super::*;
    use crate::endpoint::layer::Layered;

    /// A connection on which nothing arrives, and how long it was waited for.
    #[derive(Debug)]
    struct Silent(LazyBuffers, Arc<Mutex<Vec<Duration>>>);

    impl Transport for Silent {
        fn buffers(&mut self) -> &mut dyn Buffers {
            &mut self.0
        }

        fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), Error> {
            Ok(())
        }

        fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
            std::thread::sleep(*timeout.after);
            self.1.lock().unwrap().push(*timeout.after);
            Err(Error::Timeout(timeout.reason))
        }

        fn is_open(&mut self) -> bool {
            true
        }
    }

    #[test]
    fn a_long_wait_is_divided_and_ends_in_time() {
        let waits = Arc::new(Mutex::new(Vec::new()));
        let silent = Silent(LazyBuffers::new(1, 1), waits.clone());
        let limit = SLICE + SLICE / 10;
        let timeout =
            NextTimeout { after: limit.into(), reason: Timeout::Global, ..NextTimeout::default() };
        let outcome = Layered::new(Box::new(silent), Punctual).await_input(timeout);
        assert!(matches!(outcome, Err(Error::Timeout(Timeout::Global))), "{outcome:?}");
        let waits = waits.lock().unwrap();
        assert_eq!((waits.len(), waits[0]), (2, SLICE));
        assert!(waits[1] <= limit - SLICE, "{waits:?}");
    }
}
