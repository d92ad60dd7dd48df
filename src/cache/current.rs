//! The current token as its readers see it: copied without a lock.
//!
//! This is a sequence lock over atomic words. The single writer, which holds the client's lock,
//! makes the sequence odd, stores the words, and makes it even again. A reader reads the sequence,
//! copies the words, and uses the copy only if the sequence is still the same. Readers write
//! nothing, so threads share no cache line that changes. There is no reader count that a forked
//! child could find stuck, no thread-local state and nothing to reclaim later; an old token is
//! overwritten in place at once. Every access to the words is atomic, so there is no data race (see
//! [`copy`]). The scheme and its orderings are those of Boehm, "Can seqlocks get along with
//! programming language memory models?", 2012.
//!
//! Words never move during the life of the entry. A token that needs more room gets a larger block
//! in addition to the old one. Sizes double, so all blocks together are less than twice the
//! largest.

use std::mem::MaybeUninit;
use std::ops::Deref;
use std::slice;
use std::sync::atomic::Ordering;
use std::time::Duration;

use once_cell::race::OnceBox;

// From the parent module: the memory-ordering tests compile this file with other atomics.
use super::atomic::{AtomicPtr, AtomicU64, AtomicUsize, fence};
use super::copy;
use crate::clock::BootTime;
use crate::token::{BEARER_WORD, MAX_WORDS, Token};

const NANOSECOND: Duration = Duration::from_nanos(1);

/// Words of the smallest block. It holds an opaque token of 150 bytes without wasting memory.
const SMALLEST: usize = if EXPLORED { 6 } else { 32 };
const SIZES: usize = if EXPLORED { 11 } else { 8 };
/// Every word is a point where threads may interleave, so schedule explorations use small blocks.
const EXPLORED: bool = cfg!(all(test, feature = "__shuttle"));
const _: () = assert!(SMALLEST << (SIZES - 1) >= MAX_WORDS);

/// Words on a cache line of their own: copying from there is measurably faster.
#[repr(C)]
#[cfg_attr(not(all(test, feature = "__shuttle")), repr(align(64)))]
struct Line([AtomicU64; LINE]);

const LINE: usize = if EXPLORED { SMALLEST } else { 8 };
const _: () = assert!(size_of::<Line>() == LINE * size_of::<AtomicU64>());

struct Block(Box<[Line]>);

impl Block {
    /// Of this many words, at least [`SMALLEST`].
    fn new(words: usize) -> Self {
        let line = |_| Line(std::array::from_fn(|_| AtomicU64::new(0)));
        Self((0..words / LINE).map(line).collect())
    }
}

impl Deref for Block {
    type Target = [AtomicU64];

    #[inline(always)]
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: lines are their words and nothing else.
        unsafe { slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LINE) }
    }
}

#[derive(Default)]
pub(crate) struct Current {
    /// Even: the words are complete. Odd: they are being written.
    sequence: AtomicU64,
    /// Until then readers may hand out the token without asking. Zero: they must ask.
    serve_until: AtomicU64,
    expires_at: AtomicU64,
    /// The first word of the token, in one of the blocks, and how many there are. With a pointer
    /// and not the number of the block, a copy starts two loads earlier.
    first: AtomicPtr<AtomicU64>,
    words: AtomicUsize,
    /// Length of `Bearer <token>` in bytes.
    bearer: AtomicUsize,
    serial: AtomicU64,
    blocks: [OnceBox<Block>; SIZES],
}

/// A token that may be handed out; nothing of it has been read yet.
pub(crate) struct View<'a> {
    current: &'a Current,
    sequence: u64,
}

impl Current {
    /// A view of the token, and until when it may be handed out to a caller that needs it for
    /// another `min_ttl`. `None`: ask the entry. (The clock is asked by the caller, because the
    /// compiler, told to keep the library small, inlines no closure.)
    #[inline(always)]
    pub(crate) fn look(&self, min_ttl: Duration) -> Option<(View<'_>, BootTime)> {
        let sequence = self.sequence.load(Ordering::Acquire);
        if sequence % 2 != 0 {
            return None;
        }
        let mut until = BootTime::from_nanos(self.serve_until.load(Ordering::Relaxed));
        if !min_ttl.is_zero() {
            let expiry = BootTime::from_nanos(self.expires_at.load(Ordering::Relaxed));
            // A nanosecond later, because exactly that long is enough.
            until = until.min(expiry.after(NANOSECOND).before(min_ttl));
        }
        Some((View { current: self, sequence }, until))
    }

