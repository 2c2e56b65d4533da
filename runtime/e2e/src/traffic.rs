//! Traffic between namespaces: what gets an answer and what does not.
//!
//! Whoever wants to tell a policy's drop from any other failure starts [`Servers`] on every port it will ask.

/// ICMP echo.
mod echo;
/// Servers that send back what they get.
mod servers;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

pub use servers::Servers;

use crate::sys;
use crate::topology::{self, POD_INTERFACE};

/// How long to wait for an answer before a flow counts as silent.
pub const PATIENCE: Duration = Duration::from_millis(300);
/// How long to keep trying where an answer is expected but may take a change to come into force.
const INSISTENCE: Duration = Duration::from_secs(5);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(20);
/// What is sent, and comes back.
const PAYLOAD: &[u8] = b"policy";
/// Flows under way at the same time.
const PARALLEL: usize = 64;

/// How a flow asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Connects, sends and waits for the bytes to come back.
    Tcp,
    /// Sends a datagram and waits for it to come back.
    Udp,
    /// Sends an ICMP or ICMPv6 echo request and waits for the reply.
    Icmp,
}

/// What came of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observed {
    /// The payload came back.
    Answered,
    /// Nothing came back in time.
    Silent,
    /// The other side, or a router, said no.
    Refused,
}

/// One exchange to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Name of the namespace it starts in.
    pub from: String,
    /// Where it goes.
    pub to: IpAddr,
    /// How it asks.
    pub protocol: Protocol,
    /// Destination port; of no meaning to ICMP.
    pub port: u16,
    /// Source port of UDP, 0 to leave it to the kernel.
    pub source_port: u16,
}

impl Flow {
    /// A TCP connection.
    pub fn tcp(from: &str, to: impl Into<IpAddr>, port: u16) -> Self {
        Self {
            from: from.to_owned(),
            to: to.into(),
            protocol: Protocol::Tcp,
            port,
            source_port: 0,
        }
    }

    /// A UDP datagram.
    pub fn udp(from: &str, to: impl Into<IpAddr>, port: u16) -> Self {
        Self {
            protocol: Protocol::Udp,
            ..Self::tcp(from, to, port)
        }
    }

    /// An ICMP echo request, of the address's family.
    pub fn icmp(from: &str, to: impl Into<IpAddr>) -> Self {
        Self {
            protocol: Protocol::Icmp,
            ..Self::tcp(from, to, 0)
        }
    }

    /// Tries it once.
    pub fn observe(&self) -> io::Result<Observed> {
        topology::within(&self.from, || match self.protocol {
            Protocol::Tcp => self.observe_tcp(),
            Protocol::Udp => self.observe_udp(),
            Protocol::Icmp => echo::observe(self.to),
        })
    }

    /// Tries it until it has the outcome wanted, for a few seconds at most; an error if that never comes.
    pub fn observe_until(&self, wanted: Observed) -> io::Result<()> {
        let start = Instant::now();
        loop {
            let observed = self.observe()?;
            if observed == wanted {
                return Ok(());
            }
            if start.elapsed() > INSISTENCE {
                return Err(io::Error::other(format!(
                    "{self:?} is {observed:?} and never {wanted:?}"
                )));
            }
            // A refusal comes back at once.
            thread::sleep(PAUSE);
        }
    }

    fn observe_tcp(&self) -> io::Result<Observed> {
        let stream =
            match TcpStream::connect_timeout(&SocketAddr::new(self.to, self.port), PATIENCE) {
                Ok(stream) => stream,
                Err(error) => return outcome_of(&error).ok_or(error),
            };
        stream.set_read_timeout(Some(PATIENCE))?;
        exchange(
            || (&stream).write_all(PAYLOAD),
            |buffer| (&stream).read_exact(buffer).map(|()| PAYLOAD.len()),
        )
    }

    fn observe_udp(&self) -> io::Result<Observed> {
        let socket = UdpSocket::bind(SocketAddr::new(any(self.to), self.source_port))?;
        socket.connect(SocketAddr::new(self.to, self.port))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        exchange(
            || socket.send(PAYLOAD).map(|_| ()),
            |buffer| socket.recv(buffer),
        )
    }
}

/// Sends one frame as it is from a pod's namespace. Of one longer than a page, only `first` bytes lie in the first
/// piece of the kernel's buffer; shorter ones are in one piece.
pub fn send_frame(from: &str, frame: &[u8], first: u16) -> io::Result<()> {
    topology::within(from, || sys::send_frame(POD_INTERFACE, frame, first))
}

/// Tries many flows, many at a time. Outcomes are in the order of the flows.
pub fn observe_all(flows: &[Flow]) -> Vec<io::Result<Observed>> {
    let mut outcomes = Vec::with_capacity(flows.len());
    for group in flows.chunks(PARALLEL) {
        outcomes.extend(thread::scope(|scope| {
            let running: Vec<_> = group
                .iter()
                .map(|flow| scope.spawn(|| flow.observe()))
                .collect();
            let lost = |_| Err(io::Error::other("the thread of a flow failed"));
            running
                .into_iter()
                .map(|flow| flow.join().unwrap_or_else(lost))
                .collect::<Vec<_>>()
        }));
    }
    outcomes
}

/// Sends, then waits for the payload to come back.
fn exchange(
    send: impl FnOnce() -> io::Result<()>,
    receive: impl FnOnce(&mut [u8]) -> io::Result<usize>,
) -> io::Result<Observed> {
    let mut buffer = [0; PAYLOAD.len()];
    match send().and_then(|()| receive(&mut buffer)) {
        Ok(length) if buffer.get(..length) == Some(PAYLOAD) => Ok(Observed::Answered),
        Ok(_) => Err(io::Error::other("the answer is not what was sent")),
        Err(error) => outcome_of(&error).ok_or(error),
    }
}

/// What an error says about the network; `None` if it is about something else.
fn outcome_of(error: &io::Error) -> Option<Observed> {
    // What a program drops at the very interface that a packet leaves by, its sender hears of.
    if error.raw_os_error() == Some(libc::ENOBUFS) {
        return Some(Observed::Silent);
    }
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Some(Observed::Silent),
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::HostUnreachable
        // What "administratively prohibited" is in IPv6.
        | ErrorKind::PermissionDenied
        | ErrorKind::NetworkUnreachable => Some(Observed::Refused),
        _ => None,
    }
}

fn any(to: IpAddr) -> IpAddr {
    match to {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}
