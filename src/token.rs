//! The access token that callers receive.
//!
//! A [`Token`] is one block of 64-bit words: a few numbers, then the text `Authorization: Bearer
//! <token>` and the granted scope. It is made of words because the cache publishes the same block
//! to its readers (see `cache/current.rs`), which copy it word by word. The C API's `tu_token` is
//! this block too.

mod block;

use std::fmt;
use std::time::Duration;

use block::Block;
pub(crate) use block::Lent;

use crate::clock::{BootTime, Clock};
use crate::life::Life;

/// Longest accepted access token, in bytes.
pub(crate) const MAX_TOKEN_BYTES: usize = 16 * 1024;

// The words before the text.
pub(crate) const KIND: usize = 0;
pub(crate) const LENGTHS: usize = 1;
const EXPIRES_AT: usize = 2;
const FRESH_UNTIL: usize = 3;
const EXPIRES_AT_UNIX_MS: usize = 4;
const SERIAL: usize = 5;
pub(crate) const TEXT: usize = 6;

/// One byte of padding puts "Bearer " on a word boundary, so that copying it needs no shifting.
const PREFIX: &[u8] = b"\0Authorization: Bearer ";
const HEADER_AT: usize = 1;
const BEARER_AT: usize = 16;
/// The word of a block that begins with "Bearer ".
pub(crate) const BEARER_WORD: usize = TEXT + BEARER_AT / 8;
const VALUE_AT: usize = PREFIX.len();
const BEARER_PREFIX_LEN: usize = VALUE_AT - BEARER_AT;

/// A block's lengths word: the length of the token, the size of the block in words, some of which may
/// be unused, and the length of the scope.
const fn lengths_word(value: usize, words: usize, scope: usize) -> u64 {
    (value as u64) << 32 | (words as u64) << 16 | scope as u64
}

const _: () = assert!(MAX_WORDS <= 0xffff && crate::scope::MAX_SCOPE_BYTES <= 0xffff);

/// Memory for a copy of a token, got before the token is there. Threads that wait for the same
/// token would otherwise all ask for memory when they wake, and many would sleep again, because the
/// C library's allocator has locks.
pub(crate) struct Room(Box<[u64]>);

impl Room {
    /// For tokens of half a kilobyte to one: the largest block that glibc's threads keep for
    /// themselves when they free it.
    const WORDS: usize = 129;

    pub(crate) fn new() -> Self {
        // Not zeros, which the system might provide only when they are written to.
        Self(vec![!0; Self::WORDS].into())
    }
}

/// Marks a block as a token, for `tu_free`.
pub(crate) const TOKEN_KIND: u64 = u64::from_le_bytes(*b"tu token");

/// Size of the largest block, in words.
pub(crate) const MAX_WORDS: usize = words_for(MAX_TOKEN_BYTES, crate::scope::MAX_SCOPE_BYTES);

/// Size of a block in words, for a token and scope of these lengths in bytes.
const fn words_for(value: usize, scope: usize) -> usize {
    // Rounded up, with the last NUL.
    TEXT + (PREFIX.len() + value + 1 + scope) / 8 + 1
}

/// An OAuth 2.0 access token, owned by the caller.
///
/// Immutable, `Send` and `Sync`; wiped from memory when dropped; never shown by `Debug`. It does
/// not keep its client alive.
///
/// ```
/// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// let token = client.token()?;
/// assert!(!format!("{token:?}").contains(token.value()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Token {
    block: Block,
}

impl Token {
    pub(crate) fn new(value: &str, scope: &str, serial: u64, life: &Life, unix_ms: i64) -> Self {
        let mut words = vec![0u64; words_for(value.len(), scope.len())].into_boxed_slice();
        words[KIND] = TOKEN_KIND;
        words[LENGTHS] = lengths_word(value.len(), words.len(), scope.len());
        words[EXPIRES_AT] = life.expires_at().nanos();
        words[FRESH_UNTIL] = life.fresh_until.nanos();
        words[EXPIRES_AT_UNIX_MS] = unix_ms as u64;
        words[SERIAL] = serial;
        let text: &mut [u8] = bytemuck::cast_slice_mut(&mut words[TEXT..]);
        let scope_at = VALUE_AT + value.len() + 1;
        text[..VALUE_AT].copy_from_slice(PREFIX);
        text[VALUE_AT..VALUE_AT + value.len()].copy_from_slice(value.as_bytes());
        text[scope_at..scope_at + scope.len()].copy_from_slice(scope.as_bytes());
        Self { block: words.into() }
    }

    /// # Safety
    /// The words of another token; or none of the text is read.
    #[inline(always)]
    pub(crate) unsafe fn from_words(words: Box<[u64]>) -> Self {
        Self { block: words.into() }
    }

    #[inline(always)]
    pub(crate) fn words(&self) -> &[u64] {
        self.block.words()
    }

    /// Gives the block away; its new owner must wipe it, and free it as a box.
    #[cfg(feature = "capi")]
    #[inline(always)]
    pub(crate) fn into_raw(self) -> *mut [u64] {
        self.block.into_raw()
    }

