//! The hit path: a call that finds its token in the cache. It takes no lock, counts nothing and
//! allocates nothing but the copy. Every language's calls try it first.

use std::mem::MaybeUninit;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::shared::Shared;
use super::state::Slot;
use super::{Cancel, Client, GetOptions, wait};
use crate::cache::current::View;
use crate::error::Error;
use crate::process;
use crate::token::{Lent, Token};

impl Client {
    /// The token that a get with this `min_ttl` would return now from the cache, without a renewal;
    /// `None`: there is none. `scope`: `None` means the client's `scope` option.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// use std::time::Duration;
    ///
    /// let (short, long) = (Duration::from_secs(60), Duration::from_secs(100_000));
    /// assert!(client.token_at_hand(None, short).is_none());
    /// let token = client.token()?;
    /// assert_eq!(client.token_at_hand(None, short).unwrap().value(), token.value());
    /// assert!(client.token_at_hand(None, long).is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn token_at_hand(&self, scope: Option<&str>, min_ttl: Duration) -> Option<Token> {
        self.shared.at_hand(scope.map(str::as_bytes), min_ttl)
    }

    /// The [`Token::serial`] of the token that a get would return now from the cache, without a
    /// renewal; `None`: there is none. A wrapper that keeps its own copy of a token may serve it as
    /// long as this returns the copy's serial: the copy then never outlives a renewal, an
    /// invalidation, a fork or a suspend. `scope`: `None` means the client's `scope` option.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// assert_eq!(client.serial_at_hand(None), None);
    /// let token = client.token()?;
    /// assert_eq!(client.serial_at_hand(None).unwrap().get(), token.serial());
    /// client.invalidate(&token);
    /// assert_eq!(client.serial_at_hand(None), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn serial_at_hand(&self, scope: Option<&str>) -> Option<NonZeroU64> {
        self.shared.serial_at_hand(scope.map(str::as_bytes), Duration::ZERO)
    }

    /// Like [`Client::serial_at_hand`], for a get with this `min_ttl`.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// use std::time::Duration;
    ///
    /// let token = client.token()?;
    /// let serial = client.serial_at_hand_for(None, Duration::from_secs(60));
    /// assert_eq!(serial.unwrap().get(), token.serial());
    /// assert_eq!(client.serial_at_hand_for(None, token.expires_in() * 2), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline(always)]
    pub fn serial_at_hand_for(&self, scope: Option<&str>, min_ttl: Duration) -> Option<NonZeroU64> {
        self.shared.serial_at_hand(scope.map(str::as_bytes), min_ttl)
    }
}

/// For the C ABI's fast path: scopes as bytes, not validated before they are found.
#[cfg(feature = "capi")]
impl Client {
    /// Inlined everywhere, so that nothing is computed where there is no `min_ttl`.
    #[inline(always)]
    pub(crate) fn serial_of_bytes(
        &self,
        scope: Option<&[u8]>,
        min_ttl: Duration,
    ) -> Option<NonZeroU64> {
        self.shared.serial_at_hand(scope, min_ttl)
    }

    #[inline(always)]
    pub(crate) fn at_hand(&self, scope: Option<&[u8]>) -> Option<Token> {
        self.shared.at_hand(scope, Duration::ZERO)
    }

    #[inline(always)]
    pub(crate) fn copy_at_hand(
        &self,
        scope: Option<&[u8]>,
        buffer: &mut [u8],
        announce: impl FnOnce(&mut [u8], usize),
    ) -> Option<usize> {
        self.shared.copy_at_hand(scope, buffer, announce)
    }
}

impl Shared {
    /// The result, if it needs neither a wait nor the client's lock.
    pub(super) fn known(
        self: &Arc<Self>,
        options: &GetOptions<'_>,
    ) -> Result<Option<Result<Token, Error>>, Error> {
        if options.cancel.is_some_and(Cancel::is_triggered) {
            self.request(options)?;
            return Ok(Some(Err(wait::cancelled())));
        }
        Ok(self.at_hand(options.scope.map(str::as_bytes), options.min_ttl).map(Ok))
    }

    /// The token, if it is in the cache; allocates nothing but the copy. `None` means: take the
    /// slow path. The return value fits into registers: one that goes through memory would have to
    /// wait until the copy before it has been stored.
    #[inline(always)]
    pub(super) fn at_hand(&self, scope: Option<&[u8]>, min_ttl: Duration) -> Option<Token> {
        let (slot, view) = self.find(scope, min_ttl)?;
        // A `Token` from the start, so that it is wiped if the copy is inconsistent.
        // SAFETY: the words of a token, or not read.
        let token = unsafe { Token::from_words(view.to_words()?) };
        if !view.holds() {
            return None;
        }
        self.note_asked(slot);
        Some(token)
    }

