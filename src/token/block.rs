//! The words of a token: on the heap, or lent by a caller.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::NonNull;

use zeroize::Zeroize;

use super::Token;

/// Owns words on the heap, like a box, and wipes them. A raw pointer, because the words of a
/// [`Lent`] token are in another place, where a box must not point.
pub(super) struct Block(NonNull<[u64]>);

// SAFETY: it owns its words, and changes them only through `&mut`.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    #[inline(always)]
    pub(super) fn words(&self) -> &[u64] {
        // SAFETY: the words live as long as this does, or as the `Lent` token around it.
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    pub(super) fn words_mut(&mut self) -> &mut [u64] {
        // SAFETY: as above; `&mut` is exclusive.
        unsafe { self.0.as_mut() }
    }

    /// Gives the words away; their new owner must wipe and free them, as a box.
    #[cfg(feature = "capi")]
    #[inline(always)]
    pub(super) fn into_raw(self) -> *mut [u64] {
        ManuallyDrop::new(self).0.as_ptr()
    }
}

impl From<Box<[u64]>> for Block {
    #[inline(always)]
    fn from(words: Box<[u64]>) -> Self {
        Self(NonNull::from(Box::leak(words)))
    }
}

impl Drop for Block {
    #[inline(always)]
    fn drop(&mut self) {
        // With the C ABI the allocator wipes all freed memory; a second wipe would cost every
        // caller that frees a token per request.
        if cfg!(not(feature = "capi")) {
            wipe(self.words_mut());
        }
        // SAFETY: the words came from a box. Those of a `Lent` token are never dropped here.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

fn wipe(words: &mut [u64]) {
    // As bytes: one `memset` call, where words would be a loop.
    bytemuck::cast_slice_mut::<u64, u8>(words).zeroize();
}

/// A token in memory that its caller lends, which is wiped in the end.
pub(crate) struct Lent<'a> {
    token: ManuallyDrop<Token>,
    words: PhantomData<&'a mut [u64]>,
}

impl<'a> Lent<'a> {
    /// # Safety
    /// As [`Token::from_words`].
    #[inline(always)]
    pub(crate) unsafe fn from_words(words: &'a mut [u64]) -> Self {
        let block = Block(NonNull::from(words));
        Self { token: ManuallyDrop::new(Token { block }), words: PhantomData }
    }
}

impl Deref for Lent<'_> {
    type Target = Token;

    #[inline(always)]
    fn deref(&self) -> &Token {
        &self.token
    }
}

impl Drop for Lent<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        wipe(self.token.block.words_mut());
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};

    use super::*;
    use crate::clock::{BootTime, Clock};
    use crate::life::Life;

    fn words() -> Vec<u64> {
        let (now, lifetime) = (Clock::System.now(), std::time::Duration::from_secs(60));
        let life = Life { requested_at: now, lifetime, fresh_until: BootTime::ZERO };
        Token::new("abc", "a", 1, &life, 0).words().to_vec()
    }

    #[test]
    fn a_token_is_shared_between_threads() {
        fn check<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}
        check::<Token>();
    }

    #[test]
    fn a_lent_token_is_wiped_also_if_its_reader_panics() {
        let mut room = words();
        // SAFETY: the words of a token.
        drop(unsafe { Lent::from_words(&mut room) });
        assert!(room.iter().all(|word| *word == 0));

        let mut room = words();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: as above.
            let token = unsafe { Lent::from_words(&mut room) };
            assert_eq!(token.value(), "another token");
        }));
        assert!(outcome.is_err());
        assert!(room.iter().all(|word| *word == 0));
    }

    #[test]
    fn a_clone_of_a_lent_token_is_a_token_of_its_own() {
        let mut room = words();
        // SAFETY: as above.
        let lent = unsafe { Lent::from_words(&mut room) };
        let token = Token::clone(&lent);
        drop(lent);
        assert_eq!(token.value(), "abc");
    }
}
