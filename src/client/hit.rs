//! The hit path: what a call takes that finds its token at hand. It locks nothing, counts nothing and
//! allocates nothing but the copy. Every surface comes this way first.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::shared::Shared;
use super::state::Slot;
use super::{Cancel, GetOptions, wait};
use crate::error::Error;
use crate::process;
use crate::token::{BEARER_AT, BEARER_PREFIX_LEN, LENGTHS, SERIAL, TEXT, Token};

impl Shared {
    /// What needs neither a wait nor the client's lock.
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

    /// The token, if it is at hand: nothing is locked, counted or allocated but the copy. `None`
    /// says nothing more; what it returns fits into registers, because a result that goes through
    /// memory would have to wait until the copy before it has been stored.
    #[inline(always)]
    pub(super) fn at_hand(&self, scope: Option<&[u8]>, min_ttl: Duration) -> Option<Token> {
        let slot = self.slot_ref(scope).filter(|_| self.is_own_generation())?;
        let now = self.clock.now();
        let view = slot.current.look(now, now.after(min_ttl))?;
        // A token from the start, so that it is wiped if it is not to be trusted.
        let token = Token::from_words(view.to_words());
        if !view.holds() {
            return None;
        }
        self.note_asked(slot);
        Some(token)
    }

    /// The same for `Bearer <token>`, copied to the caller: its length, or as an error the length
    /// that is needed.
    #[inline(always)]
    pub(super) fn copy_at_hand(
        &self,
        scope: Option<&[u8]>,
        buffer: &mut [u8],
    ) -> Option<Result<usize, usize>> {
        let slot = self.slot_ref(scope).filter(|_| self.is_own_generation())?;
        let now = self.clock.now();
        let view = slot.current.look(now, now)?;
        let length = BEARER_PREFIX_LEN + Token::value_len(view.word(LENGTHS));
        let Some(place) = buffer.get_mut(..length) else {
            return view.holds().then_some(Err(length));
        };
        view.copy_bytes(TEXT + BEARER_AT / 8, place);
        if !view.holds() {
            // Whatever comes of the other way, no piece of a token stays behind.
            place.fill(0);
            return None;
        }
        self.note_asked(slot);
        Some(Ok(length))
    }

    /// Which token is at hand.
    #[inline(always)]
    pub(super) fn serial_at_hand(&self, scope: Option<&[u8]>) -> Option<NonZeroU64> {
        let slot = self.slot_ref(scope).filter(|_| self.is_own_generation())?;
        let now = self.clock.now();
        let view = slot.current.look(now, now)?;
        let serial = view.word(SERIAL);
        if !view.holds() {
            return None;
        }
        self.note_asked(slot);
        NonZeroU64::new(serial)
    }

    /// Written once a renewal, read by all: the cache line stays shared.
    #[inline]
    pub(super) fn note_asked(&self, slot: &Slot) {
        if !slot.asked.load(Ordering::Relaxed) {
            slot.asked.store(true, Ordering::Relaxed);
        }
    }

    /// The entry a scope stands for, if it has been spelled so before.
    #[inline]
    pub(super) fn slot_ref(&self, scope: Option<&[u8]>) -> Option<&Arc<Slot>> {
        match scope {
            None => self.own.as_ref(),
            Some(name) => self.names.get(name),
        }
    }

    fn is_own_generation(&self) -> bool {
        self.generation.load(Ordering::Acquire) == process::generation()
    }
}
