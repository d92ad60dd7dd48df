//! Choices, read from the fuzzer's bytes. When they run out, every further choice is the first one.

use std::time::Duration;

pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 != 0
    }

    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    pub(super) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// From 0 to 1.
    pub(super) fn share(&mut self) -> f64 {
        f64::from(self.byte()) / 255.0
    }

    pub(super) fn number(&mut self) -> u64 {
        let high = u64::from(self.byte());
        high << 8 | u64::from(self.byte())
    }

    /// Milliseconds to hours: the first byte chooses the unit.
    pub(super) fn time(&mut self) -> Duration {
        let unit = self.one_of(&[1, 10, 1_000, 60_000]);
        Duration::from_millis(unit * self.number() % 18_000_000)
    }

    pub(super) fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(self.0.len().min(most));
        self.0 = rest;
        taken
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}
