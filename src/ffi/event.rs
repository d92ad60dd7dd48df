//! `tu_event`, and the names of the kinds.

use std::ffi::{CStr, c_char, c_void};

use super::text::to_c;
use super::token::{millis, millis_to_wait};
use super::{OK, tu_status};
use crate::events::{Event, EventKind};

/// An event. Valid during the callback only; strings are never NULL ("" means none). Contains no
/// secret and no token.
#[repr(C)]
pub struct tu_event {
    /// Size of this struct in the library that is loaded.
    pub struct_size: usize,
    /// TU_EVENT_*, see tu_event_kind_name; later versions may add values.
    pub kind: i32,
    /// The failure, or TU_OK.
    pub status: tu_status,
    /// The client's `name` option.
    pub client: *const c_char,
    /// Canonical scope; "" if the event concerns the whole client.
    pub scope: *const c_char,
    /// One line to show or log.
    pub message: *const c_char,
    /// Eight hex digits that identify the token within this process.
    pub fingerprint: *const c_char,
    /// HTTP status of the token endpoint's response; 0: none.
    pub http_status: i32,
    /// Number of the attempt within its fetch, from 1; 0: not about an attempt.
    pub attempt: i32,
    /// FETCH_FAILED: duration of that attempt; FETCH_SUCCEEDED: of the whole fetch, with failed
    /// attempts and backoff; STORE: of the fetch so far; CLOCK: size of the jump. Otherwise 0.
    pub duration_ms: i64,
    /// Time until the next attempt; -1: unknown.
    pub wait_ms: i64,
    /// TU_SEVERITY_*; later versions may add values. (Libraries without this member report a
    /// smaller struct_size.)
    pub severity: i32,
}

/// Receives events; see tu_config_on_event. While it blocks, the events of all clients in the
/// process are queued, up to 1,024 per client; fetches and callers are not delayed.
pub type tu_event_fn =
    Option<unsafe extern "C-unwind" fn(user_data: *mut c_void, event: *const tu_event)>;

const KINDS: [(EventKind, &CStr); 11] = [
    (EventKind::FetchStarted, c"TU_EVENT_FETCH_STARTED"),
    (EventKind::FetchSucceeded, c"TU_EVENT_FETCH_SUCCEEDED"),
    (EventKind::FetchFailed, c"TU_EVENT_FETCH_FAILED"),
    (EventKind::ServedWhileFailing, c"TU_EVENT_SERVED_WHILE_FAILING"),
    (EventKind::Invalidated, c"TU_EVENT_INVALIDATED"),
    (EventKind::Rotated, c"TU_EVENT_ROTATED"),
    (EventKind::Store, c"TU_EVENT_STORE"),
    (EventKind::Clock, c"TU_EVENT_CLOCK"),
    (EventKind::Fork, c"TU_EVENT_FORK"),
    (EventKind::Budget, c"TU_EVENT_BUDGET"),
    (EventKind::Warning, c"TU_EVENT_WARNING"),
];

/// The name of an event's kind, such as "TU_EVENT_ROTATED"; "TU_UNKNOWN" for any other number.
/// Static.
#[unsafe(no_mangle)]
pub extern "C" fn tu_event_kind_name(kind: i32) -> *const c_char {
    let known = KINDS.iter().find(|(known, _)| *known as i32 == kind);
    known.map_or(c"TU_UNKNOWN", |(_, name)| name).as_ptr()
}

pub(super) fn with_c_event(event: &Event, tell: impl FnOnce(&tu_event)) {
    let client = to_c(&event.client);
    let scope = to_c(&event.scope);
    let message = to_c(&event.message);
    let fingerprint = to_c(event.fingerprint.as_deref().unwrap_or_default());
    tell(&tu_event {
        struct_size: size_of::<tu_event>(),
        kind: event.kind as i32,
        status: event.error.map_or(OK, |kind| kind.status()),
        client: client.as_ptr(),
        scope: scope.as_ptr(),
        message: message.as_ptr(),
        fingerprint: fingerprint.as_ptr(),
        http_status: event.http_status.map_or(0, i32::from),
        attempt: i32::try_from(event.attempt).unwrap_or(i32::MAX),
        duration_ms: millis(event.duration),
        wait_ms: event.wait.map_or(-1, millis_to_wait),
        severity: event.severity() as i32,
    });
}
