//! Whether a value was too large to be gone through in full.
//!
//! A map can hold itself, and a list of two lists of two lists has more items than
//! anyone can count. What shows, copies or encodes values stops at a bound of its
//! own and says so here; the executor asks after each call and ends the rendering,
//! so that no text that was cut short comes out of it. By thread, as each rendering
//! has its own: `%v` is needed in too many places that cannot fail.

use std::cell::Cell;

/// Values within each other.
pub const DEPTH: usize = 1_000;
/// Values in all, of one thing that is shown, copied or encoded.
pub const VALUES: usize = 2_000_000;
/// Bytes of one text.
pub const TEXT: usize = 16 << 20;

thread_local! {
    static EXCEEDED: Cell<bool> = const { Cell::new(false) };
}

/// Notes that a value was not gone through to its end.
pub fn exceed() {
    EXCEEDED.set(true);
}

/// An error if `exceed` was called since this was asked last.
pub fn check() -> Result<(), String> {
    if EXCEEDED.take() {
        return Err(format!(
            "a value is too large: it holds itself, nests deeper than {DEPTH} levels, or makes more than {VALUES} values or {TEXT} bytes"
        ));
    }
    Ok(())
}
