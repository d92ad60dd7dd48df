//! Drives a browser through WebDriver to test the emulator's page.
//!
//! The tests are ignored by default because they need `chromium` and `chromedriver` (the Debian packages `chromium` and
//! `chromium-driver`). `make test` runs them if both are installed.

#![forbid(unsafe_code)]

mod browser;
mod page;
mod processes;
mod webdriver;

pub use browser::{Browser, Device};
pub use page::{BOUND, Page, Shown, until};