    /// The same in memory of the caller's. `None` also if the token is too long for it.
    #[inline(always)]
    pub(super) fn lend_at_hand<'a>(
        &self,
        scope: Option<&[u8]>,
        room: &'a mut [MaybeUninit<u64>],
    ) -> Option<Lent<'a>> {
        let (slot, view) = self.find(scope, Duration::ZERO)?;
        // SAFETY: the words of a token, or not read.
        let token = unsafe { Lent::from_words(view.words_in(room)?) };
        if !view.holds() {
            return None;
        }
        self.note_asked(slot);
        Some(token)
    }

    /// The same for `Bearer <token>`, copied into the caller's buffer as
    /// [`crate::cache::current::View::copy_bearer`] does. Returns its length.
    #[inline(always)]
    pub(super) fn copy_at_hand(
        &self,
        scope: Option<&[u8]>,
        buffer: &mut [u8],
        announce: impl FnOnce(&mut [u8], usize),
    ) -> Option<usize> {
        let (slot, view) = self.find(scope, Duration::ZERO)?;
        self.note_asked(slot);
        view.copy_bearer(buffer, announce)
    }

    /// The serial of the token, if it is in the cache.
    #[inline(always)]
    pub(super) fn serial_at_hand(
        &self,
        scope: Option<&[u8]>,
        min_ttl: Duration,
    ) -> Option<NonZeroU64> {
        self.serial_in(self.slot_ref(scope)?, min_ttl)
    }

    /// The same for a slot of this client.
    #[inline(always)]
    pub(super) fn serial_in(&self, slot: &Slot, min_ttl: Duration) -> Option<NonZeroU64> {
        let view = self.view(slot, min_ttl)?;
        let serial = view.serial();
        if !view.holds() {
            return None;
        }
        self.note_asked(slot);
        NonZeroU64::new(serial)
    }

    #[inline(always)]
    fn find(&self, scope: Option<&[u8]>, min_ttl: Duration) -> Option<(&Arc<Slot>, View<'_>)> {
        let slot = self.slot_ref(scope)?;
        Some((slot, self.view(slot, min_ttl)?))
    }

    #[inline(always)]
    fn view<'a>(&self, slot: &'a Slot, min_ttl: Duration) -> Option<View<'a>> {
        if !self.is_own_generation() {
            return None;
        }
        let (view, until) = slot.current.look(min_ttl)?;
        self.clock.is_before(until).then_some(view)
    }

    /// Written once per renewal and read by all, so the cache line stays shared.
    #[inline(always)]
    pub(super) fn note_asked(&self, slot: &Slot) {
        if !slot.asked.load(Ordering::Relaxed) {
            slot.asked.store(true, Ordering::Relaxed);
        }
    }

    /// The slot of a scope, if a caller has spelled it like this before.
    #[inline(always)]
    pub(super) fn slot_ref(&self, scope: Option<&[u8]>) -> Option<&Arc<Slot>> {
        match scope {
            None => self.own.as_ref(),
            Some(name) => self.names.get(name),
        }
    }

    #[inline(always)]
    fn is_own_generation(&self) -> bool {
        self.generation.load(Ordering::Acquire) == process::generation()
    }
}

