//! Machines for the tests: each is a network namespace of its own, held by a descriptor.
//!
//! The agent's side of a test runs on one thread inside one of them, so that bridges, rules and
//! switches never meet those of the machine the tests run on.

use std::future::Future;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hythe_runner::network::Netns;
use nix::sched::{CloneFlags, setns, unshare};

/// How long a packet may take before the test says it was dropped.
const PATIENCE: Duration = Duration::from_millis(700);

/// A network namespace that plays a machine or a container.
#[derive(Debug, Clone)]
pub(crate) struct Host(Arc<OwnedFd>);

impl Host {
    /// A new one with nothing but a loopback link that is down.
    pub(crate) fn new() -> Self {
        thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("tests of networks run as root");
            // A new namespace inherits this from the machine, where an agent may have set it.
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
            Self::current()
        })
        .join()
        .unwrap()
    }

    /// The calling thread's.
    pub(crate) fn current() -> Self {
        let file = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        Self(Arc::new(file.into()))
    }

    pub(crate) fn netns(&self) -> Netns {
        Netns::from(self.0.try_clone().unwrap())
    }

    /// A path by which `ip` finds the namespace.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Runs `work` on a thread inside.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.start(work).join().unwrap()
    }

    fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let netns = Arc::clone(&self.0);
        thread::spawn(move || {
            setns(&*netns, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        })
    }

    /// Runs a shell command inside and gives its output.
    pub(crate) fn sh(&self, script: &str) -> String {
        let script = script.to_owned();
        self.run(move || {
            let done = Command::new("sh").args(["-ec", &script]).output().unwrap();
            assert!(
                done.status.success(),
                "{script}: {}",
                String::from_utf8_lossy(&done.stderr)
            );
            String::from_utf8(done.stdout).unwrap()
        })
    }

    /// Answers every TCP connection to `port` with `text` and the client's address.
    pub(crate) fn serve_tcp(&self, port: u16, text: &'static str) {
        let any = if self.has_ipv6() { "::" } else { "0.0.0.0" };
        let address = SocketAddr::new(any.parse().unwrap(), port);
        let listener = self.run(move || TcpListener::bind(address).unwrap());
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(mut client) = client else { return };
                let from = client.peer_addr().unwrap().ip().to_canonical();
                drop(write!(client, "{text} {from}"));
            }
        });
    }

    /// Answers every datagram to `port` with `text` and the client's address.
    pub(crate) fn serve_udp(&self, port: u16, text: &'static str) {
        let any = if self.has_ipv6() { "::" } else { "0.0.0.0" };
        let address = SocketAddr::new(any.parse().unwrap(), port);
        let socket = self.run(move || UdpSocket::bind(address).unwrap());
        thread::spawn(move || {
            let mut buffer = [0; 100];
            while let Ok((_, client)) = socket.recv_from(&mut buffer) {
                let answer = format!("{text} {}", client.ip().to_canonical());
                drop(socket.send_to(answer.as_bytes(), client));
            }
        });
    }

    fn has_ipv6(&self) -> bool {
        self.run(|| TcpListener::bind("[::]:0").is_ok())
    }

    /// What a TCP server says, asked from inside.
    pub(crate) fn ask_tcp(&self, server: &str) -> io::Result<String> {
        let server: SocketAddr = server.parse().unwrap();
        self.run(move || {
            let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        })
    }

    /// What a UDP server says, asked from inside.
    pub(crate) fn ask_udp(&self, server: &str) -> io::Result<String> {
        let answer = self.exchange_udp(server, b"hello")?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Sends a message with its length before it and gives the answer, without its length.
    pub(crate) fn exchange_tcp(&self, server: &str, message: &[u8]) -> io::Result<Vec<u8>> {
        let server: SocketAddr = server.parse().unwrap();
        let mut framed = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
        framed.extend_from_slice(message);
        self.run(move || {
            let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(&framed)?;
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut answer)?;
            Ok(answer)
        })
    }

    /// Sends a datagram and gives the answer.
    pub(crate) fn exchange_udp(&self, server: &str, message: &[u8]) -> io::Result<Vec<u8>> {
        let message = message.to_vec();
        let server: SocketAddr = server.parse().unwrap();
        self.run(move || {
            let any = if server.is_ipv4() {
                "0.0.0.0:0"
            } else {
                "[::]:0"
            };
            let socket = UdpSocket::bind(any)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.connect(server)?;
            socket.send(&message)?;
            let mut buffer = [0; 1500];
            let n_bytes = socket.recv(&mut buffer)?;
            Ok(buffer[..n_bytes].to_vec())
        })
    }

    /// Connects two machines by a cable: 10.NET.0.1 on `port` here, 10.NET.0.2 on `eth0` there,
    /// and the same in `fd00:NET::/64`.
    pub(crate) fn cable(&self, port: &str, net: u8, other: &Self) {
        self.sh(&format!(
            "ip link add {port} type veth peer name eth0 netns {}",
            other.path()
        ));
        for (host, link, last) in [(self, port, 1), (other, "eth0", 2)] {
            host.sh(&format!(
                "ip link set lo up; ip link set {link} up
                 ip addr add 10.{net}.0.{last}/24 dev {link}
                 ip addr add fd00:{net}::{last}/64 dev {link} nodad"
            ));
        }
        for (host, link) in [(self, port), (other, "eth0")] {
            host.sh(&format!(
                "until ip -br link show dev {link} | grep -q ' UP '; do sleep 0.01; done"
            ));
        }
    }
}

/// Runs a test on a machine of its own, everything on one thread inside it.
pub(crate) fn on_new_host<F: Future<Output = ()>>(test: impl FnOnce(Host) -> F + Send + 'static) {
    let host = Host::new();
    let inside = host.clone();
    let done = host
        .start(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap()
                .block_on(async {
                    inside.sh("ip link set lo up");
                    test(inside).await;
                });
        })
        .join();
    if let Err(panic) = done {
        std::panic::resume_unwind(panic);
    }
}

/// Asks off the runtime's thread, so that tasks on it (the relay) can answer meanwhile.
pub(crate) async fn meanwhile<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// The address of a text that must be one.
pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