    /// Length of the bare token, from a block's lengths word.
    #[inline(always)]
    fn value_len(lengths: u64) -> usize {
        (lengths >> 32) as usize
    }

    #[inline(always)]
    fn scope_len(lengths: u64) -> usize {
        (lengths & 0xffff) as usize
    }

    /// A copy, in `room` if its size is suitable.
    pub(crate) fn copy_in(&self, room: Option<Room>) -> Self {
        let words = self.words();
        let (value, scope) = (Self::value_len(words[LENGTHS]), Self::scope_len(words[LENGTHS]));
        let used = words_for(value, scope);
        let suits = |room: &Room| (used..=2 * used).contains(&room.0.len());
        let Some(Room(mut place)) = room.filter(suits) else {
            return self.clone();
        };
        place[..used].copy_from_slice(&words[..used]);
        place[LENGTHS] = lengths_word(value, place.len(), scope);
        Self { block: place.into() }
    }

    /// Length of `Bearer <token>`, at [`BEARER_WORD`].
    #[inline(always)]
    pub(crate) fn bearer_len(words: &[u64]) -> usize {
        BEARER_PREFIX_LEN + Self::value_len(words[LENGTHS])
    }

    /// Size in words of a block with this lengths word.
    #[cfg(any(test, feature = "capi"))]
    #[inline(always)]
    pub(crate) fn word_count(lengths: u64) -> usize {
        (lengths >> 16 & 0xffff) as usize
    }

    /// Offsets of the parts in a block's text.
    #[inline(always)]
    pub(crate) fn layout(words: &[u64]) -> Layout {
        let length = Self::value_len(words[LENGTHS]);
        Layout {
            header: HEADER_AT,
            bearer: BEARER_AT,
            value: VALUE_AT,
            length,
            scope: VALUE_AT + length + 1,
            scope_length: Self::scope_len(words[LENGTHS]),
        }
    }

    /// A block's text.
    #[inline(always)]
    pub(crate) fn text_of(words: &[u64]) -> &[u8] {
        bytemuck::cast_slice(&words[TEXT..])
    }

    pub(crate) fn life_left(words: &[u64]) -> Duration {
        BootTime::from_nanos(words[EXPIRES_AT]).until(Clock::System.now())
    }

    pub(crate) fn fresh_left(words: &[u64]) -> Duration {
        BootTime::from_nanos(words[FRESH_UNTIL]).until(Clock::System.now())
    }

    pub(crate) fn expires_at_unix_ms_of(words: &[u64]) -> i64 {
        words[EXPIRES_AT_UNIX_MS] as i64
    }

    #[inline]
    fn slice(&self, from: usize, length: usize) -> &str {
        let bytes = &Self::text_of(self.words())[from..from + length];
        // SAFETY: a part was a `str` when `new` wrote it, after ASCII. Checking a kilobyte would
        // take a program that reads the token longer than getting it.
        unsafe { std::str::from_utf8_unchecked(bytes) }
    }

    #[inline]
    fn parts(&self) -> Layout {
        Self::layout(self.words())
    }

    /// The bare access token.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// assert!(!client.token()?.value().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn value(&self) -> &str {
        self.slice(VALUE_AT, self.parts().length)
    }

    /// `Bearer <token>`: the value of an `Authorization` header (RFC 6750 section 2.1).
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// let token = client.token()?;
    /// assert_eq!(token.bearer(), format!("Bearer {}", token.value()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn bearer(&self) -> &str {
        self.slice(BEARER_AT, VALUE_AT - BEARER_AT + self.parts().length)
    }

    /// `Authorization: Bearer <token>`: a complete header line, without line ending.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// assert!(client.token()?.header().starts_with("Authorization: Bearer "));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn header(&self) -> &str {
        self.slice(HEADER_AT, VALUE_AT - HEADER_AT + self.parts().length)
    }

    /// Copies `Bearer <token>` and returns its length; the error is the required length.
    pub(crate) fn copy_bearer(&self, buffer: &mut [u8]) -> Result<usize, usize> {
        let bearer = self.bearer().as_bytes();
        let place = buffer.get_mut(..bearer.len()).ok_or(bearer.len())?;
        place.copy_from_slice(bearer);
        Ok(bearer.len())
    }

    /// The granted scopes, separated by spaces.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// assert_eq!(client.token()?.scope(), "asset.view");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn scope(&self) -> &str {
        self.slice(self.parts().scope, self.parts().scope_length)
    }

    /// Remaining lifetime, on a clock that includes suspend; zero if the token has expired.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// assert!(client.token()?.expires_in().as_secs() > 1100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn expires_in(&self) -> Duration {
        Self::life_left(self.words())
    }

    /// Time until the library would renew the token: how long a copy may be cached elsewhere.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// let token = client.token()?;
    /// assert!(token.fresh_for() < token.expires_in());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fresh_for(&self) -> Duration {
        Self::fresh_left(self.words())
    }

    /// Expiry as Unix time in milliseconds. For display only: the wall clock may be set.
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// assert!(client.token()?.expires_at_unix_ms() > 1_700_000_000_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn expires_at_unix_ms(&self) -> i64 {
        Self::expires_at_unix_ms_of(self.words())
    }

    pub(crate) fn expires_at(&self) -> BootTime {
        BootTime::from_nanos(self.words()[EXPIRES_AT])
    }

    pub(crate) fn set_fresh_until(&mut self, at: BootTime) {
        self.block.words_mut()[FRESH_UNTIL] = at.nanos();
    }

    /// A number that identifies this token among those of its client. See
    /// [`crate::Client::serial_at_hand`].
    ///
    /// ```
    /// # let (emulator, client) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// assert_eq!(client.token()?.serial(), client.token()?.serial());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn serial(&self) -> u64 {
        Self::serial_of(self.words())
    }

    pub(crate) fn serial_of(words: &[u64]) -> u64 {
        words[SERIAL]
    }
}

