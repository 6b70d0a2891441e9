//! The balancer over services that are full, that fail, that take their time.

use std::collections::BTreeMap;
use std::future::{Future, Ready, ready};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use althing_ring::tower::{Balance, BalanceError, BalanceLayer};
use althing_ring::{Node, Ring};
use tokio::sync::Semaphore;
use tower::limit::ConcurrencyLimit;
use tower::{Service, ServiceBuilder, ServiceExt};

const NODES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A node of the tests: what it does is set from outside.
#[derive(Clone, Debug)]
struct Server {
    name: &'static str,
    set: Arc<Set>,
}

#[derive(Debug, Default)]
struct Set {
    is_full: AtomicBool,
    is_broken: AtomicBool,
    fails: AtomicBool,
    calls: AtomicUsize,
    waiting: Mutex<Vec<Waker>>,
}

impl Server {
    fn new(name: &'static str) -> Self {
        Self { name, set: Arc::default() }
    }

    fn full(&self, is_full: bool) {
        self.set.is_full.store(is_full, Ordering::SeqCst);
        self.set.waiting.lock().expect("no panic").drain(..).for_each(Waker::wake);
    }

    fn fails(&self) {
        self.set.fails.store(true, Ordering::SeqCst);
    }

    fn calls(&self) -> usize {
        self.set.calls.load(Ordering::SeqCst)
    }
}

impl Service<String> for Server {
    type Response = &'static str;
    type Error = String;
    type Future = Ready<Result<&'static str, String>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), String>> {
        if self.set.is_broken.load(Ordering::SeqCst) {
            return Poll::Ready(Err(format!("{} is broken", self.name)));
        }
        if self.set.is_full.load(Ordering::SeqCst) {
            self.set.waiting.lock().expect("no panic").push(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: String) -> Self::Future {
        self.set.calls.fetch_add(1, Ordering::SeqCst);
        let fails = self.set.fails.load(Ordering::SeqCst);
        ready(if fails { Err(format!("{} failed", self.name)) } else { Ok(self.name) })
    }
}

type Key = fn(&String) -> String;

fn servers() -> BTreeMap<&'static str, Server> {
    NODES.into_iter().map(|name| (name, Server::new(name))).collect()
}

fn balance<S>(services: BTreeMap<&'static str, S>) -> Balance<&'static str, S, Key> {
    let ring = Ring::new(services.keys().copied()).expect("different nodes");
    Balance::new(ring, services, String::clone)
}

fn keys(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("user:{number}"))
}