#[cfg(all(test, not(feature = "__shuttle")))]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::AtomicBool;
    use std::task::{Context, Poll, Waker};

    use zeroize::Zeroizing;

    use super::*;
    use crate::Config;
    use crate::clock::{Clock, ManualClock};
    use crate::endpoint::Failure;
    use crate::endpoint::http::HttpAnswer;
    use crate::endpoint::request::TokenRequest;
    use crate::endpoint::{Endpoint, TimeLimit, Transport};
    use crate::process::Locked;

    struct OneToken(&'static str);

    impl Transport for OneToken {
        fn post(&self, _: &TokenRequest, _: TimeLimit) -> Result<HttpAnswer, Failure> {
            let body = format!(r#"{{"access_token":"{}","expires_in":1200}}"#, self.0);
            Ok(HttpAnswer {
                status: 200,
                body: Zeroizing::new(body.into_bytes()),
                origin: "test".to_owned(),
                ..HttpAnswer::default()
            })
        }
    }

    fn client(clock: &Arc<ManualClock>) -> Client {
        client_for("token", clock)
    }

    fn client_for(token: &'static str, clock: &Arc<ManualClock>) -> Client {
        let mut config = Config::new();
        config.set("client_id", "id").set("client_secret", "secret").set("scope", "a");
        let endpoint = |_: &mut _| Ok(Endpoint::over(OneToken(token)));
        Client::with_endpoint(&config, Clock::Manual(clock.clone()), endpoint).unwrap()
    }

    /// The future's result at its first poll.
    fn at_once(client: &Client, options: &GetOptions<'_>) -> Option<Result<Token, Error>> {
        let mut context = Context::from_waker(Waker::noop());
        match pin!(client.get_future(options)).poll(&mut context) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_hit_takes_no_lock() {
        let client = client(&Arc::default());
        let scoped = GetOptions { scope: Some("b"), ..GetOptions::default() };
        client.token().unwrap();
        client.get(&scoped).unwrap();
        let held = Locked::new(());
        // While it holds a lock, this thread would panic when taking another: see `Pass::enter`.
        let _guard = held.lock();
        let long = GetOptions { min_ttl: Duration::from_secs(1199), ..GetOptions::default() };
        for options in [&GetOptions::default(), &scoped, &long] {
            assert_eq!(client.get(options).unwrap().value(), "token");
            assert_eq!(at_once(&client, options).unwrap().unwrap().value(), "token");
            assert!(client.token_at_hand(options.scope, options.min_ttl).is_some());
            assert!(client.serial_at_hand_for(options.scope, options.min_ttl).is_some());
            assert!(client.copy_bearer(options.scope, &mut [0; 100]).is_ok());
            assert_eq!(client.with_token(|token| token.value().len()).unwrap(), "token".len());
            let called = Arc::new(AtomicBool::new(false));
            let tells = called.clone();
            let function = move |outcome: Result<Token, Error>| {
                tells.store(outcome.is_ok(), Ordering::SeqCst);
            };
            client.get_async(options, function).unwrap();
            assert!(called.load(Ordering::SeqCst));
        }
    }

    #[test]
    fn a_lent_token_is_on_the_stack_unless_it_is_long() {
        for length in [1, 900, 1900, 2000, 16_000] {
            let text = "x".repeat(length);
            let client = client_for(text.clone().leak(), &Arc::default());
            client.token().unwrap();
            let (seen, place) = client
                .with_token(|token| (token.value().to_owned(), token.value().as_ptr().addr()))
                .unwrap();
            assert_eq!(seen, text);
            let is_on_stack = place.abs_diff((&raw const place).addr()) < 64 * 1024;
            assert_eq!(is_on_stack, length <= 1900, "{length}");
        }
    }

    #[test]
    fn a_lent_token_stays_readable_whatever_its_reader_does() {
        let client = client_for("x".repeat(1900).leak(), &Arc::default());
        let value = client.token().unwrap().value().to_owned();
        let read = move || {
            let kept = client.with_token(|outer| {
                let inner = client.with_token(|inner| {
                    client.invalidate(inner);
                    inner.value().to_owned()
                });
                assert_eq!(inner.unwrap(), value);
                assert_eq!(client.serial_at_hand(None), None);
                client.close();
                assert_eq!(outer.value(), value);
                outer.clone()
            });
            assert_eq!(kept.unwrap().value(), value);
        };
        // On a small stack: the tokens on it are 4 KiB of it.
        std::thread::Builder::new().stack_size(64 * 1024).spawn(read).unwrap().join().unwrap();
    }

    #[test]
    fn a_token_too_short_for_min_ttl_is_not_at_hand() {
        let clock = Arc::new(ManualClock::default());
        let client = client(&clock);
        let serial = client.token().unwrap().serial();
        clock.advance(Duration::from_secs(400));
        for (min_ttl, expected) in [(0, true), (800, true), (801, false), (u64::MAX, false)] {
            let min_ttl = Duration::from_secs(min_ttl);
            let found = client.serial_at_hand_for(None, min_ttl).map(NonZeroU64::get);
            assert_eq!(found, expected.then_some(serial), "{min_ttl:?}");
            assert_eq!(client.token_at_hand(None, min_ttl).is_some(), expected, "{min_ttl:?}");
        }
        assert!(client.token_at_hand(Some("never asked"), Duration::ZERO).is_none());
    }
}
