//! The balancer between clients and targets that say which of them they are.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use super::*;

const SOON: Duration = Duration::from_secs(5);

/// A target that answers `/ready` as it is told, and every other connection with its name and then an echo.
struct Task {
    address: SocketAddr,
    ready: watch::Sender<bool>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Task {
    async fn start(name: u8) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ready, is_ready) = watch::channel(true);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (connections, stopped) = (tasks.clone(), stop.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let is_ready = *is_ready.borrow();
                let stopped = stopped.clone();
                connections.spawn(async move {
                    stopped.run_until_cancelled(attend(connection, name, is_ready)).await;
                });
            }
        }));
        Self { address, ready, stop, tasks }
    }

    /// Ends as a process does that is killed: the listener and all connections are gone.
    async fn kill(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn attend(mut connection: TcpStream, name: u8, is_ready: bool) -> io::Result<()> {
    let mut first = [0; 4];
    connection.read_exact(&mut first).await?;
    if &first == b"GET " {
        let status = if is_ready { "200 OK" } else { "503 Service Unavailable" };
        return connection.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).await;
    }
    connection.write_all(&[name]).await?;
    loop {
        let byte = connection.read_u8().await?;
        connection.write_all(&[byte]).await?;
    }
}

/// A connection through the balancer, with the name of the target that took it.
async fn connect(balancer: &Balancer) -> io::Result<(u8, TcpStream)> {
    let mut client = TcpStream::connect(balancer.address()).await?;
    client.write_all(b"talk").await?;
    let name = client.read_u8().await?;
    Ok((name, client))
}

async fn echo(client: &mut TcpStream, byte: u8) -> io::Result<u8> {
    client.write_all(&[byte]).await?;
    client.read_u8().await
}

async fn two(policy: Policy) -> (Balancer, Task, Task) {
    let balancer = Balancer::start(policy).await.unwrap();
    let (one, two) = (Task::start(1).await, Task::start(2).await);
    for task in [&one, &two] {
        balancer.add(task.address);
        balancer.ready(task.address, SOON).await.unwrap();
    }
    (balancer, one, two)
}

async fn until_unready(balancer: &Balancer, target: SocketAddr) {
    let mut changes = balancer.watch_targets();
    let unready = |state: &TargetState| state.address == target && !state.ready;
    timeout(SOON, changes.wait_for(|_| balancer.targets().iter().any(unready))).await.unwrap().unwrap();
}

#[tokio::test]
async fn first_means_the_first_that_is_ready() {
    let (balancer, one, two) = two(Policy::First).await;
    assert_eq!(connect(&balancer).await.unwrap().0, 1);
    let (_, mut kept) = connect(&balancer).await.unwrap();
    one.ready.send_replace(false);
    until_unready(&balancer, one.address).await;
    assert_eq!(connect(&balancer).await.unwrap().0, 2);
    assert_eq!(echo(&mut kept, 7).await.unwrap(), 7, "connections of a target that is not ready stay");
    one.ready.send_replace(true);
    balancer.ready(one.address, SOON).await.unwrap();
    assert_eq!(connect(&balancer).await.unwrap().0, 1);
    balancer.shutdown().await.unwrap();
    assert!(echo(&mut kept, 8).await.is_err(), "no connection outlives the balancer");
    one.kill().await;
    two.kill().await;
}

#[tokio::test]
async fn least_connections_spreads_them() {
    let (balancer, one, two) = two(Policy::LeastConnections).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(connect(&balancer).await.unwrap());
    }
    let names: Vec<u8> = clients.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, [1, 2, 1, 2]);
    assert!(balancer.targets().iter().all(|target| target.connections == 2), "{:?}", balancer.targets());
    balancer.shutdown().await.unwrap();
    one.kill().await;
    two.kill().await;
}

#[tokio::test]
async fn who_is_killed_loses_its_connections_and_gets_no_more() {
    let (balancer, one, two) = two(Policy::First).await;
    let (name, mut lost) = connect(&balancer).await.unwrap();
    assert_eq!(name, 1);
    one.kill().await;
    assert!(echo(&mut lost, 7).await.is_err());
    // Also before a health check has told.
    assert_eq!(connect(&balancer).await.unwrap().0, 2);
    balancer.shutdown().await.unwrap();
    two.kill().await;
}

#[tokio::test]
async fn without_a_target_connections_are_closed() {
    let (balancer, one, two) = two(Policy::First).await;
    let (_, mut kept) = connect(&balancer).await.unwrap();
    balancer.remove(one.address);
    balancer.remove(two.address);
    assert!(connect(&balancer).await.is_err());
    assert_eq!(echo(&mut kept, 7).await.unwrap(), 7, "who is removed keeps what it has");
    assert!(balancer.targets().is_empty());
    balancer.shutdown().await.unwrap();
    one.kill().await;
    two.kill().await;
}
