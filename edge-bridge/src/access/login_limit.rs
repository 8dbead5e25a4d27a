//! Rate limit of password hashing: on wrong logins of each address, and on the hash iterations for all addresses together, so that guessing
//! passwords is slow and takes at most a few percent of the processor.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};

use crate::client_network::client_network;

/// Wrong logins that an address may make without a pause.
const WRONG_BURST: u64 = 10;
/// Milliseconds after which an address that used up [`WRONG_BURST`] may make one more wrong login.
const WRONG_EVERY_MS: u64 = 1_000;
/// Most addresses with recent wrong logins that are kept.
const ADDRESSES_MAX: usize = 1_024;
/// Hash iterations that all addresses together may use without a pause: 500 logins of 101 iterations, about a tenth of a second on a small
/// gateway.
const WORK_BURST: u64 = 50_000;
/// Hash iterations that become free per millisecond, enough for 500 logins a second.
const WORK_PER_MS: u64 = 50;

/// Leaky bucket: its level rises by each use and falls with time.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    amount: u64,
    at_ms: u64,
}

impl Used {
    /// Returns the bucket's level at `now_ms`, when `amount` leaks out every `per_ms` milliseconds.
    fn after(self, now_ms: u64, amount: u64, per_ms: u64) -> Self {
        let steps = now_ms.saturating_sub(self.at_ms) / per_ms;
        let at_ms = if steps == 0 { self.at_ms.min(now_ms) } else { self.at_ms + steps * per_ms };
        Self { amount: self.amount.saturating_sub(steps.saturating_mul(amount)), at_ms }
    }

    /// Adds a wrong login, up to the burst.
    fn add(&mut self, now_ms: u64) {
        *self = self.after(now_ms, 1, WRONG_EVERY_MS);
        self.amount = (self.amount + 1).min(WRONG_BURST);
    }
}

/// Most user names per address whose wrong logins are counted apart, so many that a few wrong names lock no remembered login out of its address. They
/// take 6 KiB, those of [`ADDRESSES_MAX`] addresses 6 MiB, whatever the names are: [`LoginLimit::MEMORY_BYTES_MAX`].
const USERS_MAX: usize = 256;

/// Hash of a user name, with a seed of this process. The name itself is not kept, because it may have 64 KiB; two names of one hash share a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct User(u64);

/// Wrong logins from one address: of all user names together and of each.
#[derive(Debug, Default)]
struct Wrong {
    all: Used,
    /// A list, because a hash table takes up to four times its entries' memory.
    users: Vec<(User, Used)>,
}

impl Wrong {
    fn is_over(&self, now_ms: u64) -> bool {
        self.all.after(now_ms, 1, WRONG_EVERY_MS).amount >= WRONG_BURST
    }

    fn is_over_for(&self, now_ms: u64, user: User) -> bool {
        match self.users.iter().find(|(other, _)| *other == user) {
            Some((_, used)) => used.after(now_ms, 1, WRONG_EVERY_MS).amount > 0,
            None => self.users.len() >= USERS_MAX,
        }
    }

