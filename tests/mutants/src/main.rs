//! `tu-token-mutants ROOT SKIPPED FILE...`: rewrites the files below ROOT so that they contain every mutant, each behind
//! `crate::mutants::is(number)`, and prints a line for each: number, file, line, change, separated by tabs. SKIPPED is a
//! file with the numbers of mutants that do not compile.
//!
//! Mutants are those of cargo-mutants: other values for a function, other operators, match arms and guards without
//! effect. All of them are compiled at once, so that trying one takes the time of its tests and no more.

mod edit;
mod values;

use std::collections::HashSet;
use std::error::Error;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [root, skipped, files @ ..] = &arguments[..] else {
        return Err("usage: tu-token-mutants ROOT SKIPPED FILE...".into());
    };
    let skipped: HashSet<usize> = fs::read_to_string(skipped)?
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let mut next = 1;
    for file in files {
        let path = Path::new(root).join(file);
        let source = fs::read_to_string(&path)?;
        let (text, mutants) = edit::file(&source, &mut next, &skipped)?;
        fs::write(&path, text)?;
        for mutant in mutants {
            println!("{}\t{file}\t{}\t{}", mutant.number, mutant.line, mutant.change);
        }
    }
    Ok(())
}
