//! Opens pages with the browser of this machine, where there is one.

use std::process::{Command, Stdio};

/// Asks the machine to open the page; true if something took the request. Failing is
/// no fault: whoever calls has printed the address.
pub fn open(address: &str) -> bool {
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let chosen = std::env::var_os("BROWSER").filter(|value| !value.is_empty());
    let program = match chosen {
        Some(program) => program,
        None if has_display => "xdg-open".into(),
        None => return false,
    };
    Command::new(program)
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .is_ok()
}
