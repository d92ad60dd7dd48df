//! Objects that C owns. Every allocation begins with a tag that identifies its type.

use std::alloc::{Layout, dealloc};

use crate::client::Config;
use crate::client::{Cancel, Client};
use crate::error::Error;
use crate::token::{LENGTHS, TOKEN_KIND, Token};

use super::cancel::tu_cancel;
use super::client::tu_client;
use super::config::tu_config;
use super::error::{ErrorObject, tu_error};
use super::token::tu_token;

const CONFIG: u64 = u64::from_le_bytes(*b"tuconfig");
const CLIENT: u64 = u64::from_le_bytes(*b"tuclient");
const CANCEL: u64 = u64::from_le_bytes(*b"tucancel");
const ERROR: u64 = u64::from_le_bytes(*b"tu error");
const FREED: u64 = u64::from_le_bytes(*b"tu freed");

/// An object preceded by its tag.
#[repr(C)]
struct Tagged<T> {
    kind: u64,
    value: T,
}

fn give<T, H>(kind: u64, value: T) -> *mut H {
    Box::into_raw(Box::new(Tagged { kind, value })).cast()
}

/// # Safety
/// `handle` is NULL or came from [`give`] with the same `T` and has not been freed.
unsafe fn peek<'a, T, H>(handle: *const H) -> Option<&'a T> {
    // SAFETY: the caller guarantees it.
    unsafe { handle.cast::<Tagged<T>>().as_ref() }.map(|tagged| &tagged.value)
}

pub(super) fn config() -> *mut tu_config {
    give(CONFIG, Config::new())
}

/// # Safety
/// NULL, or a live handle that no other thread uses.
pub(super) unsafe fn as_config_mut<'a>(handle: *mut tu_config) -> Option<&'a mut Config> {
    // SAFETY: the caller guarantees it.
    unsafe { handle.cast::<Tagged<Config>>().as_mut() }.map(|tagged| &mut tagged.value)
}

/// # Safety
/// NULL, or a live handle.
pub(super) unsafe fn as_config<'a>(handle: *const tu_config) -> Option<&'a Config> {
    // SAFETY: the caller guarantees it.
    unsafe { peek(handle) }
}

pub(super) fn client(client: Client) -> *mut tu_client {
    give(CLIENT, client)
}

/// # Safety
/// NULL, or a live handle.
#[inline(always)]
pub(super) unsafe fn as_client<'a>(handle: *const tu_client) -> Option<&'a Client> {
    // SAFETY: the caller guarantees it.
    unsafe { peek(handle) }
}

pub(super) fn cancel() -> *mut tu_cancel {
    give(CANCEL, Cancel::new())
}

/// # Safety
/// NULL, or a live handle.
pub(super) unsafe fn as_cancel<'a>(handle: *const tu_cancel) -> Option<&'a Cancel> {
    // SAFETY: the caller guarantees it.
    unsafe { peek(handle) }
}

pub(super) fn error(error: Error) -> *mut tu_error {
    give(ERROR, ErrorObject::new(error))
}

/// # Safety
/// NULL, or a live handle.
pub(super) unsafe fn as_error<'a>(handle: *const tu_error) -> Option<&'a ErrorObject> {
    // SAFETY: the caller guarantees it.
    unsafe { peek(handle) }
}

/// A token needs no wrapper: its first word is the tag.
pub(super) fn token(token: Token) -> *mut tu_token {
    token.into_raw().cast()
}

/// # Safety
/// NULL, or a live handle.
#[inline(always)]
pub(super) unsafe fn as_token_words<'a>(handle: *const tu_token) -> Option<&'a [u64]> {
    let first = handle.cast::<u64>();
    if first.is_null() {
        return None;
    }
    // SAFETY: a live token has all words before its text, and its lengths give the total.
    unsafe {
        let count = Token::word_count(first.add(LENGTHS).read());
        Some(std::slice::from_raw_parts(first, count))
    }
}

/// Releases any object that this library returned for you to own: config, client, token, cancel,
/// error. NULL does nothing.
///
/// Freeing a client never blocks and makes waiting calls return TU_CLOSED, but no other call on
/// that client may be running or start: close, join, free. Tokens and errors outlive their client.
/// So do running callbacks; their `drop` is called when they return.
///
/// Freeing any other pointer, or freeing twice, is undefined as with free(); most such mistakes are
/// detected and abort the process with a message.
///
/// # Safety
/// `owned` is NULL or came from this library and has not been freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_free(owned: *mut std::ffi::c_void) {
    let first = owned.cast::<u64>();
    if first.is_null() {
        return;
    }
    if !first.is_aligned() {
        not_ours();
    }
    // SAFETY: the caller guarantees that `owned` is an object of this library; all of them begin
    // with a u64 tag that identifies the type. The allocator wipes the freed memory, tag included.
    unsafe {
        // Tokens first, and without a guard: they are freed at every request, and cannot panic.
        if first.read() == TOKEN_KIND {
            let count = Token::word_count(first.add(LENGTHS).read());
            // As a box would, in fewer calls.
            dealloc(first.cast(), Layout::from_size_align_unchecked(count * 8, align_of::<u64>()));
        } else {
            free_other(first);
        }
    }
}

/// `extern "C"`, like the function below: nothing unwinds out of it, so [`tu_free`] needs no frame.
///
/// # Safety
/// `first` is the tag of an object that is no token.
#[cold]
#[inline(never)]
unsafe extern "C" fn free_other(first: *mut u64) {
    // SAFETY: the caller guarantees it.
    super::guard::contained((), || unsafe {
        match first.read() {
            ERROR => release::<ErrorObject>(first),
            CONFIG => release::<Config>(first),
            CLIENT => release::<Client>(first),
            CANCEL => release::<Cancel>(first),
            _ => not_ours(),
        }
    });
}

/// # Safety
/// `first` came from [`give`] with the same `T`.
unsafe fn release<T>(first: *mut u64) {
    // SAFETY: the caller guarantees it.
    unsafe {
        // Dropping may run callbacks of the host program, which may free this object again.
        first.write(FREED);
        drop(Box::from_raw(first.cast::<Tagged<T>>()));
    }
}

#[cold]
extern "C" fn not_ours() -> ! {
    crate::threads::write_to_stderr(
        "tu_free: this pointer is not from tu_token, or was already freed",
    );
    std::process::abort();
}
