//! `tu_config`: options on their way to a client.

use std::ffi::{c_char, c_void};
use std::fmt;
use std::sync::Arc;

use super::guard::contained;
use super::user_data::UserData;
use super::{owned, text, tu_event, tu_event_fn};
use crate::credentials::{Credentials, CredentialsFn, Lack};
use crate::error::Error;
use crate::events::{Event, EventFn};

/// The options of a client to be. Belongs to one thread at a time; tu_client_new copies it, so it
/// may be changed or released at once afterwards. Release it with tu_free.
pub struct tu_config(());

/// Takes a client id and secret from a credentials function, or why there are none. Valid during
/// that call only.
pub struct tu_credentials {
    given: Option<Credentials>,
    lack: Lack,
}

/// What a credentials function failed with: a pointer of the program's, and its text.
struct ForeignCause(UserData, String);

impl fmt::Debug for ForeignCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForeignCause(..)")
    }
}

impl fmt::Display for ForeignCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

impl std::error::Error for ForeignCause {}

/// The pointer that a credentials function left for whoever gets the error; NULL: none.
pub(super) fn cause_of(error: &Error) -> *mut c_void {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<ForeignCause>())
        .map_or(std::ptr::null_mut(), |cause| cause.0.pointer())
}

/// Lets go of `user_data`. Called exactly once, after the last call of the function it belongs to
/// has ended; also when setting that function failed. On any thread.
pub type tu_drop_fn = Option<unsafe extern "C-unwind" fn(user_data: *mut c_void)>;

/// Gives the client id and secret, by tu_credentials_set, before each token request. `refused`:
/// the endpoint refused the last pair. Returns false, or sets nothing, if there is none to be had:
/// TU_CREDENTIALS; tu_credentials_fail tells why. It must not wait for a token of the client it
/// serves (such a call gets TU_INVALID_ARGUMENT).
///
/// Called on a thread of the library's that is there for that, at most eight at once in the process.
/// All fetches of a client that need credentials while it runs share what it gives. Its time is not
/// taken from fetch_timeout: callers wait for it at most their timeout (TU_TIMEOUT says so then), and
/// a valid token is handed out meanwhile. One that has not returned after 10 s may have hung: it is
/// called again beside that, on another thread, up to four times in all, and what comes first is
/// used; so it may run on several threads at once.
pub type tu_credentials_fn = Option<
    unsafe extern "C-unwind" fn(
        user_data: *mut c_void,
        refused: bool,
        out: *mut tu_credentials,
    ) -> bool,
>;

/// A new configuration with the defaults of the option table; nothing is taken from the environment
/// before tu_config_load_env. Release it with tu_free.
#[unsafe(no_mangle)]
pub extern "C" fn tu_config_new() -> *mut tu_config {
    contained(std::ptr::null_mut(), owned::config)
}

/// # Safety
/// As [`owned::as_config_mut`].
unsafe fn with(config: *mut tu_config, change: impl FnOnce(&mut crate::Config)) {
    contained((), || {
        // SAFETY: the caller vouches for the handle.
        if let Some(config) = unsafe { owned::as_config_mut(config) } {
            change(config);
        }
    });
}

/// Sets an option. Never fails: the first mistake (an unknown key, a bad value, NULL) is
/// remembered and reported by tu_client_new. Both strings are copied. A second value replaces the
/// first. What the program sets wins over the environment, in any order.
///
/// # Safety
/// `config` is NULL or a live handle; the strings are NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_config_set(
    config: *mut tu_config,
    key: *const c_char,
    value: *const c_char,
) {
    // SAFETY: the caller vouches for all three.
    unsafe {
        with(config, |config| {
            let strings = text::read(key, "the key given to tu_config_set").and_then(|key| {
                let shown: String = key.chars().filter(|c| !c.is_control()).take(64).collect();
                Ok((key, text::read(value, &format!("the value of option \"{shown}\""))?))
            });
            match strings {
                Ok((key, value)) => {
                    config.set(key, value);
                }
                Err(mistake) => config.remember(mistake),
            }
        });
    }
}

/// Takes every environment variable TRACKUNIT_<KEY> that is set now and not empty, such as
/// TRACKUNIT_CLIENT_ID. Others with that prefix are ignored.
///
/// # Safety
/// `config` is NULL or a live handle. As with getenv, no other thread may change the environment
/// meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_config_load_env(config: *mut tu_config) {
    // SAFETY: the caller vouches for the handle.
    unsafe {
        with(config, |config| {
            config.load_env();
        });
    }
}

