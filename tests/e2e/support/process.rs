//! Running other programs: clients that may be absent, and those that must succeed.

use std::process::Command;

/// A client on the path, or `None` with a word to the reader. Where the lane
/// demands every client (`CATALYST_REQUIRE_CLIENTS` is set), none may be absent.
pub fn client(name: &str) -> Option<Command> {
    if Command::new(name)
        .arg("version")
        .arg("--help")
        .output()
        .is_ok()
    {
        return Some(Command::new(name));
    }
    assert!(
        std::env::var_os("CATALYST_REQUIRE_CLIENTS").is_none(),
        "{name} is not on the path"
    );
    eprintln!("not used: {name}, because it is not on the path");
    None
}

pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (out, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command:?}\n{out}{error}");
    out.into_owned()
}