/// Counts how often it is woken.
#[derive(Default)]
struct Alarm(AtomicUsize);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn is_ready<S: Service<String>>(service: &mut S, waker: &Waker) -> Option<Result<(), S::Error>> {
    match service.poll_ready(&mut Context::from_waker(waker)) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

async fn ask<S>(service: &mut S, key: &str) -> Result<S::Response, S::Error>
where
    S: Service<String>,
{
    service.ready().await?.call(key.to_owned()).await
}

#[tokio::test]
async fn every_key_goes_to_its_owner() {
    let servers = servers();
    let mut balance = balance(servers.clone());
    for key in keys(500) {
        let owner = *balance.ring().owner(&key).expect("there are nodes");
        assert_eq!(ask(&mut balance, &key).await, Ok(owner));
    }
    assert_eq!(servers.values().map(Server::calls).sum::<usize>(), 500);
    assert!(servers.values().all(|server| server.calls() > 20));
}

#[tokio::test]
async fn what_a_full_node_owns_goes_to_the_next_and_comes_back() {
    let servers = servers();
    let mut balance = balance(servers.clone());
    for key in keys(50) {
        let order: Vec<&str> = balance.ring().replicas(&key, 3).into_iter().copied().collect();
        // The first is asked anew once it has taken the request that it is ready for.
        assert_eq!(ask(&mut balance, &key).await, Ok(order[0]));
        servers[order[0]].full(true);
        assert_eq!(ask(&mut balance, &key).await, Ok(order[1]));
        servers[order[1]].full(true);
        assert_eq!(ask(&mut balance, &key).await, Ok(order[2]));
        servers[order[0]].full(false);
        servers[order[1]].full(false);
        assert_eq!(ask(&mut balance, &key).await, Ok(order[0]));
    }
}

#[test]
fn with_all_nodes_full_it_is_not_ready_and_is_woken_when_one_is() {
    let servers = servers();
    let mut balance = balance(servers.clone());
    servers.values().for_each(|server| server.full(true));
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(Arc::clone(&alarm));
    assert_eq!(is_ready(&mut balance, &waker), None);
    assert_eq!(alarm.0.load(Ordering::SeqCst), 0);
    servers["c"].full(false);
    assert_eq!(alarm.0.load(Ordering::SeqCst), 1);
    assert_eq!(is_ready(&mut balance, &waker), Some(Ok(())));
    // Whatever the key, there is but one to take it.
    let answer = pin!(balance.call("user:1".to_owned()));
    assert_eq!(poll(answer), Poll::Ready(Ok("c")));
}

/// Answers when a permit is there.
#[derive(Clone)]
struct Slow(&'static str, Arc<Semaphore>);

impl Service<String> for Slow {
    type Response = &'static str;
    type Error = String;
    type Future = Pin<Box<dyn Future<Output = Result<&'static str, String>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: String) -> Self::Future {
        let Self(name, permits) = self.clone();
        Box::pin(async move {
            permits.acquire().await.expect("it is not closed").forget();
            Ok(name)
        })
    }
}

#[test]
fn one_key_that_everybody_asks_for_fills_no_node_beyond_its_bound() {
    const REQUESTS: usize = 200;
    let permits = Arc::new(Semaphore::new(0));
    let services = NODES.map(|name| (name, Slow(name, Arc::clone(&permits))));
    let mut balance = balance(BTreeMap::from(services)).slack_percent(25);
    let order: Vec<&str> = balance.ring().replicas("hot", 5).into_iter().copied().collect();
    let mut answers = Vec::new();
    for sent in 1..=REQUESTS {
        assert_eq!(is_ready(&mut balance, Waker::noop()), Some(Ok(())));
        answers.push(balance.call("hot".to_owned()));
        let bound = (sent as f64 * 1.25 / 5.0).ceil() as u64;
        assert!(balance.loads().all(|(_, load)| load <= bound), "{sent}: {balance:?}");
    }
    let loads: BTreeMap<&str, u64> = balance.loads().map(|(id, load)| (*id, load)).collect();
    assert_eq!(loads.values().sum::<u64>(), REQUESTS as u64);
    // The first four in the order of the key are as full as they may be.
    assert!(order[..4].iter().all(|id| loads[id] == 50), "{order:?} {loads:?}");

    // Some are answered, the others given up: nobody has anything left.
    permits.add_permits(20);
    for answer in answers.iter_mut().take(20) {
        assert!(poll(Pin::new(answer)).is_ready());
    }
    assert_eq!(balance.loads().map(|(_, load)| load).sum::<u64>(), 180);
    drop(answers);
    assert!(balance.loads().all(|(_, load)| load == 0));
}

#[test]
fn a_weight_of_three_takes_three_times_as_much() {
    let permits = Arc::new(Semaphore::new(0));
    let ring = Ring::new([Node::new("big").weight(3), Node::new("small")]).expect("two nodes");
    let services = ["big", "small"].map(|name| (name, Slow(name, Arc::clone(&permits))));
    let mut balance = Balance::new(ring, services, String::clone as Key).slack_percent(0);
    let mut answers = Vec::new();
    for _ in 0..400 {
        assert_eq!(is_ready(&mut balance, Waker::noop()), Some(Ok(())));
        answers.push(balance.call("hot".to_owned()));
    }
    let loads: Vec<_> = balance.loads().map(|(id, load)| (*id, load)).collect();
    assert_eq!(loads, [("big", 300), ("small", 100)]);
}

#[test]
fn limits_of_the_nodes_make_one_limit_and_an_end_wakes() {
    let permits = Arc::new(Semaphore::new(0));
    let limited =
        NODES.map(|name| (name, ConcurrencyLimit::new(Slow(name, Arc::clone(&permits)), 2)));
    // With so much slack only the nodes' own limits count.
    let mut balance = balance(BTreeMap::from(limited)).slack_percent(u16::MAX);
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(Arc::clone(&alarm));
    let mut answers = Vec::new();
    for _ in 0..10 {
        assert_eq!(is_ready(&mut balance, &waker), Some(Ok(())));
        answers.push(balance.call("hot".to_owned()));
    }
    assert_eq!(is_ready(&mut balance, &waker), None, "{balance:?}");
    let before = alarm.0.load(Ordering::SeqCst);
    permits.add_permits(1);
    assert!(poll(Pin::new(&mut answers[3])).is_ready());
    answers.remove(3);
    assert!(alarm.0.load(Ordering::SeqCst) > before);
    assert_eq!(is_ready(&mut balance, &waker), Some(Ok(())));
}

#[test]
fn a_bound_alone_makes_it_wait_and_an_end_wakes_it() {
    // Of two nodes one is full by itself; the other may not take all.
    let permits = Arc::new(Semaphore::new(0));
    let services = ["a", "b"].map(|name| {
        let limit = if name == "a" { 1 } else { 100 };
        (name, ConcurrencyLimit::new(Slow(name, Arc::clone(&permits)), limit))
    });
    let mut balance = balance(BTreeMap::from(services)).slack_percent(0);
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(Arc::clone(&alarm));
    let mut answers = Vec::new();
    while is_ready(&mut balance, &waker).is_some() {
        answers.push(balance.call("hot".to_owned()));
        assert!(answers.len() < 10, "{balance:?}");
    }
    assert_eq!(balance.loads().collect::<Vec<_>>(), [(&"a", 1), (&"b", 2)]);
    drop(answers.pop());
    assert_eq!(alarm.0.load(Ordering::SeqCst), 1);
    assert_eq!(is_ready(&mut balance, &waker), Some(Ok(())));
}

#[tokio::test]
async fn what_fails_is_tried_on_the_next_replicas_as_often_as_allowed() {
    for attempts in 1..=5 {
        let servers = servers();
        let mut balance = balance(servers.clone()).attempts(attempts);
        let order: Vec<&str> = balance.ring().replicas("key", 5).into_iter().copied().collect();
        // The first two replicas fail.
        servers[order[0]].fails();
        servers[order[1]].fails();
        let answer = ask(&mut balance, "key").await;
        let expected = match attempts {
            1 | 2 => Err(BalanceError::Node(format!("{} failed", order[attempts - 1]))),
            _ => Ok(order[2]),
        };
        assert_eq!(answer, expected, "{attempts} attempts");
        for (position, name) in order.iter().enumerate() {
            let called = usize::from(position < attempts.min(3));
            assert_eq!(servers[name].calls(), called, "{attempts} attempts, {name}");
        }
        assert!(balance.loads().all(|(_, load)| load == 0));
    }
}

#[tokio::test]
async fn with_all_nodes_failing_the_last_reason_is_told_and_each_was_asked_once() {
    let servers = servers();
    servers.values().for_each(Server::fails);
    let mut balance = balance(servers.clone()).attempts(100);
    let order: Vec<&str> = balance.ring().replicas("key", 5).into_iter().copied().collect();
    let reason = format!("{} failed", order[4]);
    assert_eq!(ask(&mut balance, "key").await, Err(BalanceError::Node(reason)));
    assert!(servers.values().all(|server| server.calls() == 1));
}

#[test]
fn a_retry_passes_over_who_is_full_or_waits_if_all_are() {
    let servers = servers();
    let mut balance = balance(servers.clone()).attempts(3);
    let order: Vec<&str> = balance.ring().replicas("key", 3).into_iter().copied().collect();
    servers[order[0]].fails();
    assert_eq!(is_ready(&mut balance, Waker::noop()), Some(Ok(())));
    servers[order[1]].full(true);
    let answer = pin!(balance.call("key".to_owned()));
    assert_eq!(poll(answer), Poll::Ready(Ok(order[2])));

    assert_eq!(is_ready(&mut balance, Waker::noop()), Some(Ok(())));
    servers[order[2]].full(true);
    let mut answer = pin!(balance.call("key".to_owned()));
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(Arc::clone(&alarm));
    let pending = answer.as_mut().poll(&mut Context::from_waker(&waker));
    assert_eq!(pending, Poll::Pending);
    servers[order[1]].full(false);
    assert_eq!(alarm.0.load(Ordering::SeqCst), 1);
    assert_eq!(poll(answer), Poll::Ready(Ok(order[1])));
}

#[tokio::test]
async fn a_broken_node_is_passed_over_until_it_is_replaced() {
    let servers = servers();
    let mut balance = balance(servers.clone());
    let order: Vec<&str> = balance.ring().replicas("key", 2).into_iter().copied().collect();
    servers[order[0]].set.is_broken.store(true, Ordering::SeqCst);
    assert_eq!(ask(&mut balance, "key").await, Ok(order[1]));
    // It is not asked again, even if it would work.
    servers[order[0]].set.is_broken.store(false, Ordering::SeqCst);
    assert_eq!(ask(&mut balance, "key").await, Ok(order[1]));
    balance.insert(order[0], Server::new(order[0])).expect("it is in the ring");
    assert_eq!(ask(&mut balance, "key").await, Ok(order[0]));
}

#[tokio::test]
async fn without_a_node_that_works_there_is_an_error_and_no_waiting() {
    let mut empty = balance(BTreeMap::<&str, Server>::new());
    assert_eq!(ask(&mut empty, "key").await, Err(BalanceError::NoNodes));

    let weightless = Ring::new([Node::new("a").weight(0)]).expect("one node");
    let services = [("a", Server::new("a"))];
    let mut balance = Balance::new(weightless, services, String::clone as Key);
    assert_eq!(ask(&mut balance, "key").await, Err(BalanceError::NoNodes));

    let server = Server::new("a");
    server.set.is_broken.store(true, Ordering::SeqCst);
    let ring = Ring::new(["a"]).expect("one node");
    let mut balance = Balance::new(ring, [("a", server)], String::clone as Key);
    let broken = Err(BalanceError::Node("a is broken".to_owned()));
    assert_eq!(ask(&mut balance, "key").await, broken);
    assert_eq!(ask(&mut balance, "key").await, Err(BalanceError::NoNodes));
}

#[tokio::test]
async fn nodes_come_and_go_and_move_only_what_they_must() {
    let layer = BalanceLayer::new(Ring::new(NODES).expect("five nodes"), String::clone as Key);
    let mut balance = ServiceBuilder::new().layer(layer).service(servers());
    let mut before = BTreeMap::new();
    for key in keys(300) {
        let owner = ask(&mut balance, &key).await.expect("it works");
        before.insert(key, owner);
    }
    balance.insert("f", Server::new("f")).expect("room for one more");
    let mut gained = 0;
    for (key, owner) in &before {
        let now = ask(&mut balance, key).await.expect("it works");
        assert!(now == *owner || now == "f", "{key} from {owner} to {now}");
        gained += usize::from(now == "f");
    }
    assert!(gained > 10, "{gained} of 300");
    assert!(balance.remove(&"f").is_some());
    assert!(balance.remove(&"f").is_none());
    for (key, owner) in &before {
        assert_eq!(ask(&mut balance, key).await, Ok(*owner));
    }
}
