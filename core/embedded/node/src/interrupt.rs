//! System calls that a signal interrupts are made again.
//!
//! The node has a handler for the end of its children, and Linux fails some calls for
//! any handler, `SA_RESTART` or not: among them those on a socket with a timeout
//! (signal(7)). The standard library repeats what it wraps, except `connect`; the calls
//! that this crate makes itself go through [`retry_on_interrupt`]. What must stay true:
//! an interruption never becomes a reason that a user reads.

/// An error that may say that a signal came in between.
pub(crate) trait Interruption {
    /// Whether the call did nothing, and is to be made again.
    fn is_interruption(&self) -> bool;
}

impl Interruption for std::io::Error {
    fn is_interruption(&self) -> bool {
        self.kind() == std::io::ErrorKind::Interrupted
    }
}

impl Interruption for nix::errno::Errno {
    fn is_interruption(&self) -> bool {
        *self == Self::EINTR
    }
}

impl Interruption for rustix::io::Errno {
    fn is_interruption(&self) -> bool {
        *self == Self::INTR
    }
}

/// Makes a call until no signal interrupts it. A timeout of the call starts again each time.
pub(crate) fn retry_on_interrupt<T, E: Interruption>(
    mut call: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    loop {
        match call() {
            Err(error) if error.is_interruption() => {}
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a call is made that is interrupted twice and then ends with `last`.
    fn calls<E: Interruption>(interruption: impl Fn() -> E, last: Result<(), E>) -> (u32, bool) {
        let mut made = 0;
        let mut last = Some(last);
        let outcome = retry_on_interrupt(|| {
            made += 1;
            match made {
                1 | 2 => Err(interruption()),
                _ => last.take().unwrap(),
            }
        });
        (made, outcome.is_ok())
    }

    #[test]
    fn only_interruptions_are_made_again() {
        use nix::errno::Errno;
        let io = |number| std::io::Error::from_raw_os_error(number);
        assert_eq!(calls(|| Errno::EINTR, Ok(())), (3, true));
        assert_eq!(calls(|| Errno::EINTR, Err(Errno::EAGAIN)), (3, false));
        assert_eq!(calls(|| io(libc::EINTR), Ok(())), (3, true));
        assert_eq!(calls(|| io(libc::EINTR), Err(io(libc::EAGAIN))), (3, false));
        let interruption = rustix::io::Errno::INTR;
        assert_eq!(calls(|| interruption, Ok(())), (3, true));
    }
}
