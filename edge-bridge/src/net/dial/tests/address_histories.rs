//! Random lists of addresses, of which some refuse, some swallow SYNs and some answer, in tokio's virtual time; and for each rule a planted bug that
//! it must convict: another dialer that is made of the real one.

use futures_util::future::join_all;
use tokio::time::Instant;

use super::super::*;
use super::{black_hole, dialer, listener};
use crate::random::Rng;

const ATTEMPTS: u32 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Address {
    Answers,
    Refuses,
    SwallowsSyns,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// An address that answers is reached, whatever comes before it.
    Reached,
    /// Each silent address costs its head start and a refusal nothing, and nobody is asked before his turn.
    InTime,
}

const RULES: [Rule; 2] = [Rule::Reached, Rule::InTime];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// One address at a time, and one timeout around all of them.
    OneByOne,
    /// All addresses at once: the first of the resolver's order has no head start.
    AllAtOnce,
}

/// The bug that a rule convicts. A rule without one does not compile.
fn planted(rule: Rule) -> Bug {
    match rule {
        Rule::Reached => Bug::OneByOne,
        Rule::InTime => Bug::AllAtOnce,
    }
}

/// Addresses of each kind.
struct Site {
    answers: [SocketAddr; 2],
    refuses: SocketAddr,
    silent: SocketAddr,
}

impl Site {
    fn addresses(&self, kinds: &[Address]) -> Vec<SocketAddr> {
        let answers = self.answers.iter().cycle();
        let address = |(kind, answers): (&Address, &SocketAddr)| match kind {
            Address::Answers => *answers,
            Address::Refuses => self.refuses,
            Address::SwallowsSyns => self.silent,
        };
        kinds.iter().zip(answers).map(address).collect()
    }
}

async fn connect(addresses: Vec<SocketAddr>, bug: Option<Bug>) -> Option<SocketAddr> {
    let dialer = dialer();
    let one = |address| dialer.connect_first(vec![address]);
    let reached = async {
        match bug {
            None => return dialer.connect_first(addresses).await.ok(),
            Some(Bug::AllAtOnce) => {
                let all = addresses.into_iter().rev().map(|address| timeout(HEAD_START, one(address)));
                return join_all(all).await.into_iter().flatten().flatten().next();
            }
            Some(Bug::OneByOne) => {
                for address in addresses {
                    if let Ok(stream) = one(address).await {
                        return Some(stream);
                    }
                }
            }
        }
        None
    };
    timeout(dialer.connect_timeout, reached).await.ok().flatten()?.peer_addr().ok()
}

fn random_kinds(seed: u64) -> Vec<Address> {
    let mut random = Rng::new(seed);
    let count = 1 + random.below(7);
    (0..count)
        .map(|_| match random.below(3) {
            0 => Address::Answers,
            1 => Address::Refuses,
            _ => Address::SwallowsSyns,
        })
        .collect()
}

/// The clock jumps as soon as nothing is ready, and a busy machine's kernel may be later than that: the best of some attempts.
async fn history(seed: u64, bug: Option<Bug>, site: &Site) -> Result<(), Rule> {
    for _ in 0..ATTEMPTS {
        if attempt(seed, bug, site).await.is_ok() {
            return Ok(());
        }
        tokio::time::resume();
        sleep(Duration::from_millis(50)).await;
        tokio::time::pause();
    }
    attempt(seed, bug, site).await
}

async fn attempt(seed: u64, bug: Option<Bug>, site: &Site) -> Result<(), Rule> {
    let kinds = random_kinds(seed);
    let addresses = site.addresses(&kinds);
    let start = Instant::now();
    let reached = connect(addresses.clone(), bug).await;
    let took = start.elapsed();
    let Some(first) = kinds.iter().position(|kind| *kind == Address::Answers) else {
        return if reached.is_none() { Ok(()) } else { Err(Rule::Reached) };
    };
    let Some(reached) = reached else { return Err(Rule::Reached) };
    let silent = kinds.iter().take(first).filter(|kind| **kind == Address::SwallowsSyns).count();
    let head_starts = HEAD_START * u32::try_from(silent).unwrap();
    let is_in_time = took <= head_starts + HEAD_START / 2 && reached == addresses[first];
    if is_in_time { Ok(()) } else { Err(Rule::InTime) }
}

/// Runs `f` where nothing but timers takes time: what the kernel does on the loopback is done at once.
fn in_virtual_time(f: impl AsyncFnOnce(&Site)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (_hole, silent, _streams) = black_hole().await;
        let ((accepts_one, one), (accepts_two, two), (closed, refuses)) =
            (listener().await, listener().await, listener().await);
        drop(closed);
        // A backlog that nobody takes from is full some day.
        for listener in [accepts_one, accepts_two] {
            tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        }
        let site = Site { answers: [one, two], refuses, silent };
        tokio::time::pause();
        f(&site).await;
    });
}

#[test]
fn random_addresses_keep_every_rule() {
    in_virtual_time(async |site| {
        for seed in 0..300 {
            let kinds = random_kinds(seed);
            assert_eq!(history(seed, None, site).await, Ok(()), "seed {seed}: {kinds:?}");
        }
    });
}

#[test]
fn every_rule_finds_its_planted_bug() {
    in_virtual_time(async |site| {
        for rule in RULES {
            let bug = planted(rule);
            let mut found = None;
            for seed in 0..50 {
                found = history(seed, Some(bug), site).await.err().map(|broken| (seed, broken));
                if found.is_some() {
                    break;
                }
            }
            let Some((seed, broken)) = found else { panic!("{bug:?} is not found") };
            assert_eq!(broken, rule, "{bug:?} with seed {seed}: {:?}", random_kinds(seed));
        }
    });
}
