//! A browser that is driven by WebDriver, and the emulator's page in it.
//!
//! The tests are ignored unless asked for: they need `chromium` and `chromedriver` (two Debian packages: `chromium`
//! and `chromium-driver`). `make test` runs them where both are there.

#![forbid(unsafe_code)]

mod browser;
mod page;
mod processes;
mod webdriver;

pub use browser::{Browser, Device};
pub use page::{BOUND, Page, Shown, until};
