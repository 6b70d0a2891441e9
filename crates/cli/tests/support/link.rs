//! Links between nodes that can be cut: a proxy for each direction of each pair.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What leads from one node to another. A node dials where this listens.
#[derive(Debug)]
pub struct Link {
    pub from: usize,
    pub to: usize,
    pub address: SocketAddr,
    is_whole: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Link {
    /// A link to whoever listens at `target`.
    pub async fn open(from: usize, to: usize, target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (is_whole, seen) = watch::channel(true);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::from(target), seen));
        Self { from, to, address, is_whole, _tasks: tasks }
    }

    /// Cuts it: what is on its way is lost, and nobody gets through.
    pub fn cut(&self) {
        self.is_whole.send_replace(false);
    }

    /// Makes it whole again.
    pub fn mend(&self) {
        self.is_whole.send_replace(true);
    }
}

async fn accept(listener: TcpListener, target: Arc<str>, is_whole: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else { continue };
        connections.spawn(carry(stream, Arc::clone(&target), is_whole.clone()));
    }
}

async fn carry(mut from: TcpStream, target: Arc<str>, mut is_whole: watch::Receiver<bool>) {
    if !*is_whole.borrow() {
        return;
    }
    let Ok(mut to) = TcpStream::connect(&*target).await else { return };
    tokio::select! {
        // How a connection ends is the nodes' affair.
        _ = copy_bidirectional(&mut from, &mut to) => {}
        _ = is_whole.wait_for(|is_whole| !is_whole) => {}
    }
}
