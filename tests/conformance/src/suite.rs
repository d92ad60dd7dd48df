//! All cases, one after the other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::case::Case;
use crate::endpoint::Endpoint;
use crate::play::Play;
use crate::secrets::Secrets;
use crate::testee::Testee;
use crate::vectors::{self, Stage};

/// What is played, and to whom.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Where the transcripts are.
    pub vectors: PathBuf,
    /// Only cases with this in their names.
    pub only: Option<String>,
    /// Starts the testee.
    pub command: Vec<String>,
    /// The longest that one answer of it may take.
    pub bound: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many cases were as expected.
    pub passed: usize,
    /// The others: name, why it has to be so, what was found.
    pub failed: Vec<(String, String, String)>,
}

impl Suite {
    /// Plays all cases. An error: nothing could be played.
    pub fn run(&self) -> Result<Outcome, String> {
        let endpoint = Endpoint::start().map_err(|error| error.to_string())?;
        let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
        let cases = self.cases(&endpoint.origin(), scratch.path())?;
        let (mut outcome, mut secrets) = (Outcome::default(), Secrets::default());
        let mut testee = None;
        for case in &cases {
            let (hidden, found) = self.one(case, &endpoint, &mut testee);
            secrets.hide_all(&hidden);
            match found {
                Ok(()) => outcome.passed += 1,
                Err(problem) => {
                    outcome.failed.push((case.name.clone(), case.why.clone(), problem));
                    // What it holds from this case must not spoil the next.
                    testee = None;
                }
            }
        }
        if let Err(problem) = finished(testee, &secrets) {
            let (name, why) = ("the testee ends", "its end is as clean as its answers");
            outcome.failed.push((name.to_owned(), why.to_owned(), problem));
        }
        Ok(outcome)
    }

    fn cases(&self, origin: &str, scratch: &Path) -> Result<Vec<Case>, String> {
        let stage = Stage { origin: origin.to_owned(), directory: scratch.to_owned() };
        let mut cases = vectors::read_all(&self.vectors, &stage)?;
        if let Some(text) = &self.only {
            cases.retain(|case| case.name.contains(text.as_str()));
        }
        match cases.is_empty() {
            true => Err(format!("{}: there is no such case", self.vectors.display())),
            false => Ok(cases),
        }
    }

    fn one(
        &self,
        case: &Case,
        endpoint: &Endpoint,
        testee: &mut Option<Testee>,
    ) -> (Secrets, Result<(), String>) {
        if testee.is_none() {
            match Testee::start(&self.command, self.bound) {
                Ok(started) => *testee = Some(started),
                Err(problem) => return (Secrets::default(), Err(problem)),
            }
        }
        match testee {
            Some(testee) => Play::new(case, endpoint, testee).run(),
            None => (Secrets::default(), Err("there is no testee".to_owned())),
        }
    }
}

/// The testee ends well, and what it wrote beside its answers shows no secret.
fn finished(testee: Option<Testee>, secrets: &Secrets) -> Result<(), String> {
    match testee {
        Some(testee) => secrets.look_into(&testee.finish()?, "standard error"),
        None => Ok(()),
    }
}