/// Offsets and lengths of a token's parts in its text, in bytes.
#[cfg_attr(not(feature = "capi"), allow(dead_code))]
pub(crate) struct Layout {
    pub(crate) header: usize,
    pub(crate) bearer: usize,
    pub(crate) value: usize,
    /// Length of the bare token.
    pub(crate) length: usize,
    pub(crate) scope: usize,
    pub(crate) scope_length: usize,
}

impl Clone for Token {
    fn clone(&self) -> Self {
        Self { block: Box::<[u64]>::from(self.words()).into() }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("scope", &self.scope())
            .field("expires_in", &self.expires_in())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life() -> Life {
        let now = Clock::System.now();
        Life {
            requested_at: now,
            lifetime: Duration::from_secs(1200),
            fresh_until: now.after(Duration::from_secs(700)),
        }
    }

    #[test]
    fn the_three_views_are_one_text() {
        for value in ["t", "abcdefgh", "abc.def-ghi_jkl"] {
            let token = Token::new(value, "a b", 7, &life(), 5);
            assert_eq!(token.value(), value);
            assert_eq!(token.bearer(), format!("Bearer {value}"));
            assert_eq!(token.header(), format!("Authorization: Bearer {value}"));
            assert_eq!(token.scope(), "a b");
            assert_eq!(token.serial(), 7);
            assert_eq!(token.expires_at_unix_ms(), 5);
            assert_eq!(Token::word_count(token.words()[LENGTHS]), token.words().len());
        }
    }

    #[test]
    fn its_times_are_those_of_its_life() {
        let mut token = Token::new("abc", "a", 1, &life(), 0);
        let left = token.fresh_for();
        assert!(left <= Duration::from_secs(700) && left > Duration::from_secs(600), "{left:?}");
        let left = token.expires_in();
        assert!(left <= Duration::from_secs(1200) && left > Duration::from_secs(1100), "{left:?}");
        token.set_fresh_until(Clock::System.now());
        assert_eq!(token.fresh_for(), Duration::ZERO);
    }

    #[test]
    fn a_copy_may_be_made_in_memory_that_is_there() {
        for (length, fits) in
            [(3, false), (436, false), (437, true), (956, true), (957, false), (3000, false)]
        {
            let token = Token::new(&"t".repeat(length), "a b", 7, &life(), 5);
            let room = Room::new();
            let place = room.0.as_ptr();
            let copy = token.copy_in(Some(room));
            assert_eq!(copy.words().as_ptr() == place, fits, "{length}");
            // The copy of a copy, too.
            for copy in [copy.copy_in(Some(Room::new())), copy.clone(), copy] {
                assert_eq!((copy.header(), copy.scope()), (token.header(), "a b"));
                assert_eq!((copy.value(), copy.serial()), (token.value(), 7));
                assert_eq!(Token::word_count(copy.words()[LENGTHS]), copy.words().len());
            }
        }
    }

    #[test]
    fn a_copy_fits_or_its_length_is_told() {
        let token = Token::new("abc", "a", 1, &life(), 0);
        let mut buffer = [b'.'; 12];
        assert_eq!(token.copy_bearer(&mut buffer), Ok(10));
        assert_eq!(&buffer, b"Bearer abc..");
        assert_eq!(token.copy_bearer(&mut buffer[..9]), Err(10));
        assert_eq!(token.copy_bearer(&mut []), Err(10));
    }

    #[test]
    fn every_text_ends_with_a_nul() {
        let token = Token::new("abc", "scope", 1, &life(), 0);
        let (text, parts) = (Token::text_of(token.words()), token.parts());
        assert_eq!(text[parts.value + parts.length], 0);
        assert_eq!(text[parts.scope + parts.scope_length], 0);
        assert_eq!(BEARER_AT % 8, 0);
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = Token::new("hush-hush", "a", 1, &life(), 0);
        assert!(!format!("{token:?}").contains("hush"));
    }

    #[test]
    fn the_largest_token_and_scope_fit() {
        let token = Token::new(
            &"x".repeat(MAX_TOKEN_BYTES),
            &"s".repeat(crate::scope::MAX_SCOPE_BYTES),
            1,
            &life(),
            0,
        );
        assert_eq!(token.words().len(), MAX_WORDS);
    }
}
