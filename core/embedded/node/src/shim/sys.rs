//! The few system calls the shim needs beyond what `nix` wraps.

use std::io::{IoSlice, IoSliceMut};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use crate::interrupt::retry_on_interrupt;

/// Highest capability number the kernel could know.
const LAST_CAPABILITY: u32 = 63;

/// Sends `message` with at most one descriptor attached to its first byte.
pub fn send_fd(stream: &UnixStream, message: &[u8], fd: Option<RawFd>) -> nix::Result<()> {
    let parts = [IoSlice::new(message)];
    let fds: Vec<RawFd> = fd.into_iter().collect();
    let control = [ControlMessage::ScmRights(&fds)];
    let control: &[ControlMessage<'_>] = if fds.is_empty() { &[] } else { &control };
    retry_on_interrupt(|| {
        sendmsg::<()>(stream.as_raw_fd(), &parts, control, MsgFlags::empty(), None)
    })?;
    Ok(())
}

/// Receives one answer of [`send_fd`]: its text and the descriptor, if any.
pub fn receive_fd(stream: &UnixStream) -> std::io::Result<(String, Option<OwnedFd>)> {
    retry_on_interrupt(|| receive_fd_once(stream))
}

fn receive_fd_once(stream: &UnixStream) -> std::io::Result<(String, Option<OwnedFd>)> {
    let mut buffer = [0u8; 1024];
    let mut control = nix::cmsg_space!([RawFd; 1]);
    let (length, fd) = {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let message = recvmsg::<()>(
            stream.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )?;
        let mut fd = None;
        for item in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(fds) = item {
                for raw in fds {
                    // SAFETY: the kernel has just installed this descriptor for
                    // us, and nobody else knows its number.
                    fd = Some(unsafe { OwnedFd::from_raw_fd(raw) });
                }
            }
        }
        (message.bytes, fd)
    };
    let text = buffer.get(..length).unwrap_or_default();
    Ok((String::from_utf8_lossy(text).into_owned(), fd))
}

/// Brings the loopback interface up and gives it `addresses`. On a loopback
/// interface the kernel makes every address of the prefix local, so that the
/// node can listen on any Service address without adding it first.
pub fn configure_loopback(addresses: &[(Ipv4Addr, u8)]) -> std::io::Result<()> {
    configure_interface("lo", None)?;
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    let fd = socket.as_raw_fd();
    for (index, (address, prefix)) in addresses.iter().enumerate() {
        let name = format!("lo:{index}");
        let mut request = interface(&name);
        request.ifr_ifru.ifru_addr = socket_address(*address);
        interface_call(fd, libc::SIOCSIFADDR, &mut request)?;
        let mask = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
        let mut request = interface(&name);
        request.ifr_ifru.ifru_netmask = socket_address(Ipv4Addr::from(mask));
        interface_call(fd, libc::SIOCSIFNETMASK, &mut request)?;
    }
    Ok(())
}

/// Brings an interface up, with an address if one is given.
pub fn configure_interface(name: &str, address: Option<(Ipv4Addr, u8)>) -> std::io::Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    let fd = socket.as_raw_fd();
    if let Some((address, prefix)) = address {
        let mut request = interface(name);
        request.ifr_ifru.ifru_addr = socket_address(address);
        interface_call(fd, libc::SIOCSIFADDR, &mut request)?;
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        let mut request = interface(name);
        request.ifr_ifru.ifru_netmask = socket_address(Ipv4Addr::from(mask));
        interface_call(fd, libc::SIOCSIFNETMASK, &mut request)?;
    }
    let mut request = interface(name);
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    interface_call(fd, libc::SIOCSIFFLAGS, &mut request)
}

fn interface(name: &str) -> libc::ifreq {
    // SAFETY: ifreq is a plain C structure for which all zeros is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request
        .ifr_name
        .iter_mut()
        .zip(name.bytes().take(libc::IFNAMSIZ - 1))
    {
        *to = from as libc::c_char;
    }
    request
}

fn interface_call(
    fd: RawFd,
    call: libc::c_ulong,
    request: &mut libc::ifreq,
) -> std::io::Result<()> {
    // SAFETY: the request is a valid ifreq that outlives the call, and fd is open.
    if unsafe { libc::ioctl(fd, call as _, request as *mut libc::ifreq) } == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

fn socket_address(address: Ipv4Addr) -> libc::sockaddr {
    let inner = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes(address.octets()),
        },
        sin_zero: [0; 8],
    };
    // SAFETY: both are 16-byte plain C structures; sockaddr_in is the IPv4 form
    // of sockaddr.
    unsafe { std::mem::transmute::<libc::sockaddr_in, libc::sockaddr>(inner) }
}

/// Calls `prctl` with one argument.
pub fn prctl(option: libc::c_int, argument: libc::c_ulong) -> std::io::Result<()> {
    // SAFETY: the options used here take integers only.
    if unsafe {
        libc::prctl(
            option,
            argument,
            0 as libc::c_ulong,
            0 as libc::c_ulong,
            0 as libc::c_ulong,
        )
    } == 0
    {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// Drops every capability not in `keep` from the bounding set, so that no
/// program started later can have it.
pub fn limit_capabilities(keep: &[u32]) -> std::io::Result<()> {
    for capability in (0..=LAST_CAPABILITY).filter(|c| !keep.contains(c)) {
        match prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability)) {
            Ok(()) => {}
            // The kernel does not know this number, nor any above it.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Marks every descriptor from 3 on to be closed when a program is executed.
pub fn close_descriptors_on_exec() {
    // SAFETY: close_range with CLOEXEC touches flags of descriptors only. An old
    // kernel answers ENOSYS; everything we open carries the flag anyway.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 4u32);
    }
}

/// Gives signals back their default disposition and unblocks all of them.
pub fn reset_signals() {
    for number in 1..=64 {
        // SAFETY: restoring the default disposition runs no code of ours; the
        // kernel refuses the few signals for which this is not possible.
        unsafe {
            libc::signal(number, libc::SIG_DFL);
        }
    }
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
}

#[cfg(test)]
mod tests {
    use std::os::unix::thread::JoinHandleExt as _;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

    use super::*;

    /// How many signals were handled.
    static HANDLED: AtomicU32 = AtomicU32::new(0);

    extern "C" fn count(_: libc::c_int) {
        HANDLED.fetch_add(1, Ordering::SeqCst);
    }

    #[test]
    fn a_signal_does_not_end_the_wait_for_an_answer() {
        // As the handlers of the runtime are: restarting does not hold for a socket
        // with a timeout.
        let action = SigAction::new(
            SigHandler::Handler(count),
            SaFlags::SA_RESTART,
            SigSet::empty(),
        );
        // SAFETY: the handler only adds to a number.
        unsafe { sigaction(Signal::SIGUSR2, &action) }.unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        near.set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let waiting = std::thread::spawn(move || receive_fd(&near).map(|(text, _)| text));
        // The first may come before the thread waits; not all of them.
        for sent in 1..=200 {
            // SAFETY: the thread has not been joined, so its handle is valid.
            unsafe { libc::pthread_kill(waiting.as_pthread_t() as _, libc::SIGUSR2) };
            while HANDLED.load(Ordering::SeqCst) < sent && !waiting.is_finished() {
                std::thread::yield_now();
            }
        }
        send_fd(&far, b"ok", None).unwrap();
        assert_eq!(waiting.join().unwrap().unwrap(), "ok");
    }
}
