//! Counts what the process has allocated, and ends it before the machine
//! suffers: no chart may make this crate take more than `MOST`.
//!
//! For tests that render hostile charts; what they kept before is not counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes that one chart may take at most.
pub const MOST: usize = 1 << 30;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static BEGUN: AtomicUsize = AtomicUsize::new(0);

struct Counted;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promises are those that are asked for here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grown(size);
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTED: Counted = Counted;

fn grown(size: usize) {
    let now = NOW.fetch_add(size, Relaxed) + size;
    PEAK.fetch_max(now, Relaxed);
    if now.saturating_sub(BEGUN.load(Relaxed)) > MOST {
        // Whoever unwinds allocates again.
        let _ = std::io::stderr()
            .write_all(b"one chart took more memory than tests/support/memory.rs allows\n");
        std::process::abort();
    }
}

/// What `work` gives, and the most bytes that it held at a time. One caller at
/// a time gets figures that mean something.
pub fn measured<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let begun = NOW.load(Relaxed);
    BEGUN.store(begun, Relaxed);
    PEAK.store(begun, Relaxed);
    let made = work();
    (made, PEAK.load(Relaxed).saturating_sub(begun))
}
