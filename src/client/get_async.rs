//! A caller's way to a token without a thread that waits: a function is called.
//!
//! Once a call has been accepted its function is called, whatever happens. What ends a wait may
//! depend on the clock, and on a thread of the pool that the clock watcher gets hold of when there is
//! none at that moment. So the watcher is there before anything is registered, and stays until the
//! function has been called or let go.

use std::io;
use std::sync::{Arc, Weak};

use super::fetch::no_thread;
use super::get::{Next, Request, WaitHistory};
use super::shared::Shared;
use super::wait::{self, Outcome, Waiter};
use super::{Cancel, GetOptions};
use crate::cache::input::Waited;
use crate::error::{Error, ErrorKind};
use crate::process::{AnyProcess, Locked, OneProcess};
use crate::threads::{self, ClockHold};
use crate::token::Token;

pub(super) type Function = Box<dyn FnOnce(Result<Token, Error>) + Send>;

/// A function that is to be called, and what makes sure of it.
struct PendingCallback {
    function: Function,
    _clock: ClockHold,
}

/// A function on its way to being called, once.
struct Call {
    request: Arc<Request>,
    cancel: Option<Cancel>,
    function: Locked<OneProcess<Option<PendingCallback>>>,
    /// How it has waited so far.
    waited: Locked<AnyProcess<Option<Waited>>>,
    /// Where it waits now.
    waiter: Locked<AnyProcess<Weak<Waiter>>>,
}

/// A way to give up on a function that has not been called.
pub(super) struct Registration(Weak<Call>);

impl Registration {
    /// Ends the wait without calling the function.
    pub(super) fn abandon(&self) {
        let Some(call) = self.0.upgrade() else { return };
        // First, so that a wait that begins just now sees it.
        drop(call.take_function());
        let waiter = call.waiter.lock().upgrade();
        if let Some(waiter) = waiter {
            waiter.leave();
        }
    }
}

impl Call {
    fn answer(&self, outcome: Result<Token, Error>) {
        if let Some(PendingCallback { function, _clock }) = self.take_function() {
            function(outcome);
        }
    }

    fn take_function(&self) -> Option<PendingCallback> {
        self.function.lock().take()
    }

    fn is_answered(&self) -> bool {
        self.function.lock().is_none()
    }
}

impl Shared {
    /// For a caller that has looked whether its answer is known.
    pub(crate) fn get_async(
        self: &Arc<Self>,
        options: &GetOptions<'_>,
        function: Function,
    ) -> Result<Registration, Error> {
        let request = Arc::new(self.request(options)?);
        self.begin_async(&request, options.cancel, function)
    }

    /// Begins a wait, or goes on with that of a caller whose token has died on its way.
    pub(super) fn begin_async(
        self: &Arc<Self>,
        request: &Arc<Request>,
        cancel: Option<&Cancel>,
        function: Function,
    ) -> Result<Registration, Error> {
        self.refuse_self_wait(request)?;
        if request.is_at_once() {
            return Ok(answered(function, self.ask_at_once(request)));
        }
        let clock = match ClockHold::take() {
            Ok(clock) => clock,
            Err(error) => return self.answer_without_clock(request, function, &error),
        };
        let call = Arc::new(Call {
            request: request.clone(),
            cancel: cancel.cloned(),
            function: Locked::new(OneProcess(Some(PendingCallback { function, _clock: clock }))),
            waited: Locked::new(AnyProcess::default()),
            waiter: Locked::new(AnyProcess::default()),
        });
        self.ask_async(&call, WaitHistory::default());
        Ok(Registration(Arc::downgrade(&call)))
    }

    /// Nobody may wait: the function is called only if there is an answer already.
    #[cold]
    fn answer_without_clock(
        self: &Arc<Self>,
        request: &Request,
        function: Function,
        error: &io::Error,
    ) -> Result<Registration, Error> {
        match self.ask_at_once(&request.at_once()) {
            Err(other) if matches!(other.kind(), ErrorKind::Pending | ErrorKind::Internal) => {
                Err(no_thread("the time limit of an asynchronous call", error))
            }
            outcome => Ok(answered(function, outcome)),
        }
    }

    /// For a request that does not wait.
    fn ask_at_once(self: &Arc<Self>, request: &Request) -> Result<Token, Error> {
        loop {
            if let Next::Done(outcome) =
                self.ask(request, &Waiter::thread(), &WaitHistory::default())
            {
                return outcome;
            }
        }
    }

    fn ask_async(self: &Arc<Self>, call: &Arc<Call>, history: WaitHistory) {
        let (shared, called) = (self.clone(), call.clone());
        let waiter = Waiter::call(move |outcome| shared.woken_async(&called, outcome));
        call.waiter.lock().0 = Arc::downgrade(&waiter);
        if call.is_answered() {
            return;
        }
        if let Some(cancel) = &call.cancel {
            cancel.watch(&waiter);
        }
        let wait = loop {
            match self.ask(&call.request, &waiter, &history) {
                Next::Done(outcome) => {
                    waiter.leave();
                    return call.answer(outcome);
                }
                Next::AskAgain => {}
                Next::Wait(wait) => break wait,
            }
        };
        call.waited.lock().0 = Some(Waited { serve_at: wait.serve_at, failed: false });
        // The entry holds the waiter, for as long as there is something to wait for.
        threads::at(wait.until, Arc::downgrade(&waiter), |waiter| {
            wait::end(vec![waiter], Outcome::AskAgain, false);
        });
    }

    fn woken_async(self: &Arc<Self>, call: &Arc<Call>, outcome: Outcome) {
        let mut history = WaitHistory::after(call.waited.lock().0);
        match self.end_of_wait(outcome, &mut history) {
            Some(outcome) => call.answer(outcome),
            None => self.ask_async(call, history),
        }
    }
}

/// Calls a function whose answer is there.
pub(super) fn answered(function: Function, outcome: Result<Token, Error>) -> Registration {
    function(outcome);
    Registration(Weak::new())
}
