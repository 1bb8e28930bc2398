//! The clock: the machine's own, or the page's in a browser.

pub(crate) use web_time::Instant;
