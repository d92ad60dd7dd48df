//! What survives a `fork()`.
//!
//! A child inherits memory but only the thread that forked; a lock that another thread held stays
//! held for ever. So every lock of the library is taken inside a *gate*, for nanoseconds and never
//! two at a time, and `pthread_atfork` closes the gate around each fork: when the child begins, no
//! lock of ours is held and nothing is half changed. What only makes sense in the parent (threads,
//! fetches under way, waiting callers) is told apart by the *generation*, which each child counts
//! up, and is let go when it is next met.
//!
//! A fork waits for those inside, but not for ever: a signal handler may fork on a thread that is
//! inside itself, and a thread that is inside may be kept from running. After [`gate::LONGEST`] the
//! fork goes on, and its child begins a new *epoch*: what lay behind a lock is not looked at any
//! more, each lock is made anew, around an empty value, when it is next taken.
//!
//! - [`gate`] who is inside, and what happens around a fork
//! - [`locked`] values behind a lock; those that begin anew, and those that may not be lost
//! - [`mailbox`] where a thread waits, outside the gate, for what another one brings
//! - [`callback`] functions of the program, let go once in every process

mod bell;
mod callback;
mod gate;
mod locked;
mod mailbox;

pub(crate) use callback::{Callable, Callback};
pub(crate) use gate::{
    InLibrary, generation, install_handlers, is_out_of_library, was_forked_in_library,
};
#[cfg(all(test, unix, feature = "shuttle"))]
pub(crate) use gate::{fork_around, fork_without_waiting};
#[cfg(all(test, feature = "shuttle"))]
pub(crate) use locked::begin_epoch_in_scenario;
pub(crate) use locked::{Guard, Kept, KeptGuard, Locked};
pub(crate) use mailbox::{Mailbox, Parcel};

/// Whose a piece of state is. A forked child finds its parent's, and makes it its own when it first
/// meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    /// The process that loaded the library: whose statics are as long as nobody has met them.
    pub(crate) const FIRST: Self = Self(0);

    pub(crate) fn this() -> Self {
        Self(generation())
    }

    #[inline]
    pub(crate) fn is_this(self) -> bool {
        self == Self::this()
    }

    /// Makes the state this process's own. Whether it was the parent's, so that what only makes
    /// sense there is to be let go.
    pub(crate) fn adopt(&mut self) -> bool {
        std::mem::replace(self, Self::this()) != Self::this()
    }

    #[cfg(all(test, not(feature = "shuttle")))]
    pub(crate) fn parent() -> Self {
        Self(generation().wrapping_sub(1))
    }
}

impl Default for Process {
    fn default() -> Self {
        Self::FIRST
    }
}
