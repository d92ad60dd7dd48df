//! What the figures depend on: lines of key and value, separated by a tab, from benches/facts.sh.

/// The facts, in their order.
pub struct Facts(Vec<(String, String)>);

impl Facts {
    pub fn parse(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once('\t'));
        Self(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// "unknown" if it is.
    pub fn get(&self, key: &str) -> &str {
        self.0.iter().find(|(name, _)| name == key).map_or("unknown", |(_, value)| value)
    }

    /// A table of some of them.
    pub fn table(&self, keys: &[&str]) -> String {
        let rows = keys.iter().map(|key| format!("| {key} | {} |\n", self.get(key)));
        format!("| | |\n| --- | --- |\n{}", rows.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_fact_is_shown_as_such() {
        let facts = Facts::parse("Go\tgo1.24\nbroken\n");
        assert_eq!(
            facts.table(&["Go", "C"]),
            "| | |\n| --- | --- |\n| Go | go1.24 |\n| C | unknown |\n"
        );
    }
}
