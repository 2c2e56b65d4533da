//! A stream of packets that is accounted for.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use policyd_e2e::topology;
use serde_json::Value;

use crate::node::Node;

/// The port that all policies allow, and the one that none does.
pub(crate) const ALWAYS: u16 = 80;
const NEVER: u16 = 83;
/// Sockets that take turns, so that there are new and old connections at any time.
const SOCKETS: usize = 32;
/// Packets that a socket sends before another takes its place.
const LIFE: usize = 64;
/// Pause between packets; without it the queues of the interfaces would overflow.
const PAUSE: Duration = Duration::from_micros(200);

/// Reasons that packets on these interfaces may have besides; the two that are about addresses are those of the
/// kernel's own multicast messages.
const EXPECTED: [(&str, &str); 9] = [
    ("ingress", "allowed"),
    ("ingress", "reply"),
    ("ingress", "essential"),
    ("ingress", "default-deny"),
    ("ingress", "misdelivered"),
    ("egress", "allowed"),
    ("egress", "reply"),
    ("egress", "essential"),
    ("egress", "spoofed"),
];

/// What was sent and what became of it. What passes includes the few packets that a test itself sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    allowed_sent: u64,
    denied_sent: u64,
    left_client: u64,
    allowed: u64,
    denied: u64,
    others: u64,
}

impl fmt::Display for Account {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} packets to the allowed port and {} to the denied one; {} passed, {} were dropped, {} decided by \
             neither policy",
            self.allowed_sent,
            self.denied_sent,
            self.allowed,
            self.denied,
            self.others + self.denied.abs_diff(self.denied_sent)
        )
    }
}

impl Account {
    /// Every packet that was sent was passed or dropped as all policies say, and for no other reason.
    #[track_caller]
    pub(crate) fn assert_settled(&self, changes: u64) {
        assert_eq!(self.others, 0, "{self:?}");
        assert_eq!(self.denied, self.denied_sent, "{self:?}");
        assert!(self.allowed >= self.allowed_sent, "{self:?}");
        assert_eq!(self.allowed + self.denied, self.left_client, "{self:?}");
        assert!(self.left_client > 5 * changes, "too few: {self:?}");
    }
}

/// The running stream.
pub(crate) struct Stream<'node> {
    node: &'node Node,
    before: Value,
    stop: Arc<AtomicBool>,
    sender: JoinHandle<[u64; 2]>,
}

impl<'node> Stream<'node> {
    pub(crate) fn start(node: &'node Node) -> Self {
        let (client, web) = (&node.topology.pods[0], &node.topology.pods[1]);
        let (namespace, address) = (client.namespace.clone(), web.ipv4.into());
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let before = node.status();
        let send = move || topology::within(&namespace, || send(&told, address)).unwrap();
        Self {
            node,
            before,
            stop,
            sender: thread::spawn(send),
        }
    }

    pub(crate) fn stop(self) -> Account {
        self.stop.store(true, Ordering::Relaxed);
        let [allowed_sent, denied_sent] = self.sender.join().unwrap();
        // The last ones may still be on their way.
        thread::sleep(Duration::from_millis(200));
        let after = self.node.status();
        let counted = |direction: &str, reason: &str| {
            let count = |status: &Value| status["reasons"][direction][reason]["packets"].as_u64();
            count(&after).unwrap() - count(&self.before).unwrap()
        };
        let reasons = after["reasons"]["ingress"].as_object().unwrap().keys();
        let others = reasons
            .flat_map(|reason| ["ingress", "egress"].map(|direction| (direction, reason.as_str())))
            .filter(|pair| !EXPECTED.contains(pair))
            .map(|(direction, reason)| counted(direction, reason))
            .sum();
        Account {
            allowed_sent,
            denied_sent,
            left_client: counted("egress", "allowed"),
            allowed: counted("ingress", "allowed"),
            denied: counted("ingress", "default-deny"),
            others,
        }
    }
}

/// Sends to both ports until told to stop: how many packets to each.
fn send(stop: &AtomicBool, to: IpAddr) -> io::Result<[u64; 2]> {
    let socket = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
    let mut sockets = (0..SOCKETS)
        .map(|_| socket())
        .collect::<io::Result<Vec<_>>>()?;
    let mut sent = [0; 2];
    for number in 0.. {
        let place = number / LIFE % SOCKETS;
        if number % LIFE == 0 {
            sockets[place] = socket()?;
        }
        for (port, sent) in [ALWAYS, NEVER].into_iter().zip(&mut sent) {
            // Old and new connections in turns.
            let socket = &sockets[(place + number) % SOCKETS];
            socket.send_to(b"stress", SocketAddr::new(to, port))?;
            *sent += 1;
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        thread::sleep(PAUSE);
    }
    Ok(sent)
}
