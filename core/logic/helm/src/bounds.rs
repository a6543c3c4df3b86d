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
pub const VALUES: usize = 500_000;
/// Bytes of one text.
pub const TEXT: usize = 16 << 20;

thread_local! {
    static EXCEEDED: Cell<bool> = const { Cell::new(false) };
    static VISITED: Cell<usize> = const { Cell::new(0) };
}

/// Forgets what an earlier rendering on this thread left behind.
pub fn begin() {
    EXCEEDED.set(false);
    VISITED.set(0);
}

/// Counts a value that is shown, copied, compared or encoded.
pub fn visit() {
    VISITED.set(VISITED.get() + 1);
}

/// Counts a value that is encoded within others: how deep those in it may yet be, or
/// `None` where there are too many, or it holds itself.
pub fn enter(depth: usize, budget: &Cell<usize>) -> Option<usize> {
    visit();
    let deeper = depth.checked_sub(1)?;
    let Some(left) = budget.get().checked_sub(1) else {
        exceed();
        return None;
    };
    budget.set(left);
    Some(deeper)
}

/// Whether what is at work has visited all that it may.
pub fn is_spent() -> bool {
    VISITED.get() > VALUES
}

/// Notes that a value was not gone through to its end.
pub fn exceed() {
    EXCEEDED.set(true);
}

/// The values visited since this was asked last, or an error if `exceed` was
/// called.
pub fn visited() -> Result<usize, String> {
    if EXCEEDED.take() {
        return Err(format!(
            "a value is too large: it holds itself, nests deeper than {DEPTH} levels, or makes more than {VALUES} values or {TEXT} bytes"
        ));
    }
    Ok(VISITED.take())
}