    /// A view of the token if it may be handed out at this time.
    #[cfg(test)]
    pub(crate) fn look_at(&self, now: BootTime, min_ttl: Duration) -> Option<View<'_>> {
        self.look(min_ttl).and_then(|(view, until)| (now < until).then_some(view))
    }

    /// The token, even if it has expired. Only for the holder of the client's lock.
    pub(crate) fn read(&self) -> Option<Token> {
        let count = self.words.load(Ordering::Relaxed);
        if count == 0 {
            return None;
        }
        // SAFETY: there are as many in a block; no other thread writes them, and they live as long
        // as this entry.
        let words = unsafe { slice::from_raw_parts(self.first.load(Ordering::Relaxed), count) };
        let copy = words.iter().map(|word| word.load(Ordering::Relaxed)).collect();
        // SAFETY: the words of a token.
        Some(unsafe { Token::from_words(copy) })
    }

    /// Replaces the current token. Only for the holder of the client's lock.
    pub(crate) fn publish(&self, token: &Token, serve_until: BootTime) {
        let words = token.words();
        let size = (0..SIZES).find(|size| SMALLEST << size >= words.len()).unwrap_or(SIZES - 1);
        let block = self.blocks[size].get_or_init(|| Box::new(Block::new(SMALLEST << size)));
        self.write(|| {
            self.wipe_other_than(size);
            for (place, word) in block.iter().zip(words) {
                place.store(*word, Ordering::Relaxed);
            }
            for place in block.iter().skip(words.len()) {
                place.store(0, Ordering::Relaxed);
            }
            self.first.store(block.as_ptr().cast_mut(), Ordering::Relaxed);
            self.words.store(words.len().min(block.len()), Ordering::Relaxed);
            self.bearer.store(Token::bearer_len(words), Ordering::Relaxed);
            self.serial.store(Token::serial_of(words), Ordering::Relaxed);
            self.expires_at.store(token.expires_at().nanos(), Ordering::Relaxed);
            self.serve_until.store(serve_until.nanos(), Ordering::Relaxed);
        });
    }

    /// Changes only the time until which readers may serve the token.
    pub(crate) fn set_serve_until(&self, until: BootTime) {
        self.serve_until.store(until.nanos(), Ordering::Relaxed);
    }

    /// Wipes the token. Only for the holder of the client's lock.
    pub(crate) fn clear(&self) {
        self.write(|| {
            self.wipe_other_than(SIZES);
            self.words.store(0, Ordering::Relaxed);
            self.bearer.store(0, Ordering::Relaxed);
            self.expires_at.store(0, Ordering::Relaxed);
            self.serve_until.store(0, Ordering::Relaxed);
        });
    }

    fn wipe_other_than(&self, kept: usize) {
        for (size, block) in self.blocks.iter().enumerate() {
            if let Some(block) = block.get().filter(|_| size != kept) {
                block.iter().for_each(|word| word.store(0, Ordering::Relaxed));
            }
        }
    }

    fn write(&self, store: impl FnOnce()) {
        // A child forked in the middle of a write finds the sequence odd: the next write starts
        // from there.
        let odd = self.sequence.load(Ordering::Relaxed) | 1;
        self.sequence.store(odd, Ordering::Relaxed);
        fence(Ordering::Release);
        store();
        self.sequence.store(odd.wrapping_add(1), Ordering::Release);
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<'a> View<'a> {
    /// Not valid before [`View::holds`] has confirmed it.
    #[inline(always)]
    pub(crate) fn serial(&self) -> u64 {
        self.current.serial.load(Ordering::Relaxed)
    }

    /// Copies the whole token. Not valid before [`View::holds`] has confirmed it. `None`: the token
    /// is being replaced.
    #[inline(always)]
    pub(crate) fn to_words(&self) -> Option<Box<[u64]>> {
        Some(copy::to_new(self.words()?))
    }

    /// Copies the whole token into memory of the caller's. Not valid before [`View::holds`] has
    /// confirmed it. `None`: it is too small, or the token is being replaced.
    #[inline(always)]
    pub(crate) fn words_in<'b>(&self, room: &'b mut [MaybeUninit<u64>]) -> Option<&'b mut [u64]> {
        copy::into(self.words()?, room)
    }

    /// Copies `Bearer <token>` to the start of `buffer`, after `announce` has seen its length.
    /// `None`: the buffer is too small and unchanged, or the token is being replaced and no part of
    /// it is there.
    #[inline(always)]
    pub(crate) fn copy_bearer(
        &self,
        buffer: &mut [u8],
        announce: impl FnOnce(&mut [u8], usize),
    ) -> Option<usize> {
        let first = self.current.first.load(Ordering::Relaxed);
        let length = self.current.bearer.load(Ordering::Relaxed);
        if length > buffer.len() || !self.holds() {
            return None;
        }
        announce(buffer, length);
        // SAFETY: the buffer has been found to be that long. (Indexing would be a call.)
        let place = unsafe { slice::from_raw_parts_mut(buffer.as_mut_ptr(), length) };
        // SAFETY: they belong together, as has just been confirmed: so many bytes of a block, which
        // lives as long as the entry.
        unsafe { copy::to_bytes(first.add(BEARER_WORD), place) };
        if !self.holds() {
            place.fill(0);
            return None;
        }
        Some(length)
    }

    /// At least one. `None`: a writer has interfered, so that pointer and number may belong to
    /// different tokens.
    #[inline(always)]
    fn words(&self) -> Option<&'a [AtomicU64]> {
        let first = self.current.first.load(Ordering::Relaxed);
        let count = self.current.words.load(Ordering::Relaxed);
        if self.holds() && count > 0 {
            // SAFETY: they belong together, and a block, which is not null, lives as long as the
            // entry.
            unsafe {
                std::hint::assert_unchecked(!first.is_null());
                Some(slice::from_raw_parts(first, count))
            }
        } else {
            None
        }
    }

    /// Whether everything read through this view belongs to one token.
    #[inline(always)]
    pub(crate) fn holds(&self) -> bool {
        fence(Ordering::Acquire);
        self.current.sequence.load(Ordering::Relaxed) == self.sequence
    }
}

