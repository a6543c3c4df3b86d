//! The wire between a pod's network and the node's side of it.
//!
//! The node's side is a network namespace of its own, so that its listeners on
//! Service addresses never stand in the way of what the pod's programs listen
//! on: a pod that serves port 8080 must be able to reach a Service at 8080.
//! Both namespaces belong to the pod's user namespace, hence an ordinary user
//! may make them. Messages follow rtnetlink(7).

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::sys;
use crate::interrupt::retry_on_interrupt;

/// The pod's end.
pub const POD_LINK: &str = "eth0";
/// The node's end.
pub const NODE_LINK: &str = "pod0";

const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const TABLE_LOCAL: u8 = 255;
const TABLE_MAIN: u8 = 254;
const PROTOCOL_BOOT: u8 = 3;
const SCOPE_LINK: u8 = 253;
const TYPE_UNICAST: u8 = 1;
/// Length of a message's header, `nlmsghdr`.
const HEADER: usize = 16;

/// Makes the pair of links: the pod's end in the caller's network namespace, the
/// node's in `node_side`.
pub fn make_pair(node_side: BorrowedFd<'_>) -> io::Result<()> {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let mut message = Message::new(libc::RTM_NEWLINK, flags);
    message.raw(&[0; 16]); // ifinfomsg: a new link, whatever its index.
    message.attribute(IFLA_IFNAME, &name(POD_LINK));
    let information = message.open(IFLA_LINKINFO);
    message.attribute(IFLA_INFO_KIND, b"veth\0");
    let data = message.open(IFLA_INFO_DATA);
    let peer = message.open(VETH_INFO_PEER);
    message.raw(&[0; 16]);
    message.attribute(IFLA_IFNAME, &name(NODE_LINK));
    message.attribute(IFLA_NET_NS_FD, &node_side.as_raw_fd().to_ne_bytes());
    message.close(peer);
    message.close(data);
    message.close(information);
    message.send()
}

/// In the pod's namespace: its address, and everything else by way of the link.
pub fn configure_pod_side(address: Ipv4Addr) -> io::Result<()> {
    sys::configure_interface(POD_LINK, Some((address, 32)))?;
    route(TABLE_MAIN, None, POD_LINK)
}

/// In the node's namespace: the pod's address lies behind the link. The route
/// stands in the table of local addresses, which is looked at first and in which
/// the whole range of pods is local.
pub fn configure_node_side(address: Ipv4Addr) -> io::Result<()> {
    sys::configure_interface(NODE_LINK, None)?;
    route(TABLE_LOCAL, Some(address), NODE_LINK)
}

fn route(table: u8, to: Option<Ipv4Addr>, link: &str) -> io::Result<()> {
    let index = nix::net::if_::if_nametoindex(link)?;
    let mut message = Message::new(libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_REPLACE);
    let length = if to.is_some() { 32 } else { 0 };
    let family = u8::try_from(libc::AF_INET).unwrap_or(2);
    message.raw(&[
        family,
        length,
        0,
        0,
        table,
        PROTOCOL_BOOT,
        SCOPE_LINK,
        TYPE_UNICAST,
    ]);
    message.raw(&[0; 4]);
    if let Some(address) = to {
        message.attribute(RTA_DST, &address.octets());
    }
    message.attribute(RTA_OIF, &index.to_ne_bytes());
    message.send()
}

fn name(link: &str) -> Vec<u8> {
    let mut bytes = link.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// One request, built front to back.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: libc::c_int) -> Self {
        let flags = flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK;
        let mut bytes = vec![0; 4]; // The length, known at the end.
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&u16::try_from(flags).unwrap_or_default().to_ne_bytes());
        bytes.extend_from_slice(&1_u32.to_ne_bytes());
        bytes.extend_from_slice(&0_u32.to_ne_bytes());
        Self(bytes)
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let at = self.open(kind);
        self.raw(value);
        self.close(at);
    }

    /// Begins an attribute that holds others.
    fn open(&mut self, kind: u16) -> usize {
        let at = self.0.len();
        self.raw(&[0; 2]);
        self.raw(&kind.to_ne_bytes());
        at
    }

    /// Ends it: writes its length and pads to four bytes.
    fn close(&mut self, at: usize) {
        let length = u16::try_from(self.0.len() - at).unwrap_or_default();
        if let Some(field) = self.0.get_mut(at..at + 2) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn send(mut self) -> io::Result<()> {
        let length = u32::try_from(self.0.len()).unwrap_or_default();
        if let Some(field) = self.0.get_mut(..4) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        // SAFETY: socket() takes integers and gives a new descriptor or -1.
        let raw = unsafe {
            libc::socket(
                libc::AF_NETLINK,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC,
                libc::NETLINK_ROUTE,
            )
        };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and nobody else knows it.
        let socket = unsafe { OwnedFd::from_raw_fd(raw) };
        let flags = nix::sys::socket::MsgFlags::empty();
        retry_on_interrupt(|| nix::sys::socket::send(socket.as_raw_fd(), &self.0, flags))?;
        let mut answer = [0_u8; 4096];
        let length =
            retry_on_interrupt(|| nix::sys::socket::recv(socket.as_raw_fd(), &mut answer, flags))?;
        // `nlmsgerr` follows the header: zero, or a negated error number.
        let code = answer
            .get(HEADER..HEADER + 4)
            .filter(|_| length >= HEADER + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map(i32::from_ne_bytes);
        match code {
            Some(0) => Ok(()),
            Some(code) => Err(io::Error::from_raw_os_error(-code)),
            None => Err(io::Error::from(io::ErrorKind::InvalidData)),
        }
    }
}
