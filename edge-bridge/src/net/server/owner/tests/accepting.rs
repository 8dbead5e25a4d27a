use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::net::server::acceptor::Door;
use crate::net::server::client_stream::Transport;
use crate::net::server::connection_tasks::TASKS_BESIDE;
use crate::net::server::proxy_protocol::Proxies;

/// Limit of connections.
const MAX: usize = 4;

/// Acceptor, and so many clients that wait for it.
async fn waiting_clients(count: usize) -> (Acceptor, Vec<TcpStream>) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(TcpStream::connect(socket.local_addr().unwrap()).await.unwrap());
    }
    let door = Door { socket, tls: None, transport: Transport::Plain };
    (Acceptor::new(vec![door], Proxies::default(), MAX), clients)
}

/// Clients that come while the tasks of ended connections leave room for two.
#[tokio::test]
async fn promise_12_no_more_are_accepted_in_one_step_than_there_is_room_for() {
    let (mut owner, _) = owner(usize::MAX - PACKETS_PER_TURN);
    let (acceptor, _clients) = waiting_clients(10).await;
    owner.acceptor = acceptor;
    let _running = owner.tasks.fill(MAX + TASKS_BESIDE - 2);
    assert!(owner.may_accept());
    let first = owner.acceptor.accept().await;
    owner.accept_all(first).await;
    assert_eq!(owner.listener.stats().connections, 2);
    assert!(!owner.may_accept());
}

/// A client that comes while those tasks leave no room, and what it sees once they have ended.
#[tokio::test]
async fn promise_12_who_comes_without_room_waits_and_is_accepted_later() {
    let (mut owner, _) = owner(usize::MAX - PACKETS_PER_TURN);
    let (acceptor, _clients) = waiting_clients(1).await;
    let running = owner.tasks.fill(MAX + TASKS_BESIDE);
    let (commands, for_owner) = mpsc::channel(1);
    tokio::spawn(owner.run(acceptor, for_owner));
    let connections = async || {
        let (answer, stats) = oneshot::channel();
        commands.send(Command::Stats(answer)).await.unwrap();
        stats.await.unwrap().connections
    };
    for _ in 0..200 {
        assert_eq!(connections().await, 0);
    }
    running.first().unwrap().abort();
    let accepted = async { while connections().await == 0 {} };
    timeout(Duration::from_secs(30), accepted).await.unwrap();
}
