//! Whether all that the client had fetched before some end of a log has been given.
//!
//! Pure. The client's queue is first in, first out, and holds what was fetched of all partitions; a report is put
//! in front of it, and so are the client's words for its log. What stands before an end was queued before the client came to that end, so before any report
//! that tells of it. Hence it has been given once the queue was empty after the report, or once as much was given
//! after it as waited when it was made. Invariant: nothing else counts as proof; "nothing came" is none, since a
//! poll that takes a report or a word gives nothing either, and an empty batch is none, since it may be one of notices.

use std::collections::BTreeMap;

use super::super::Partition;

/// Of one client.
#[derive(Debug, Default)]
pub(super) struct Drain {
    /// Reports that have come, and all that is no record or error.
    reports: u64,
    aside: u64,
    /// Records and errors given, and how many of them before the newest report.
    given: u64,
    before: u64,
    /// Nothing waits.
    empty: bool,
    /// Ends that reports tell of, and how much is to be given before each is proven.
    ends: BTreeMap<Partition, (i64, u64)>,
}

impl Drain {
    /// Begins another row of polls: what has been fetched meanwhile nobody knows.
    pub(super) fn begin(&mut self) {
        self.empty = false;
    }

    /// After a poll: whether it has shown that nothing waits. `came`: it gave something. `reports`: how many the
    /// client has ever given; `aside`: how much in all that is no record or error.
    pub(super) fn is_empty(&mut self, came: bool, (reports, aside): (u64, u64)) -> bool {
        let took = std::mem::replace(&mut self.aside, aside) != aside;
        let is_new = self.reports != reports;
        if is_new {
            (self.reports, self.before) = (reports, self.given);
        }
        self.given += u64::from(came);
        self.empty = !came && !is_new && !took;
        self.empty
    }

    /// The newest report tells of this end, when so many records of all partitions waited.
    pub(super) fn expect(&mut self, partition: Partition, eof: i64, waiting: u64) {
        let mut due = self.before.saturating_add(waiting);
        // An older report that told of it is as good.
        if let Some((same, earlier)) = self.ends.get(&partition)
            && *same == eof
        {
            due = due.min(*earlier);
        }
        self.ends.insert(partition, (eof, due));
    }

    /// No report tells of an end of this partition that is not known to be reached.
    pub(super) fn forget(&mut self, partition: Partition) {
        self.ends.remove(&partition);
    }

    /// The ends before which all has been given, each once.
    pub(super) fn proven(&mut self) -> Vec<(Partition, i64)> {
        let (mut proven, empty, given) = (Vec::new(), self.empty, self.given);
        self.ends.retain(|partition, (eof, due)| {
            let is_due = empty || *due <= given;
            if is_due {
                proven.push((*partition, *eof));
            }
            !is_due
        });
        proven
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: Partition = Partition {
        topic: 0,
        number: 0,
    };

    #[test]
    fn a_poll_that_takes_a_report_does_not_show_an_empty_queue() {
        let mut drain = Drain::default();
        drain.begin();
        assert!(!drain.is_empty(false, (1, 0)), "it took a report");
        drain.expect(P, 7, 2);
        assert_eq!(drain.proven(), []);
        assert!(!drain.is_empty(true, (1, 0)));
        assert!(!drain.is_empty(false, (2, 0)), "it took another one");
        assert_eq!(drain.proven(), []);
        assert!(drain.is_empty(false, (2, 0)));
        assert_eq!(drain.proven(), [(P, 7)]);
        assert_eq!(drain.proven(), [], "once");
    }

    /// The client's debug log is told through the same queue: a word of it passed for an empty one.
    #[test]
    fn a_poll_that_takes_a_word_of_the_log_does_not_show_an_empty_queue() {
        let mut drain = Drain::default();
        drain.begin();
        assert!(!drain.is_empty(false, (1, 1)));
        drain.expect(P, 7, 2);
        assert!(!drain.is_empty(false, (1, 2)), "it took a word");
        assert_eq!(drain.proven(), []);
        assert!(drain.is_empty(false, (1, 2)));
        assert_eq!(drain.proven(), [(P, 7)]);
    }

    #[test]
    fn what_was_empty_before_a_report_proves_nothing_after_it() {
        let mut drain = Drain::default();
        assert!(drain.is_empty(false, (0, 0)));
        drain.begin();
        assert!(!drain.is_empty(true, (1, 0)));
        drain.expect(P, 7, 2);
        assert_eq!(drain.proven(), []);
    }

    /// Beside a partition with a backlog the queue is never empty.
    #[test]
    fn an_end_is_proven_when_as_much_was_given_as_waited() {
        let mut drain = Drain::default();
        for _ in 0..10 {
            drain.is_empty(true, (0, 0));
        }
        drain.is_empty(true, (1, 0));
        drain.expect(P, 7, 3);
        assert_eq!(drain.proven(), [], "one was given since");
        drain.is_empty(true, (2, 0));
        drain.expect(P, 7, 90);
        assert_eq!(drain.proven(), []);
        drain.is_empty(true, (2, 0));
        assert_eq!(drain.proven(), [(P, 7)], "by the older report");
        drain.expect(P, 8, 90);
        drain.expect(P, 9, 91);
        drain.forget(P);
        drain.begin();
        drain.is_empty(false, (2, 0));
        assert_eq!(drain.proven(), []);
    }
}
