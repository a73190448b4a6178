//! Whom the account lets take how much, and when.

use std::sync::mpsc::channel;
use std::thread;

use super::*;

const MIB: usize = 1 << 20;
const SOON: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(20);

#[test]
fn what_is_taken_is_given_back() {
    let account = Account::new(8 * MIB);
    let mut share = account.begin(MIB, SOON).unwrap();
    share.resize(5 * MIB).unwrap();
    share.resize(3 * MIB).unwrap();
    assert_eq!(account.numbers().held, 3 * MIB);
    let lent = share.lend();
    assert_eq!((lent, account.numbers().held), (3 * MIB, 3 * MIB));
    account.give_back(lent);
    let numbers = account.numbers();
    assert_eq!((numbers.held, numbers.most, numbers.waits), (0, 5 * MIB, 0));
    drop(account.begin(MIB, SOON).unwrap());
    assert_eq!(account.numbers().held, 0);
}

#[test]
fn a_full_account_makes_others_wait_and_says_so_in_time() {
    let account = Account::new(8 * MIB);
    let mut share = account.begin(MIB, SOON).unwrap();
    share.resize(8 * MIB).unwrap();
    let lent = share.lend();
    let begun = Instant::now();
    assert_eq!(account.begin(MIB, SOON).err(), Some(Cause::Busy));
    assert!(begun.elapsed() >= SOON);
    assert_eq!(account.begin(1, Duration::ZERO).err(), Some(Cause::Busy));
    assert_eq!(account.numbers().waits, 2);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| account.begin(MIB, LONG).map(drop));
        while account.numbers().waits < 3 {
            thread::yield_now();
        }
        account.give_back(lent);
        assert_eq!(waiting.join().unwrap(), Ok(()));
    });
    assert_eq!(account.numbers().held, 0);
}

#[test]
fn the_largest_is_let_in_where_nothing_is_held() {
    let account = Account::new(2 * MIB);
    let share = account.begin(3 * MIB, Duration::ZERO).unwrap();
    drop(share);
    let mut share = account.begin(MIB, Duration::ZERO).unwrap();
    share.resize(9 * MIB).unwrap();
    assert_eq!(account.begin(1, Duration::ZERO).err(), Some(Cause::Busy));
}

#[test]
fn only_one_takes_more_than_its_start() {
    let account = Account::new(8 * MIB);
    let mut one = account.begin(MIB, SOON).unwrap();
    let mut other = account.begin(MIB, SOON).unwrap();
    one.resize(2 * MIB).unwrap();
    assert_eq!(
        other.resize(2 * MIB),
        Err(Cause::Busy),
        "the first is not done"
    );
    drop(other);
    let mut other = account.begin(MIB, LONG).unwrap();
    let (tell, told) = channel();
    thread::scope(|scope| {
        scope.spawn(|| tell.send(other.resize(2 * MIB)).unwrap());
        assert!(told.recv_timeout(SOON).is_err());
        let lent = one.lend();
        assert_eq!(told.recv_timeout(LONG), Ok(Ok(())));
        account.give_back(lent);
    });
}

#[test]
fn two_that_hold_a_part_do_not_wait_for_each_other() {
    let account = Account::new(4 * MIB);
    let mut one = account.begin(2 * MIB, SOON).unwrap();
    let _other = account.begin(2 * MIB, SOON).unwrap();
    one.resize(4 * MIB).unwrap();
    assert_eq!(
        account.numbers().held,
        6 * MIB,
        "the other's start is above the limit"
    );
}

#[test]
fn who_waits_for_much_is_not_overtaken_by_those_who_want_little() {
    let account = Account::new(8 * MIB);
    let full = account.begin(6 * MIB, SOON).unwrap().lend();
    let mut large = account.begin(MIB, LONG).unwrap();
    thread::scope(|scope| {
        let growing = scope.spawn(|| large.resize(5 * MIB));
        while account.numbers().waits == 0 {
            thread::yield_now();
        }
        assert_eq!(account.begin(MIB, Duration::ZERO).err(), Some(Cause::Busy));
        account.give_back(full);
        assert_eq!(growing.join().unwrap(), Ok(()));
    });
    assert_eq!(account.numbers().held, 5 * MIB);
    drop(account.begin(MIB, Duration::ZERO).unwrap());
}

#[test]
fn who_waited_in_vain_stands_in_nobodys_way() {
    let account = Account::new(4 * MIB);
    let lent = account.begin(3 * MIB, SOON).unwrap().lend();
    let mut share = account.begin(MIB, SOON).unwrap();
    assert_eq!(share.resize(3 * MIB), Err(Cause::Busy));
    drop(share);
    let mut share = account.begin(MIB, SOON).unwrap();
    account.give_back(lent);
    share.resize(3 * MIB).unwrap();
}
