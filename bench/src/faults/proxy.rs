//! What stands between the services and a broker: it can hold an `EndTxn` back and deliver it late, and it can
//! fall silent.
//!
//! It reads only the length and the kind of each request; everything goes on byte for byte.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

use super::now;

/// The kind of request that ends a transaction.
const END_TXN: u16 = 26;
/// Most bytes of a request that are taken at a time.
const PIECE: usize = 64 << 10;
/// Bytes at the beginning of a request: its length and its kind.
const HEAD: usize = 6;
/// Time between two looks at whether the silence is over.
const LOOK: Duration = Duration::from_millis(20);

/// What the proxies of all brokers are told.
#[derive(Default)]
pub(super) struct Orders {
    /// The next `EndTxn` is held for so many milliseconds; 0 for none.
    hold_ms: AtomicU64,
    /// Whether its client is cut off meanwhile, so that it asks again on another connection.
    cut: AtomicBool,
    /// Nothing goes through in either direction.
    silent: AtomicBool,
    /// Requests that were held and delivered.
    held: Mutex<u64>,
    delivered: Condvar,
    over: AtomicBool,
}

impl Orders {
    /// Holds the next `EndTxn` back. Returns whether one came and was delivered within `patience`.
    pub(super) fn hold(&self, time: Duration, cut: bool, patience: Duration) -> bool {
        let before = *self.held.lock().unwrap_or_else(PoisonError::into_inner);
        self.cut.store(cut, Ordering::SeqCst);
        self.hold_ms.store(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = self.delivered.wait_timeout_while(held, patience + time, |held| *held == before);
        let came = *wait.unwrap_or_else(PoisonError::into_inner).0 > before;
        self.hold_ms.store(0, Ordering::SeqCst);
        came
    }

    /// Lets nothing through, or everything again.
    pub(super) fn be_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::SeqCst);
    }

    fn wait_while_silent(&self) {
        while self.silent.load(Ordering::SeqCst) && !self.over.load(Ordering::SeqCst) {
            std::thread::park_timeout(LOOK);
        }
    }

    fn tell_delivered(&self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.delivered.notify_all();
    }
}

/// A proxy for one broker.
pub(super) struct Proxy {
    listener: TcpListener,
    orders: Arc<Orders>,
}

impl Proxy {
    /// Takes a port.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn bind(orders: &Arc<Orders>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("a port for a proxy")?;
        Ok(Self { listener, orders: Arc::clone(orders) })
    }

    /// Its port.
    ///
    /// # Errors
    /// When the system does not say.
    pub(super) fn port(&self) -> Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Serves until the process ends: two threads for each connection, of which clients have a few.
    ///
    /// # Errors
    /// When no thread can be had.
    pub(super) fn serve(self, broker: SocketAddr) -> Result<()> {
        std::thread::Builder::new().name("proxy".into()).spawn(move || {
            for client in self.listener.incoming().flatten() {
                if self.orders.over.load(Ordering::SeqCst) {
                    return;
                }
                // A broker that is down is seen as one by the client.
                let Ok(upstream) = TcpStream::connect(broker) else { continue };
                drop(connect(client, upstream, &self.orders));
            }
        })?;
        Ok(())
    }
}

fn connect(client: TcpStream, broker: TcpStream, orders: &Arc<Orders>) -> Result<()> {
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (from_broker, to_client) = (broker.try_clone()?, client.try_clone()?);
    let (asks, answers) = (Arc::clone(orders), Arc::clone(orders));
    std::thread::Builder::new().name("proxy-answers".into()).spawn(move || {
        drop(forward_answers(from_broker, to_client, &answers));
    })?;
    std::thread::Builder::new().name("proxy-asks".into()).spawn(move || {
        drop(forward_requests(&client, &broker, &asks));
        drop(client.shutdown(Shutdown::Both));
        drop(broker.shutdown(Shutdown::Both));
    })?;
    Ok(())
}

fn forward_answers(mut from: TcpStream, mut to: TcpStream, orders: &Orders) -> Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        let n = from.read(&mut buffer)?;
        orders.wait_while_silent();
        if n == 0 {
            to.shutdown(Shutdown::Both)?;
            return Ok(());
        }
        to.write_all(buffer.get(..n).unwrap_or_default())?;
    }
}

fn forward_requests(mut from: &TcpStream, mut to: &TcpStream, orders: &Orders) -> Result<()> {
    let mut head = [0; HEAD];
    let mut buffer = vec![0; PIECE];
    loop {
        from.read_exact(&mut head)?;
        orders.wait_while_silent();
        let [a, b, c, d, kind @ ..] = head;
        let mut left = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(2);
        let hold = if u16::from_be_bytes(kind) == END_TXN {
            orders.hold_ms.swap(0, Ordering::SeqCst)
        } else {
            0
        };
        if hold == 0 {
            to.write_all(&head)?;
            while left > 0 {
                let piece = buffer.get_mut(..left.min(PIECE)).unwrap_or_default();
                from.read_exact(piece)?;
                to.write_all(piece)?;
                left -= piece.len();
            }
            continue;
        }
        let mut rest = vec![0; left];
        from.read_exact(&mut rest)?;
        if orders.cut.load(Ordering::SeqCst) {
            from.shutdown(Shutdown::Both)?;
        }
        let (since, hold) = (now(), Duration::from_millis(hold));
        while since.elapsed() < hold {
            std::thread::park_timeout(hold.saturating_sub(since.elapsed()));
        }
        to.write_all(&head)?;
        to.write_all(&rest)?;
        // The broker answers; only then is the connection closed under it.
        std::thread::park_timeout(Duration::from_millis(200));
        orders.tell_delivered();
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(2 + body.len()).unwrap();
        [&length.to_be_bytes()[..], &kind.to_be_bytes(), body].concat()
    }

    /// A broker that answers each byte with itself.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let (mut reader, mut writer) = (stream.try_clone().unwrap(), stream);
                    drop(std::io::copy(&mut reader, &mut writer));
                });
            }
        });
        address
    }

    #[test]
    fn everything_goes_on_byte_for_byte_and_an_end_of_a_transaction_is_held_once() {
        let orders = Arc::new(Orders::default());
        let proxy = Proxy::bind(&orders).unwrap();
        let port = proxy.port().unwrap();
        proxy.serve(echo()).unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut ask = |bytes: &[u8]| {
            stream.write_all(bytes).unwrap();
            let mut answer = vec![0; bytes.len()];
            stream.read_exact(&mut answer).unwrap();
            answer
        };
        let long = request(1, &vec![7; 3 * PIECE + 5]);
        assert_eq!(ask(&long), long);
        let end = request(END_TXN, b"end");
        let waiting = {
            let orders = Arc::clone(&orders);
            std::thread::spawn(move || {
                orders.hold(Duration::from_millis(30), false, Duration::from_secs(20))
            })
        };
        while orders.hold_ms.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        assert_eq!(ask(&end), end);
        assert!(waiting.join().unwrap());
        assert_eq!(ask(&end), end);
    }
}
