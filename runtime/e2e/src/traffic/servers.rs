//! Servers that send back what they get.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::topology;

/// How often servers look for clients.
const TICK: Duration = Duration::from_millis(1);
/// How long a server waits for a client that says nothing.
const PATIENCE: Duration = Duration::from_mins(1);

/// Servers in one namespace that send back what they get. They stop when this is dropped.
#[derive(Debug)]
pub struct Servers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Servers {
    /// Starts a TCP and a UDP server, IPv4 and IPv6, on every port given. They listen once this returns.
    pub fn start(namespace: &str, ports: &[u16]) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut servers = Self {
            stop: Arc::clone(&stop),
            threads: Vec::new(),
        };
        let (listeners, sockets) = topology::within(namespace, || bind(ports))?;
        let tcp_stop = Arc::clone(&stop);
        // Sockets stay in the namespace that they were made in, whatever thread uses them.
        servers.threads.push(thread::spawn(move || {
            while !tcp_stop.load(Ordering::Relaxed) {
                listeners.iter().for_each(accept);
                thread::sleep(TICK);
            }
        }));
        servers.threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                sockets.iter().for_each(send_back);
                thread::sleep(TICK);
            }
        }));
        Ok(servers)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It only ends by returning; what it was doing is of no interest any more.
            let _ended = thread.join();
        }
    }
}

fn bind(ports: &[u16]) -> io::Result<(Vec<TcpListener>, Vec<UdpSocket>)> {
    // An IPv6 socket on the unspecified address serves both families.
    let address = |port: &u16| SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), *port);
    let listeners = ports
        .iter()
        .map(|port| TcpListener::bind(address(port)))
        .collect::<io::Result<Vec<_>>>()?;
    let sockets = ports
        .iter()
        .map(|port| UdpSocket::bind(address(port)))
        .collect::<io::Result<Vec<_>>>()?;
    listeners
        .iter()
        .try_for_each(|listener| listener.set_nonblocking(true))?;
    sockets
        .iter()
        .try_for_each(|socket| socket.set_nonblocking(true))?;
    Ok((listeners, sockets))
}

/// Serves everybody who waits. A client that goes away is no concern of the server's.
fn accept(listener: &TcpListener) {
    while let Ok((mut stream, _)) = listener.accept() {
        thread::spawn(move || {
            let mut buffer = [0; 256];
            let _timeout = stream
                .set_nonblocking(false)
                .and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                let Some(Ok(())) = buffer.get(..length).map(|bytes| stream.write_all(bytes)) else {
                    return;
                };
            }
        });
    }
}

fn send_back(socket: &UdpSocket) {
    let mut buffer = [0; 8192];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let _sent = buffer
            .get(..length)
            .map(|bytes| socket.send_to(bytes, from));
    }
}
