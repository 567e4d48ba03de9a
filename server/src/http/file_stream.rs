//! A TCP connection that has the kernel send what is mapped from a file.
//!
//! Copying a blob into this process and out again is most of what serving it
//! costs; sendfile(2) hands the page cache to the socket. Whatever is not
//! mapped is written as ever, and so is what is, where the kernel cannot.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::tap::Transport;
use crate::sys::{mapped, receive_low};

/// Marks a request of such a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct SendsFiles;

#[derive(Debug)]
pub(super) struct FileStream(TcpStream);

impl FileStream {
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self(stream)
    }

    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        (file, mut offset): (&File, u64),
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            let send = || {
                rustix::fs::sendfile(&self.0, file, Some(&mut offset), bytes.len())
                    .map_err(io::Error::from)
            };
            match self.0.try_io(Interest::WRITABLE, send) {
                Ok(0) => {
                    let error = "the file is shorter than its row says";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, error)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if cannot(&error) => {
                    return Pin::new(&mut self.0).poll_write(context, bytes);
                }
                outcome => return Poll::Ready(outcome),
            }
        }
    }
}

impl Transport for FileStream {
    fn wake_at(&self, bytes: usize) {
        if let Err(error) = receive_low::set(self.0.as_fd(), bytes) {
            // Its reader is woken for less, then.
            tracing::debug!(%error, "a socket does not wait for more");
        }
    }
}

/// The file system, or a filter of system calls, does not do it.
fn cannot(error: &io::Error) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::PERM, Errno::OPNOTSUPP]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

impl AsyncRead for FileStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for FileStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match mapped::file_of(bytes) {
            Some((file, offset)) => self.poll_send(context, (&file, offset), bytes),
            None => Pin::new(&mut self.0).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let is_plain = |slice: &&IoSlice<'_>| mapped::file_of(slice).is_none();
        let plain = slices.iter().take_while(is_plain).count();
        match slices.get(plain) {
            Some(mapped) if slices[..plain].iter().all(|slice| slice.is_empty()) => {
                self.poll_write(context, mapped)
            }
            _ => Pin::new(&mut self.0).poll_write_vectored(context, &slices[..plain]),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (FileStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (server, _) = listener.accept().await.unwrap();
        (FileStream::new(server), client)
    }

    #[tokio::test]
    async fn memory_and_files_come_in_order() {
        let content: Vec<u8> = (0..=250).cycle().take(9 * 1024 * 1024 + 5).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let part = mapped::map(&Arc::new(file), &(3..content.len() as u64)).unwrap();
        let (mut server, mut client) = pair().await;
        let sending = tokio::spawn(async move {
            let slices = [
                IoSlice::new(b""),
                IoSlice::new(b"head"),
                IoSlice::new(&part),
            ];
            let written = server.write_vectored(&slices).await.unwrap();
            assert_eq!(written, 4, "what is before the file goes first");
            server.write_all(&part).await.unwrap();
            server
                .write_all_buf(&mut [&b"ta"[..], b"il"].concat().as_slice())
                .await
                .unwrap();
        });
        let mut came = Vec::new();
        client.read_to_end(&mut came).await.unwrap();
        sending.await.unwrap();
        assert!(came == [b"head", &content[3..], b"tail"].concat());
    }

    /// Kibibytes of the mapping at `address` that are in memory (proc(5), smaps).
    fn resident_kib(address: usize) -> u64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let (_, mapping) = maps.split_once(&format!("{address:x}-")).unwrap();
        let (_, resident) = mapping.split_once("Rss:").unwrap();
        resident.split_whitespace().next().unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn what_is_sent_is_not_mapped_in() {
        const PIECE: usize = 1024 * 1024;
        let file = tempfile::tempfile().unwrap();
        file.set_len(32 * PIECE as u64).unwrap();
        let part = mapped::map(&Arc::new(file), &(0..32 * PIECE as u64)).unwrap();
        let (mut server, mut client) = pair().await;
        let mut pieces = part.clone();
        let sending = tokio::spawn(async move {
            while !pieces.is_empty() {
                server.write_all(&pieces.split_to(PIECE)).await.unwrap();
            }
        });
        let mut came = Vec::new();
        client.read_to_end(&mut came).await.unwrap();
        sending.await.unwrap();
        assert_eq!(came.len(), part.len());
        assert_eq!(resident_kib(part.as_ptr().addr()), 0);
    }

    #[tokio::test]
    async fn a_file_that_is_cut_is_an_error_and_no_endless_loop() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1024 * 1024).unwrap();
        let file = Arc::new(file);
        let part = mapped::map(&file, &(0..1024 * 1024)).unwrap();
        file.set_len(0).unwrap();
        let (mut server, _client) = pair().await;
        let error = server.write_all(&part).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
