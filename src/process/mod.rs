//! What survives a `fork()`.
//!
//! A child inherits memory but only the thread that forked: a lock that another thread held stays
//! held forever. So every lock of the library is taken inside a *gate*, for nanoseconds and never
//! two at a time, and `pthread_atfork` handlers close the gate around each fork: when the child
//! starts, no lock of the library is held and nothing is half changed. What is meaningful only in
//! the parent (threads, fetches in progress, waiting callers) is recognized by the *generation*,
//! which each child increments: every lock records the generation that owns its value, and the
//! first thread of a child to take the lock adopts the value as its type specifies.
//!
//! A fork waits for the threads inside the gate, but not indefinitely: a signal handler may fork on
//! a thread that is itself inside, and a thread inside may be kept from running. After
//! [`gate::LONGEST`] the fork proceeds, and its child begins a new *epoch*: values behind locks are
//! not read any more; each lock is recreated around an empty value when it is next taken.
//!
//! - [`gate`] tracks which threads are inside, and holds the fork handlers
//! - [`inherited`] what a child does with a value inherited from its parent
//! - [`locked`] values behind a lock that may start empty in a child; [`kept`] those that must not
//!   be lost
//! - [`queue`] where threads wait, outside the gate, for a lock
//! - [`mailbox`] where threads wait, outside the gate, for what another one delivers
//! - [`callback`] functions of the program, released once in every process

mod bell;
mod callback;
mod gate;
mod inherited;
mod kept;
mod locked;
mod mailbox;
mod queue;

pub(crate) use callback::{Callable, Callback};
#[cfg(feature = "capi")]
pub(crate) use gate::generation_place;
pub(crate) use gate::{
    InCLibrary, generation, install_handlers, left_c_library, was_forked_in_c_library,
};
#[cfg(all(test, unix, feature = "__shuttle"))]
pub(crate) use gate::{fork_around, fork_without_waiting};
pub(crate) use inherited::{AnyProcess, Inherited, OneProcess};
pub(crate) use kept::{Kept, KeptGuard};
#[cfg(all(test, feature = "__shuttle"))]
pub(crate) use locked::begin_epoch_in_scenario;
pub(crate) use locked::{Guard, Locked};
pub(crate) use mailbox::{Board, Mailbox, Parcel};

/// Tells a process from its parent and from its children. (State behind a lock needs none: see
/// [`Inherited`].)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn this() -> Self {
        Self(generation())
    }

    #[inline]
    pub(crate) fn is_this(self) -> bool {
        self == Self::this()
    }

    /// Whether this process is a fork child of the one that loaded the library.
    pub(crate) fn is_fork(self) -> bool {
        self != Self(0)
    }

    #[cfg(all(test, not(feature = "__shuttle")))]
    pub(crate) fn parent() -> Self {
        Self(generation().wrapping_sub(1))
    }
}