    fn note(&mut self, now_ms: u64, user: User) {
        self.all.add(now_ms);
        self.users.retain(|(_, used)| used.after(now_ms, 1, WRONG_EVERY_MS).amount > 0);
        if let Some((_, used)) = self.users.iter_mut().find(|(other, _)| *other == user) {
            used.add(now_ms);
        } else if self.users.len() < USERS_MAX {
            let mut used = Used { amount: 0, at_ms: now_ms };
            used.add(now_ms);
            self.users.push((user, used));
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct LoginLimit {
    wrong: HashMap<IpAddr, Wrong>,
    work: Used,
    hashes: RandomState,
}

impl LoginLimit {
    /// Most bytes that wrong logins take: full lists of all addresses, their table while it grows, and a quarter for the room that shorter lists left.
    pub(super) const MEMORY_BYTES_MAX: usize = {
        let lists = ADDRESSES_MAX * (USERS_MAX * size_of::<(User, Used)>() + 32);
        let table = 3 * ADDRESSES_MAX * (size_of::<(IpAddr, Wrong)>() + 1);
        (lists + table) / 4 * 5
    };

    /// Returns whether a login from this address may be compared with the cache of correct logins. After many wrong logins from the address each
    /// user name has one attempt a second, so that password guessing does not lock out a legitimate client behind the same address.
    pub(super) fn may_look_up(&self, now_ms: u64, address: Option<IpAddr>, user: &str) -> bool {
        let wrong = self.wrong.get(&place(address));
        wrong.is_none_or(|wrong| !wrong.is_over(now_ms) || !wrong.is_over_for(now_ms, self.user(user)))
    }

    /// Returns whether a login's hash may be computed now for this address. If so, its iterations are counted.
    pub(super) fn may_compute(&mut self, now_ms: u64, address: Option<IpAddr>, iterations: u32) -> bool {
        let wrong = self.wrong.get(&place(address));
        if wrong.is_some_and(|wrong| wrong.is_over(now_ms)) {
            return false;
        }
        self.work = self.work.after(now_ms, WORK_PER_MS, 1);
        if self.work.amount >= WORK_BURST {
            return false;
        }
        self.work.amount += u64::from(iterations);
        true
    }

    /// Counts a login that was wrong, or that was refused without a check.
    pub(super) fn on_wrong(&mut self, now_ms: u64, address: Option<IpAddr>, user: &str) {
        let (address, user) = (place(address), self.user(user));
        if self.wrong.len() >= ADDRESSES_MAX && !self.wrong.contains_key(&address) {
            self.make_room(now_ms);
        }
        self.wrong.entry(address).or_default().note(now_ms, user);
    }

    fn user(&self, name: &str) -> User {
        User(self.hashes.hash_one(name))
    }

    /// Forgets addresses without recent wrong logins, or else the one that has fewest.
    fn make_room(&mut self, now_ms: u64) {
        let amount = |wrong: &Wrong| wrong.all.after(now_ms, 1, WRONG_EVERY_MS).amount;
        self.wrong.retain(|_, wrong| amount(wrong) > 0);
        if self.wrong.len() >= ADDRESSES_MAX {
            let fewest = self.wrong.iter().min_by_key(|(_, wrong)| amount(wrong));
            if let Some(fewest) = fewest.map(|(address, _)| *address) {
                self.wrong.remove(&fewest);
            }
        }
    }
}

/// Returns the key of an address. Clients of unknown address share one key.
fn place(address: Option<IpAddr>) -> IpAddr {
    address.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), client_network)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    /// Logins, all of them wrong, of which this many are computed.
    fn computed(limit: &mut LoginLimit, now_ms: u64, from: Option<IpAddr>, tries: usize) -> usize {
        let try_one = |_: &usize| {
            let may = limit.may_compute(now_ms, from, 101);
            if may {
                limit.on_wrong(now_ms, from, "ann");
            }
            may
        };
        (0..tries).filter(try_one).count()
    }

    #[test]
    fn promise_12_who_guesses_waits_and_others_do_not() {
        let mut limit = LoginLimit::default();
        assert_eq!(computed(&mut limit, 0, address("10.0.0.7"), 1_000), 10);
        assert_eq!(computed(&mut limit, 999, address("10.0.0.7"), 1_000), 0);
        assert_eq!(computed(&mut limit, 3_000, address("10.0.0.7"), 1_000), 3, "one a second");
        assert_eq!(computed(&mut limit, 3_000, address("10.0.0.8"), 5), 5);
        assert_eq!(computed(&mut limit, 60_000, address("10.0.0.7"), 1_000), 10);
        assert_eq!(computed(&mut limit, 60_000, address("::ffff:10.0.0.7"), 1_000), 0, "the same one");
        let hosts = |n: u32| address(&format!("2001:db8:0:1::{n:x}"));
        let guessed: usize = (0..1_000).map(|n| computed(&mut limit, 90_000, hosts(n), 1)).sum();
        assert_eq!(guessed, 10, "one client has many addresses of IPv6");
    }

    #[test]
    fn all_addresses_together_have_a_budget_of_work() {
        let mut limit = LoginLimit::default();
        let from = |n: u32| Some(IpAddr::V4(n.into()));
        let mut computed_by_all = |now_ms, of: std::ops::Range<u32>| -> usize {
            of.map(|n| computed(&mut limit, now_ms, from(n), 1)).sum()
        };
        assert_eq!(computed_by_all(0, 0..10_000), 496, "50 000 iterations, and the last login");
        assert_eq!(computed_by_all(1_000, 20_000..30_000), 495, "50 000 a second");
        assert_eq!(computed(&mut limit, 90_000, None, 20), 10, "of nobody knows where");
    }

    #[test]
    fn addresses_without_end_are_bounded_and_who_guesses_most_stays() {
        let mut limit = LoginLimit::default();
        let guesser = address("192.0.2.1");
        assert_eq!(computed(&mut limit, 0, guesser, 20), 10);
        for n in 0..5_000 {
            limit.on_wrong(0, Some(IpAddr::V4(n.into())), "ann");
        }
        assert_eq!(limit.wrong.len(), ADDRESSES_MAX);
        assert_eq!(computed(&mut limit, 1, guesser, 20), 0);
        limit.on_wrong(20_000, address("192.0.2.2"), "ann");
        assert_eq!(limit.wrong.len(), 1);
    }

    #[test]
    fn a_clock_of_another_origin_opens_nothing() {
        let mut limit = LoginLimit::default();
        assert_eq!(computed(&mut limit, 50_000, address("10.0.0.7"), 20), 10);
        assert_eq!(computed(&mut limit, 0, address("10.0.0.7"), 20), 0);
    }

    #[test]
    fn who_guesses_a_users_password_may_not_look_it_up_and_other_users_may() {
        let mut limit = LoginLimit::default();
        let (plant, users) = (address("192.0.2.1"), ["ann", "bob"]);
        let may = |limit: &LoginLimit, now_ms| users.map(|user| limit.may_look_up(now_ms, plant, user));
        for _ in 0..9 {
            limit.on_wrong(0, plant, "ann");
        }
        assert_eq!(may(&limit, 0), [true, true], "below the limit");
        limit.on_wrong(0, plant, "ann");
        assert_eq!(may(&limit, 999), [false, true]);
        limit.on_wrong(999, plant, "bob");
        assert_eq!(may(&limit, 999), [false, false], "one attempt");
        assert!(limit.may_look_up(999, address("192.0.2.2"), "ann"));
        assert_eq!(may(&limit, 60_000), [true, true]);
    }

    #[test]
    fn user_names_without_end_are_bounded_and_a_few_of_them_lock_nobody_out() {
        let mut limit = LoginLimit::default();
        let plant = address("192.0.2.1");
        let guess = |limit: &mut LoginLimit, names: std::ops::Range<usize>| {
            names.for_each(|n| limit.on_wrong(60_000, plant, &n.to_string()));
            limit.may_look_up(60_000, plant, "ann")
        };
        assert!(guess(&mut limit, 0..USERS_MAX - 1));
        assert!(!guess(&mut limit, USERS_MAX..1_000), "its guesses may be among those that nobody counts");
        assert_eq!(limit.wrong[&plant.unwrap()].users.len(), USERS_MAX);
        let list = limit.wrong[&plant.unwrap()].users.capacity() * size_of::<(User, Used)>();
        let table = 2 * ADDRESSES_MAX * size_of::<(IpAddr, Wrong)>();
        assert!(list <= 6 * 1024 && ADDRESSES_MAX * list + table <= LoginLimit::MEMORY_BYTES_MAX);
        assert!(limit.may_look_up(61_000, plant, "ann"), "a second later");
    }
}
