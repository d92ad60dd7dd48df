//! Words for what callers and fetches do on the stage, and what they are told.

use super::*;
use crate::cache::input::Hand;
use scene::Heard;

impl Scene {
    // --- callers ---------------------------------------------------------------------------------

    pub(super) fn asks(&mut self) -> Heard {
        self.asks_for(&PATIENT)
    }

    pub(super) fn asks_for(&mut self, want: &Want) -> Heard {
        self.asks_again(want, None)
    }

    pub(super) fn asks_again(&mut self, want: &Want, waited: Option<Waited>) -> Heard {
        let entry = self.on;
        self.around.asked[entry] = true;
        self.step(Input::Ask { entry, want: *want, waited });
        let starts = self.starts(entry).is_some();
        let mut answers = self.said.iter().filter_map(|output| match output {
            Output::Serve { .. } if starts => Some(ServedAndStarted),
            Output::Serve { .. } => Some(Served),
            Output::Wait { wait, .. } => Some(self.waits(wait, starts)),
            Output::Fail(reason) if starts => Some(FailsAndStarted(trouble(reason))),
            Output::Fail(reason) => Some(Fails(trouble(reason))),
            _ => None,
        });
        match (answers.next(), answers.next()) {
            (Some(heard), None) => heard,
            _ => panic!("not one answer: {:?}", self.said),
        }
    }

    fn waits(&self, wait: &Wait, starts: bool) -> Heard {
        match wait.serve_at.map(seconds) {
            Some(at) if starts => WaitsTillAndStarted(at),
            Some(at) => WaitsTill(at),
            None if starts => WaitsAndStarted,
            None if self.entries[self.on].fetch.is_none() => Later(seconds(wait.until)),
            None => Waits,
        }
    }

    /// Until when the caller waits that has just asked, at most.
    pub(super) fn waits_until(&self) -> f64 {
        let until = self.said.iter().find_map(|output| match output {
            Output::Wait { wait, .. } => Some(seconds(wait.until)),
            _ => None,
        });
        until.expect("it waits")
    }

    /// The wait that goes with the error that a caller has just been told.
    pub(super) fn is_told_to_wait(&self) -> f64 {
        let wait = self.said.iter().find_map(|output| match output {
            Output::Fail(Reason::Blocked { wait, .. } | Reason::Failed { wait, .. }) => Some(wait),
            _ => None,
        });
        wait.expect("it is told an error").as_secs_f64()
    }

    /// Whoever waited for the entry has gone.
    pub(super) fn leaves(&mut self) -> &mut Self {
        self.around.waiting[self.on] = 0;
        self
    }

    // --- a fetch ---------------------------------------------------------------------------------

    pub(super) fn flight(&self) -> FlightId {
        self.entries[self.on].fetch.expect("a fetch is under way")
    }

    /// With which rank the last step has started a fetch of the entry.
    pub(super) fn starts(&self, entry: usize) -> Option<Rank> {
        self.said.iter().find_map(|output| match *output {
            Output::Start { entry: of, rank, .. } if of == entry => {
                matches!(rank, Rank::Awaited | Rank::Background).then_some(rank)
            }
            _ => None,
        })
    }

    /// What a thread has in its hands: `credentials`, or nothing.
    pub(super) fn hand(&self, credentials: Option<Result<Pair, Unread<Trouble>>>) -> Hand<Trouble> {
        Hand { source: self.source, credentials }
    }

    /// The pair that the source gives now.
    pub(super) fn pair(&self) -> Pair {
        Pair { version: self.source.version, is_other: false, was_asked_for: false }
    }

    pub(super) fn thread_comes(
        &mut self,
        flight: FlightId,
        credentials: Option<Result<Pair, Unread<Trouble>>>,
    ) {
        let hand = self.hand(credentials);
        self.step(Input::ThreadReady { flight, hand });
    }

    /// A thread takes up the fetch, and has its credentials.
    pub(super) fn goes_on(&mut self) -> &mut Self {
        self.thread_comes(self.flight(), Some(Ok(self.pair())));
        self
    }

    /// A thread takes up the fetch and sends its first request.
    pub(super) fn begins(&mut self) {
        assert!(self.goes_on().sends().is_some(), "{:?}", self.said);
    }

    /// How long the request may take that is being sent, and what was spent of the fetch's time.
    pub(super) fn sends(&self) -> Option<(f64, f64)> {
        self.said.iter().find_map(|output| match *output {
            Output::Do { task: Task::Send { limit, spent }, .. } => {
                Some((limit.as_secs_f64(), spent.as_secs_f64()))
            }
            _ => None,
        })
    }

