//! What survives a `fork()`.
//!
//! A child inherits memory but only the thread that forked; a lock that another thread held stays
//! held for ever. So every lock of the library is taken inside a *gate*, for nanoseconds and never
//! two at a time, and `pthread_atfork` closes the gate around each fork: when the child begins, no
//! lock of ours is held and nothing is half changed. What only makes sense in the parent (threads,
//! fetches under way, waiting callers) is told apart by the *generation*, which each child counts
//! up: behind each lock stands whose the value is, and the child's first thread that takes the lock
//! makes it the child's own, as its type says.
//!
//! A fork waits for those inside, but not for ever: a signal handler may fork on a thread that is
//! inside itself, and a thread that is inside may be kept from running. After [`gate::LONGEST`] the
//! fork goes on, and its child begins a new *epoch*: what lay behind a lock is not looked at any
//! more, each lock is made anew, around an empty value, when it is next taken.
//!
//! - [`gate`] who is inside, and what happens around a fork
//! - [`inherited`] what a child makes of a value of its parent's
//! - [`locked`] values behind a lock that begin anew; [`kept`] those that may not be lost
//! - [`mailbox`] where a thread waits, outside the gate, for what another one brings
//! - [`callback`] functions of the program, let go once in every process

mod bell;
mod callback;
mod gate;
mod inherited;
mod kept;
mod locked;
mod mailbox;

pub(crate) use callback::{Callable, Callback};
pub(crate) use gate::{
    InLibrary, generation, install_handlers, is_out_of_library, was_forked_in_library,
};
#[cfg(all(test, unix, feature = "__shuttle"))]
pub(crate) use gate::{fork_around, fork_without_waiting};
pub(crate) use inherited::{AnyProcess, Inherited, OneProcess};
pub(crate) use kept::{Kept, KeptGuard};
#[cfg(all(test, feature = "__shuttle"))]
pub(crate) use locked::begin_epoch_in_scenario;
pub(crate) use locked::{Guard, Locked};
pub(crate) use mailbox::{Mailbox, Parcel};

/// What tells a process from its parent and from its children. (State behind a lock needs none: see
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

    /// Whether a process was forked, since the library was loaded, that became this one.
    pub(crate) fn is_fork(self) -> bool {
        self != Self(0)
    }

    #[cfg(all(test, not(feature = "__shuttle")))]
    pub(crate) fn parent() -> Self {
        Self(generation().wrapping_sub(1))
    }
}
