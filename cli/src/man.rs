//! Manual pages for packages, if built with the feature `__man`.

use std::path::Path;
use std::{fs, io};

use crate::arguments;
use crate::failure::{Failure, INTERNAL};

/// Writes `tu-token.1` and a page for each subcommand into a directory.
pub fn write(directory: &Path) -> Result<(), Failure> {
    pages(directory).map_err(|error| {
        Failure::new(INTERNAL, format!("{} cannot be written to: {error}", directory.display()))
    })
}

fn pages(directory: &Path) -> io::Result<()> {
    // A page for `help` would add nothing.
    clap_mangen::generate_to(arguments::command().disable_help_subcommand(true), directory)?;
    for page in fs::read_dir(directory)? {
        let page = page?.path();
        if page.extension().is_some_and(|extension| extension == "1") {
            fs::write(&page, with_lines_kept(&fs::read_to_string(&page)?))?;
        }
    }
    Ok(())
}

/// Keeps the line breaks of the examples and exit codes below the options. clap_mangen puts them into a
/// section EXTRA, whose lines troff would join.
fn with_lines_kept(page: &str) -> String {
    let Some((before, extra)) = page.split_once(".SH EXTRA\n") else { return page.to_owned() };
    let (extra, after) = match extra.find("\n.SH ") {
        Some(end) => extra.split_at(end + 1),
        None => (extra, ""),
    };
    format!("{before}.SH NOTES\n.nf\n{extra}.fi\n{after}")
}