    /// What the fetch's thread does next.
    pub(super) fn does(&self) -> Option<Task> {
        self.said.iter().find_map(|output| match *output {
            Output::Do { task, .. } => Some(task),
            _ => None,
        })
    }

    /// Whether it waits for credentials, or for a trial; with true, for others than it had.
    pub(super) fn is_parked(&self) -> Option<bool> {
        let is_paused = self.says(|output| matches!(output, Output::Pause { .. }));
        self.said.iter().find_map(|output| match *output {
            Output::Park { refused, .. } if !is_paused => Some(refused),
            _ => None,
        })
    }

    pub(super) fn answers(
        &mut self,
        flight: FlightId,
        answer: Result<Granted, Failure<Trouble>>,
    ) -> &mut Self {
        let source = self.source;
        self.step(Input::Answered { flight, answer, source });
        self
    }

    pub(super) fn brings(&mut self, lifetime: u64) -> bool {
        self.comes_home(self.flight(), Duration::from_secs(lifetime), false)
    }

    pub(super) fn brings_the_same_token(&mut self, lifetime: Duration) -> bool {
        self.comes_home(self.flight(), lifetime, true)
    }

    /// Whether its token is the current one from now on.
    pub(super) fn comes_home(
        &mut self,
        flight: FlightId,
        lifetime: Duration,
        same_value: bool,
    ) -> bool {
        self.answers(flight, Ok(Granted { lifetime, same_value }));
        self.says(|output| matches!(output, Output::Publish { .. }))
    }

    /// A caller asks, and the fetch that starts brings a token in no time.
    pub(super) fn gets(&mut self, lifetime: u64) {
        let heard = self.asks();
        self.begins();
        assert!(self.brings(lifetime), "{heard:?}");
    }

    /// An attempt fails: at which second the next is made. `None`: that was the last.
    pub(super) fn attempt_fails(&mut self, failure: Failure<Trouble>) -> Option<f64> {
        self.answers(self.flight(), Err(failure)).goes_on_at()
    }

    /// When the fetch goes on that is to wait, or not to wait.
    pub(super) fn goes_on_at(&self) -> Option<f64> {
        self.said.iter().find_map(|output| match *output {
            Output::Pause { until, .. } => Some(seconds(until)),
            Output::Do { task: Task::GoOn, .. } => Some(seconds(self.now)),
            _ => None,
        })
    }

    /// The fetch fails with this attempt.
    pub(super) fn fails(&mut self, failure: Failure<Trouble>) {
        assert_eq!(self.attempt_fails(failure), None, "it goes on");
        assert_eq!(self.is_parked(), None, "it goes on");
    }

    /// A caller asks, and the fetch that starts fails in no time.
    pub(super) fn suffers(&mut self, failure: Failure<Trouble>) {
        let heard = self.asks();
        assert!(self.entries[self.on].fetch.is_some(), "nothing was started: {heard:?}");
        self.begins();
        self.fails(failure);
    }

    /// How many attempts the fetch would make in all, that is sending now, if each failed at once.
    pub(super) fn most_attempts(&self) -> u32 {
        let mut scene = self.clone();
        for made in 1.. {
            match scene.attempt_fails(failure(Class::Transient)) {
                Some(at) => scene.at(at).begins(),
                None => return made,
            }
        }
        unreachable!()
    }

    pub(super) fn is_withdrawn(&mut self) {
        self.thread_comes(self.flight(), Some(Err(Unread::NoThread(Trouble::NoThread))));
    }

    /// No thread can be had for the fetch that has just been started.
    pub(super) fn is_not_started(&mut self) {
        let flight = self.flight();
        self.step(Input::NotStarted { flight, error: Trouble::NoThread });
        assert_eq!(self.entries[self.on].fetch, None);
    }
}

fn trouble(reason: &Reason<Trouble>) -> Trouble {
    match reason {
        Reason::Closed => Trouble::Closed,
        Reason::AsTold => Trouble::AsTold,
        Reason::Pending { .. } => Trouble::Pending,
        Reason::TimedOut { .. } => Trouble::TimedOut,
        Reason::Blocked { obstacle: Obstacle::Budget { .. }, .. } => Trouble::Budget,
        Reason::Blocked { obstacle: Obstacle::Remembered(fault), .. }
        | Reason::Failed { fault, .. } => match fault {
            Fault::Told(trouble) => *trouble,
            Fault::Overrun => Trouble::Overrun,
            Fault::Ended(_) => Trouble::Ended,
        },
        Reason::NotMade(trouble) => *trouble,
        Reason::Ended => Trouble::Ended,
    }
}