/// Sets the function that gives the credentials, in the place of client_id and client_secret. Set
/// twice, the first is dropped. `drop` may be NULL.
///
/// # Safety
/// `config` is NULL or a live handle; the functions may be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_config_on_credentials(
    config: *mut tu_config,
    function: tu_credentials_fn,
    user_data: *mut c_void,
    drop: tu_drop_fn,
) {
    let user_data = UserData::new(user_data, drop);
    // SAFETY: the caller vouches for the handle.
    unsafe {
        with(config, |config| match function {
            Some(function) => {
                config.on_credentials(credentials_fn(function, user_data));
            }
            None => config.remember(Error::argument("tu_config_on_credentials got no function")),
        });
    }
}

fn credentials_fn(
    function: unsafe extern "C-unwind" fn(*mut c_void, bool, *mut tu_credentials) -> bool,
    user_data: UserData,
) -> CredentialsFn {
    CredentialsFn::explaining(move |refused| {
        let mut out = tu_credentials { given: None, lack: Lack::default() };
        // SAFETY: the host program gave both for this call; `out` lives through it.
        let is_given = unsafe { function(user_data.pointer(), refused, &mut out) };
        out.given.filter(|_| is_given).ok_or(out.lack)
    })
}

/// Sets the function that is told what happens. Called on one thread of the library's, one event
/// after the other, never under a lock; it may call the client. Set twice, the first is dropped.
/// `drop` may be NULL.
///
/// # Safety
/// `config` is NULL or a live handle; the functions may be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_config_on_event(
    config: *mut tu_config,
    function: tu_event_fn,
    user_data: *mut c_void,
    drop: tu_drop_fn,
) {
    let user_data = UserData::new(user_data, drop);
    // SAFETY: the caller vouches for the handle.
    unsafe {
        with(config, |config| match function {
            Some(function) => {
                config.on_event(event_fn(function, user_data));
            }
            None => config.remember(Error::argument("tu_config_on_event got no function")),
        });
    }
}

fn event_fn(
    function: unsafe extern "C-unwind" fn(*mut c_void, *const tu_event),
    user_data: UserData,
) -> EventFn {
    EventFn::from(move |event: &Event| {
        super::event::with_c_event(event, |event| {
            // SAFETY: the host program gave both for this call; the event lives through it.
            unsafe { function(user_data.pointer(), event) }
        });
    })
}

/// Hands over a client id and secret, from within a credentials function. Both are copied. NULL or
/// bad UTF-8 counts as nothing set.
///
/// # Safety
/// `out` is NULL or what the credentials function was given; the strings are NULL or
/// NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_credentials_set(
    out: *mut tu_credentials,
    client_id: *const c_char,
    client_secret: *const c_char,
) {
    // SAFETY: the caller vouches for all three.
    contained((), || unsafe {
        let Some(out) = out.as_mut() else { return };
        let pair = text::read(client_id, "client_id")
            .and_then(|id| Ok((id, text::read(client_secret, "client_secret")?)));
        out.given = pair.ok().map(|(id, secret)| Credentials::new(id, secret));
    });
}

/// Longest text of a failure that is kept, in characters.
const MOST_MESSAGE: usize = 256;

/// Says why there are none, from within a credentials function that then returns false. `message`
/// (may be NULL) becomes part of the error's message and of events, so it must hold no secret;
/// `cause` is for tu_error_cause, and `drop` (may be NULL) is called with it, exactly once, when the
/// last error that carries it has been released.
///
/// # Safety
/// `out` is NULL or what the credentials function was given; `message` is NULL or NUL-terminated;
/// `cause` may be used and dropped on any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tu_credentials_fail(
    out: *mut tu_credentials,
    message: *const c_char,
    cause: *mut c_void,
    drop: tu_drop_fn,
) {
    let cause = UserData::new(cause, drop);
    // SAFETY: the caller vouches for all four.
    contained((), || unsafe {
        let Some(out) = out.as_mut() else { return };
        let message = text::read(message, "message").ok().map(|message| {
            message.chars().filter(|c| !c.is_control()).take(MOST_MESSAGE).collect::<String>()
        });
        let text = message.clone().unwrap_or_default();
        out.given = None;
        out.lack = Lack { message, cause: Some(Arc::new(ForeignCause(cause, text))) };
    });
}
