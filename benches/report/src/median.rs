//! Medians and spreads.

/// What is shown of the rounds of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The middle round.
    pub median: f64,
    /// The first and the third quartile: half of the rounds are between them.
    pub low: f64,
    pub high: f64,
}

impl Summary {
    /// `None` without rounds.
    pub fn of(rounds: &[f64]) -> Option<Self> {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (sorted.len().checked_sub(1)? as f64) * share;
            let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            Some(below + (above - below) * place.fract())
        };
        Some(Self { median: at(0.5)?, low: at(0.25)?, high: at(0.75)? })
    }

    /// Half of the distance between the quartiles, as a share of the median.
    pub fn spread(&self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.high - self.low) / 2.0 / self.median }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_rounds_does_not_matter() {
        let summary = Summary::of(&[5.0, 1.0, 4.0, 2.0, 3.0]).unwrap();
        assert_eq!(summary, Summary { median: 3.0, low: 2.0, high: 4.0 });
        assert!((summary.spread() - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn between_two_rounds_it_is_their_mean() {
        let summary = Summary::of(&[10.0, 20.0]).unwrap();
        assert_eq!(summary, Summary { median: 15.0, low: 12.5, high: 17.5 });
    }

    #[test]
    fn an_outlier_does_not_move_the_median() {
        assert_eq!(Summary::of(&[1.0, 1.0, 1.0, 900.0, 1.0]).unwrap().median, 1.0);
    }

    #[test]
    fn nothing_is_made_of_no_rounds() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[0.0]).unwrap().spread(), 0.0);
    }
}