#[cfg(all(test, not(feature = "__shuttle")))]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::life::Life;

    const NOW: BootTime = BootTime::from_nanos(1_000_000_000);
    const LATER: BootTime = BootTime::from_nanos(2_000_000_000);

    fn token(value: &str, serial: u64) -> Token {
        let life =
            Life { requested_at: NOW, lifetime: Duration::from_secs(100), fresh_until: LATER };
        Token::new(value, "a", serial, &life, 0)
    }

    fn read(current: &Current, now: BootTime) -> Option<Token> {
        let view = current.look_at(now, Duration::ZERO)?;
        let words = view.to_words()?;
        // SAFETY: the words of a token, as was just confirmed.
        view.holds().then(|| unsafe { Token::from_words(words) })
    }

    #[test]
    fn a_reader_sees_what_was_published_until_its_time() {
        let current = Current::default();
        assert!(read(&current, NOW).is_none());
        current.publish(&token("first", 1), LATER);
        assert_eq!(read(&current, NOW).unwrap().value(), "first");
        assert!(read(&current, LATER).is_none());
        current.set_serve_until(LATER.after(Duration::from_secs(1)));
        assert!(read(&current, LATER).is_some());
        current.clear();
        assert!(read(&current, NOW).is_none());
    }

    #[test]
    fn a_caller_that_needs_the_token_beyond_its_expiry_must_ask() {
        let current = Current::default();
        current.publish(&token("x", 1), LATER);
        let is_enough = |min_ttl| current.look_at(NOW, min_ttl).is_some();
        let lifetime = Duration::from_secs(100);
        assert!(is_enough(lifetime - NANOSECOND) && is_enough(lifetime));
        assert!(!is_enough(lifetime + NANOSECOND) && !is_enough(Duration::MAX));
    }

    #[test]
    fn tokens_of_every_size_replace_each_other_and_leave_nothing() {
        let current = Current::default();
        for length in [1, 5000, 30, 16 * 1024, 900] {
            let value = "v".repeat(length);
            current.publish(&token(&value, 1), LATER);
            assert_eq!(read(&current, NOW).unwrap().value(), value);
        }
        let first = current.first.load(Ordering::Relaxed).cast_const();
        for block in current.blocks.iter().filter_map(OnceBox::get) {
            let is_used = block.iter().any(|word| word.load(Ordering::Relaxed) != 0);
            assert_eq!(is_used, block.as_ptr() == first);
        }
    }

    #[test]
    fn a_header_value_is_copied_where_it_fits() {
        let (current, expected) = (Current::default(), b"Bearer abcdefghijk");
        current.publish(&token("abcdefghijk", 1), LATER);
        for length in 0..expected.len() + 3 {
            let (mut buffer, mut announced) = (vec![b'.'; length], None);
            let view = current.look_at(NOW, Duration::ZERO).unwrap();
            let copied = view.copy_bearer(&mut buffer, |_, length| announced = Some(length));
            assert_eq!(copied, (length >= expected.len()).then_some(expected.len()));
            assert_eq!(copied, announced);
            let (text, rest) = buffer.split_at(copied.unwrap_or_default());
            assert_eq!(text, &expected[..text.len()]);
            assert!(rest.iter().all(|byte| *byte == b'.'));
        }
    }

    #[test]
    fn what_a_writer_has_interfered_with_is_not_returned() {
        let current = Current::default();
        current.publish(&token("first", 1), LATER);
        let view = current.look_at(NOW, Duration::ZERO).unwrap();
        let next = token("a successor that is longer", 2);
        let rest = "Bearer first".len()..;
        // Between the checks and the copy, and after the copy.
        let mut buffer = [b'.'; 100];
        let copied = view.copy_bearer(&mut buffer, |_, _| current.publish(&next, LATER));
        assert_eq!((copied, &buffer[..7]), (None, &[0; 7][..]));
        assert!(buffer[rest].iter().all(|byte| *byte == b'.'));
        assert!(view.to_words().is_none() && !view.holds());
        assert_eq!(view.copy_bearer(&mut buffer, |_, _| unreachable!()), None);
        assert_eq!(current.look_at(NOW, Duration::ZERO).unwrap().serial(), 2);
    }
    #[test]
    fn a_reader_never_sees_a_mixture() {
        let current = Current::default();
        let tokens = ["a".repeat(700), "b".repeat(3000), "c".repeat(40)]
            .map(|value| (token(&value, 1), value));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        if let Some(seen) = read(&current, NOW) {
                            assert!(tokens.iter().any(|(_, value)| value == seen.value()));
                        }
                    }
                });
            }
            for round in 0..20_000 {
                current.publish(&tokens[round % tokens.len()].0, LATER);
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
