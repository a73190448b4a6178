//! Wrong files: each with the place, the message and the hint that somebody will read.

#![expect(clippy::too_many_lines, reason = "tables")]

use super::*;

/// What the one diagnostic of a file must be: `LINE:COLUMN message | hint`.
fn one(text: &str, want: &str) {
    let got = files(&[("t.yml", text)]);
    let shown: Vec<String> = got
        .diagnostics
        .iter()
        .map(|d| {
            let lint = if d.is_fault() { "" } else { "lint: " };
            let hint = d.hint.as_deref().unwrap_or("-");
            format!("{}:{} {lint}{} | {hint}", d.line, d.column, d.message)
        })
        .collect();
    assert_eq!(shown, [want], "\n{text}");
    assert_eq!(got.plan.detectors.is_empty(), got.has_faults());
}

#[test]
fn roll_ups() {
    let with = |roll_up: &str, want: &str| {
        let text = format!("timespan: 10m\n  roll-up: {roll_up}");
        flood("timespan: 10m", &text, want);
    };
    with(
        "[source.as.number, source.cidr]",
        "11:31 `source.cidr` is no wider group than the one before | from narrow to wide: source.ip, source.cidr, source.as.number",
    );
    with(
        "[source.network]",
        "11:13 nothing rolls up to `source.network` | use one of `source.ip`, `source.cidr`, `source.as.number`",
    );
    with(
        "{by: source.cidr, condition: {gte: 4097}}",
        "11:47 a wider group remembers 4096 events, this bound needs more | lower the bound, shorten the timespan, or write a rule of its own for the group",
    );
    with(
        "{condition: {gte: 20}}",
        "11:12 the wider group has no `by`, found a map | write `{by: source.cidr}`",
    );
    one(
        &FLOOD.replace("[source.ip]", "[user.id]\n  roll-up: source.cidr"),
        "10:3 `roll-up` needs one address among the `group-by` fields | group by source.ip (or source.cidr), and roll up to wider groups",
    );
}

/// FLOOD with one piece replaced.
fn flood(from: &str, to: &str, want: &str) {
    assert!(FLOOD.contains(from), "{from}");
    one(&FLOOD.replace(from, to), want);
}

/// A mass event that is declared for others, behind a spike and a count they may name.
#[test]
fn mass_events() {
    let with = |expected: &str, want: &str| {
        let spike = "title: s\nname: s\ndetection:\n  a: {event.kind: x}\ncorrelation: {type: spike, rules: a, group-by: [user.id], timespan: 10m, condition: {factor: 3}}\n";
        let text = format!("{spike}---\n{FLOOD}---\ntitle: m\nexpected: {expected}\n");
        let got = files(&[("t.yml", &text)]);
        let last = text.lines().count();
        let shown: Vec<String> = got
            .diagnostics
            .iter()
            .filter(|d| d.line == last)
            .map(|d| format!("{} {}", d.column, d.message))
            .collect();
        assert_eq!(shown.join("; "), want, "{expected}");
    };
    let times = "from: 2026-01-01T00:00:00Z, until: 2026-01-02T00:00:00Z, count_max: 5";
    with(&format!("{{rules: s, {times}}}"), "");
    with(&format!("{{rules: any, {times}, key: {{user.id: u}}}}"), "");
    with(&format!("{{{times}}}"), "11 the mass event names no rules");
    with(&format!("{{rules: abc, {times}}}"), "19 `abc` is no spike");
    with(
        &format!("{{rules: z, {times}}}"),
        "19 the mass event names `z`, which is not here",
    );
    with(
        &format!("{{rules: s, {times}, key: {{source.ip: x}}}}"),
        "99 `source.ip` is no field of `group-by`",
    );
    with(
        "{rules: s, from: 2026-01-02T00:00:00Z, until: 2026-01-01T00:00:00Z, count_max: 5}",
        "11 the mass event ends before it begins",
    );
    with("[1]", "11 a mass event must be a map, found a list");
    one(
        &format!("{FLOOD}expected: {{rules: any, {times}}}\n"),
        "12:11 a rule cannot hold a mass event | put it into a document of its own, or below `correlation:`",
    );
}

#[test]
fn keys_and_metadata() {
    flood(
        "correlation:",
        "corelation:",
        "7:1 unknown key `corelation` in a detector | did you mean `correlation`?",
    );
    flood(
        "timespan: 10m",
        "timespan: 10m\n  windw: 5m",
        "11:3 unknown key `windw` in correlation | use one of `type`, `rules`, `group-by`, `roll-up`, `timespan`, `condition`, `aggregates`, `aliases`, `generate`, `after`, `expect`, `lookback`, `numerator`, `denominator`, `denominator_min`, `baseline`, `warmup`, `half_life`, `field`, `learn`, `known_min`, `values_max`, `count_min`, `within`, `expected`, `steps`, `weights`, `once`",
    );
    flood(
        "group-by",
        "group_by",
        "9:3 unknown key `group_by` in correlation | did you mean `group-by`?",
    );
    flood(
        "id: abc",
        "id: abc\nlevel: hihg",
        "3:8 `level` cannot be `hihg` | did you mean `high`?",
    );
    flood(
        "id: abc",
        "id: abc\nmode: block",
        "3:7 `mode` cannot be `block` | use one of `shadow`, `alert`, `contain`",
    );
    flood(
        "id: abc",
        "id: abc\nversion: zero",
        "3:10 `version` must be a whole number, found `zero` | write a number, from 1 to 4294967295",
    );
    flood(
        "id: abc",
        "id: abc\nlabels: {confidence: 4}",
        "3:22 `confidence` must be from 0 to 3, found `4` | write a whole number, from 0 to 3",
    );
    flood(
        "id: abc",
        "id: abc\nsuppress: 10",
        "3:11 `suppress` must be a length of time, found `10` | say the unit: `10s` or `10m`",
    );
    flood(
        "id: abc",
        "id: abc\nlate: perhaps",
        "3:7 `late` must be true or false, found `perhaps` | write `late: true`",
    );
    flood(
        "title: Reset flood",
        "title:",
        "1:1 the document has no title | add `title:`",
    );
    flood(
        "id: abc",
        "id: abc\nreference: https://example.com",
        "3:1 lint: unknown key `reference` in a detector | did you mean `references`? it is kept, and not read",
    );
    flood(
        "id: abc",
        "id: abc\nsupress: 10m",
        "3:1 unknown key `supress` in a detector | did you mean `suppress`?",
    );
    flood(
        "id: abc",
        "id: abc\nid: def",
        "3:1 key `id` is given twice, first on line 2 | keep one of the two",
    );
    flood(
        "id: abc",
        "id: abc\naction: global",
        "3:9 `action:` collections are not part of Sigma 2 | write each rule as a document of its own, separated by `---`",
    );
    one(
        "title: x\n",
        "1:1 this document has neither `detection:` nor `correlation:`, `filter:` or `expected:` | add one of them",
    );
    one(
        "- a\n",
        "1:1 a detector must be a map, found a list | write `key: value` lines",
    );
}

#[test]
fn responses() {
    let respond = |step: &str, want: &str| {
        flood("id: abc", &format!("id: abc\nrespond:\n  - {step}"), want);
    };
    respond(
        "{verb: blok, target: source.ip, ttl: 1h}",
        "4:12 `verb` cannot be `blok` | did you mean `block`?",
    );
    respond(
        "{verb: block, target: user.id, ttl: 1h}",
        "4:27 `user.id` is neither a group-by field nor in `fields` | use one of `source.ip`",
    );
    respond(
        "{verb: block, target: source.ip}",
        "4:5 the respond step has no `ttl` | add `ttl: 1h`",
    );
    respond(
        "{verb: block, ttl: 0s}",
        "4:19 an action without a length has no effect | say how long it holds: `1h`",
    );
}

#[test]
fn detections() {
    flood(
        "condition: selection\n",
        "condition: selektion\n",
        "6:14 there is no selection `selektion` | did you mean `selection`?",
    );
    flood(
        "condition: selection\n",
        "condition: selection and not (selection\n",
        "6:32 this parenthesis is not closed | add `)`",
    );
    flood(
        "condition: selection\n",
        "condition: 1 of filter_*\n",
        "6:19 no selection is called like `filter_*` | name selections that exist",
    );
    flood(
        "condition: selection\n",
        "condition: selection | count() > 5\n",
        "6:24 aggregation with `|` in a condition is not part of Sigma 2 | write a correlation: `correlation: {type: event_count, timespan: …, condition: …}`",
    );
    flood(
        "    event.kind: recovery.requested",
        "    event.kind|contians: recovery",
        "5:16 there is no modifier `contians` | did you mean `contains`?",
    );
    flood(
        "    event.kind: recovery.requested",
        "    source.ip|cidr: 10.0.0.1/8",
        "5:21 '10.0.0.1/8': the address has bits behind the prefix | write a network like `10.0.0.0/8` or `2001:db8::/32`",
    );
    flood(
        "    event.kind: recovery.requested",
        "    url.path|re: 'a(b'",
        "5:18 not a regex: unclosed group | a sign meant as itself needs a `\\` before it: `\\(`",
    );
    flood(
        "    event.kind: recovery.requested",
        "    url.path|re: '(?=a)b'",
        "5:18 not a regex: look-around, including look-ahead and look-behind, is not supported | say the same with two selections and `not`: matching is held to linear time",
    );
    flood(
        "    event.kind: recovery.requested",
        "    url.path|re: '(\\p{L}{100}){100}'",
        "5:18 the regex needs more than 1 MiB once compiled | shorten its repeats (`{100}`), or split it into several values",
    );
    flood(
        "    event.kind: recovery.requested",
        "    a|i: x",
        "5:7 `|i` is a flag of `|re` | write it behind `re`: `field|re|i`",
    );
    flood(
        "    event.kind: recovery.requested",
        "    a|cidr|contains: 10.0.0.0/8",
        "5:12 `|cidr` and `|contains, startswith or endswith` do not go together | remove one of them",
    );
    flood(
        "    event.kind: recovery.requested",
        "    url.path|contains|startswith: x",
        "5:23 `|startswith` does not go together with the one before it | write two items, `field|gte: 1` and `field|lt: 5`: both must hold",
    );
    flood(
        "    event.kind: recovery.requested",
        "    a|gte|lt: 5",
        "5:11 `|lt` does not go together with the one before it | write two items, `field|gte: 1` and `field|lt: 5`: both must hold",
    );
    flood(
        "    event.kind: recovery.requested",
        "    a|gt: many",
        "5:11 `many` is not a number | comparisons and time parts take a number",
    );
    flood(
        "    event.kind: recovery.requested",
        "    time|hour: 24",
        "5:16 `24` is outside 0 to 23 | times are compared in UTC",
    );
    flood(
        "    event.kind: recovery.requested",
        "    a|exists: maybe",
        "5:15 `|exists` takes true or false | write `true` or `false`",
    );
    flood(
        "    event.kind: recovery.requested",
        "    a|base64: 'x*'",
        "5:15 wildcards cannot be encoded | write them plain: `\\*`, or remove them",
    );
    flood(
        "    event.kind: recovery.requested",
        "    a|expand: '%admins%'",
        "5:15 there is no value list `admins` | define a list called `admins`, or remove `|expand`",
    );
    flood(
        "    event.kind: recovery.requested",
        "    source:\n      ip: 10.0.0.1",
        "6:7 the value of `source` is a map | write nested fields with dots: `source.ip: …`",
    );
    flood(
        "    event.kind: recovery.requested",
        "    event.kind: []",
        "5:17 `event.kind` has no values | add a value, or `|exists: true`",
    );
    one(
        "title: x\ndetection:\n  s: {a: 1}\n",
        "3:3 the detection has no condition | add `condition:` with the name of a selection",
    );
    one(
        "title: x\ndetection: selection\n",
        "2:12 expected selections and a condition, found text | write `detection: {selection: {…}, condition: …}`",
    );
}

#[test]
fn correlations() {
    flood(
        "type: event_count",
        "type: event_cuont",
        "8:9 there is no correlation type `event_cuont` | did you mean `event_count`?",
    );
    flood(
        "type: event_count",
        "type: value_percentile",
        "8:9 value_percentile needs every value of the window, which a bounded engine does not keep | use value_avg, or count the values above a bound with a selection",
    );
    flood(
        "type: event_count",
        "type: quite",
        "8:9 there is no correlation type `quite` | did you mean `quiet`?",
    );
    flood(
        "  type: event_count\n",
        "",
        "8:3 the correlation has no `type` | add `type:` with one of event_count, value_count, value_sum, value_avg, value_order, temporal, temporal_ordered, absence, ratio, spike, new_value, score, quiet, obligations",
    );
    flood(
        "timespan: 10m",
        "timespan: 10",
        "10:13 `timespan` must be a length of time, found `10` | say the unit: `10s` or `10m`",
    );
    flood(
        "  timespan: 10m\n",
        "",
        "8:3 the correlation has no `timespan` | add `timespan: 5m`",
    );
    flood(
        "{gte: 10}",
        "{gte: ten}",
        "11:20 `gte` must be a number, found `ten` | write `gte: 10`",
    );
    flood(
        "{gte: 10}",
        "{gte: \"10\"}",
        "11:20 `gte` must be a number, found the text \"10\" | leave out the quotes: `gte: 10`",
    );
    flood(
        "id: abc",
        "id: abc\nversion: '2'",
        "3:10 `version` must be a number, found the text \"2\" | leave out the quotes: `version: 2`",
    );
    flood(
        "title: Reset flood",
        "title: Reset: flood",
        "1:13 not valid YAML: mapping values are not allowed in this context | put a text that has `: ` in it into quotes, or check the indentation",
    );
    flood(
        "{gte: 10}",
        "{min: 10}",
        "11:15 unknown operator `min` | use one of `gt`, `gte`, `lt`, `lte`, `eq`, `neq`",
    );
    flood(
        "  condition: {gte: 10}\n",
        "",
        "8:3 the correlation has no `condition` | add `condition: {gte: 10}`",
    );
    flood(
        "{gte: 10}",
        "{eq: 0}",
        "11:19 this holds when nothing happens, and nothing is no event that could fire it | use `type: absence` with `after:` and `expect:`, or add a lower bound",
    );
    flood(
        "{gte: 10}",
        "{lt: 5}",
        "11:19 this holds when nothing happens, and nothing is no event that could fire it | use `type: absence` with `after:` and `expect:`, or add a lower bound",
    );
    flood(
        "{gte: 10}",
        "{gte: 10, lt: 5}",
        "11:20 lint: no value can meet this bound | the detector never fires; check it",
    );
    flood(
        "{gte: 10}",
        "{gte: 0}",
        "11:20 lint: every value meets this bound | the detector always fires; check it",
    );
    flood(
        "{gte: 10}",
        "{field: user.id, gte: 10}",
        "11:3 event_count counts events, not values | remove `field`, or use value_count",
    );
    flood(
        "type: event_count",
        "type: value_count",
        "11:3 value_count does not say which field | add `field:` to the condition",
    );
    flood(
        "timespan: 10m",
        "timespan: 10m\n  lookback: 5m",
        "11:3 `lookback` does not belong to event_count | it belongs to absence; remove it, or change the type",
    );
    flood(
        "type: event_count",
        "type: event_count\n  rules: [reset-flod]",
        "9:11 there is no rule or selection `reset-flod` | did you mean `reset-flood`?",
    );
    flood(
        "type: event_count",
        "type: event_count\n  rules: [selection, selection]",
        "9:22 `selection` is named twice | remove one",
    );
    flood(
        "type: event_count",
        "aggregates: {n: {type: event_count}}",
        "11:15 there is no aggregate `gte` | use one of `n`",
    );
}

#[test]
fn correlation_types_with_keys_of_their_own() {
    let doc = |body: &str| {
        format!(
            "title: x\nname: x\ndetection:\n  a: {{event.kind: a}}\n  b: {{event.kind: b}}\ncorrelation:\n  group-by: [user.id]\n  timespan: 1h\n{body}"
        )
    };
    let check = |body: &str, want: &str| {
        let got = files(&[("t.yml", &doc(body))]);
        let faults: Vec<String> = got
            .diagnostics
            .iter()
            .filter(|d| d.is_fault())
            .map(|d| format!("{}:{} {}", d.line, d.column, d.message))
            .collect();
        assert_eq!(faults, [want], "{body}");
    };
    check(
        "  type: absence\n  after: a\n",
        "7:3 the correlation has no `expect`",
    );
    check(
        "  type: absence\n  after: a\n  expect: c\n",
        "11:11 there is no rule or selection `c`",
    );
    check(
        "  type: absence\n  after: a\n  expect: b\n  rules: [a]\n",
        "12:3 `rules` does not belong here",
    );
    check(
        "  type: ratio\n  numerator: a\n  denominator: b\n  condition: {gte: 0.5}\n",
        "7:3 the ratio has no `denominator_min`",
    );
    check(
        "  type: ratio\n  numerator: a\n  denominator: b/settled\n  denominator_min: 5\n  condition: {gte: 0.5}\n",
        "11:16 `b` is no absence rule, so nothing of it settles",
    );
    check(
        "  type: ratio\n  numerator: a\n  denominator: b\n  denominator_min: 5\n  condition: {gte: 0.5, lt: 1}\n",
        "13:3 this type has one bound",
    );
    check(
        "  type: spike\n  rules: a\n  condition: {factr: 3}\n",
        "11:15 unknown key `factr` in a spike's condition",
    );
    check(
        "  type: spike\n  rules: a\n  condition: {factor: 0.5}\n",
        "11:23 `factor` must be 1 or more",
    );
    check(
        "  type: temporal\n  rules: [a]\n",
        "7:3 a temporal correlation needs several rules",
    );
    check(
        "  type: temporal\n  rules: [a, b]\n  condition: a and not b\n",
        "11:24 that a rule was not seen is known only by waiting",
    );
    check(
        "  type: temporal\n  rules: [a, b]\n  condition: {lte: 1}\n",
        "11:20 that few rules were seen is known only by waiting",
    );
    check(
        "  type: temporal\n  rules: [a, b]\n  condition: {gte: 3}\n",
        "11:20 the correlation has 2 rules",
    );
    check(
        "  type: temporal\n  rules: [a, b]\n  condition: a or c\n",
        "11:19 `c` is not among the rules of this correlation",
    );
    check(
        "  type: temporal_ordered\n  rules: [a, b]\n  condition: a or b\n",
        "11:3 a sequence needs all of its rules",
    );
    check(
        "  type: temporal\n  rules: [a, x]\n",
        "10:14 `x` refers to itself in the end",
    );
    check(
        "  type: event_count\n  condition: {gte: 3}\n",
        "7:3 the correlation names no rules",
    );
    check(
        "  type: event_count\n  rules: [a]\n  aggregates: {n: {type: event_count}}\n  condition: {n: {gte: 3}}\n",
        "9:9 `type` and `aggregates` exclude each other",
    );
    check(
        "  rules: [a]\n  aggregates: {n: {type: event_count}}\n  condition: {m: {gte: 3}, n: {gt: 1}}\n",
        "11:15 there is no aggregate `m`",
    );
    check(
        "  rules: [a]\n  aggregates: {n: {type: value_count}}\n  condition: {n: {gte: 3}}\n",
        "10:26 value_count does not say which field",
    );
    check(
        "  rules: [a]\n  aggregates: {n: {type: event_count, rule: b}}\n  condition: {n: {gte: 3}}\n",
        "10:45 `b` is not among the rules of this correlation",
    );
    check(
        "  rules: [a]\n  aggregates:\n    x: {type: value_count, field: f}\n    y: {type: value_count, field: g}\n    z: {type: value_sum, field: f}\n    v: {type: value_avg, field: g}\n    w: {type: value_count, field: h}\n  condition: {x: {gte: 3}}\n",
        "7:3 one window can read 4 different values",
    );
    check(
        "  type: value_count\n  rules: [a]\n  condition: {field: [a, b, c, d, e], gte: 3}\n",
        "11:22 a value is made of at most 4 fields",
    );
    check(
        "  type: value_sum\n  rules: [a]\n  condition: {field: [f, g], gte: 3}\n",
        "11:22 several fields together are no number",
    );
    check(
        "  type: spike\n  rules: a\n  condition: {factor: 3}\n  expected:\n    - {from: 2026-01-01T00:00:00Z, until: 2026-01-01T00:00:00Z, count_max: 5}\n",
        "13:7 the mass event ends before it begins",
    );
    check(
        "  type: spike\n  rules: a\n  condition: {factor: 3}\n  expected:\n    - {from: 2026-01-01T00:00:00Z, until: tomorrow, count_max: 5}\n",
        "13:43 `until` of a mass event must be a date and time",
    );
    check(
        "  type: spike\n  rules: a\n  condition: {factor: 3}\n  expected:\n    - {from: 2026-01-01T00:00:00Z, until: 2026-01-02T00:00:00Z, count_max: 5, key: {x: 1}}\n",
        "13:85 `x` is no field of `group-by`",
    );
    check(
        "  rules: [a]\n  aggregates: {n: {type: event_count}, m: {type: value_count, field: f}}\n  condition: {n: {gte: {aggregate: m, times: 2}}}\n",
        "11:3 the condition compares, and asks for no number",
    );
    check(
        "  rules: [a]\n  aggregates: {n: {type: event_count}}\n  condition: {n: {gte: {aggregate: o}}}\n",
        "11:36 there is no aggregate `o`",
    );
    let own = |more: &str| {
        format!(
            "title: x\nname: y\ndetection:\n  a: {{event.kind: x}}\n  b: {{event.kind: y}}\ncorrelation:\n  type: obligations\n{more}"
        )
    };
    for (text, want) in [
        (
            "  steps: [{rule: a}]\n",
            "8:3 obligations need a list of 2 to 16 `steps`",
        ),
        (
            "  steps: [{rule: a}, {rule: b}]\n",
            "8:24 the step does not say `within` what time",
        ),
        (
            "  steps: [{rule: a, within: 1m}, {rule: b, within: 1m}]\n",
            "8:23 the first step follows nothing, so it has no `within`",
        ),
        (
            "  timespan: 1m\n  steps: [{rule: a}, {rule: b, within: 1m}]\n",
            "8:3 `timespan` does not belong to obligations",
        ),
    ] {
        let got = files(&[("t.yml", &own(text))]);
        assert_eq!(
            messages(&got),
            [format!("t.yml:8: {}", want.split_once(' ').unwrap().1)]
        );
    }
    check(
        "  type: score\n  condition: {gte: 70}\n",
        "7:3 the score has no `weights`",
    );
    check(
        "  type: score\n  weights: {a: -1, b: 5}\n  condition: {gte: 3}\n",
        "10:16 a weight must be a number above 0, found `-1`",
    );
    check(
        "  type: score\n  weights: {a: 1, b: 5}\n  condition: {lte: 3}\n",
        "11:3 a score has a lower bound above 0",
    );
    check(
        "  type: new_value\n  rules: a\n",
        "7:3 the correlation has no `field`",
    );
    check(
        "  type: new_value\n  rules: a\n  field: f\n  within: 5m\n",
        "12:3 `within` without `count_min`",
    );
    check(
        "  type: new_value\n  rules: a\n  field: f\n  condition: {gte: 3}\n",
        "12:3 `condition` does not belong to new_value",
    );
    check(
        "  type: temporal\n  rules: [a, b]\n  aliases: {user.id: {a: user.email}}\n",
        "7:14 the alias `user.id` does not say which field of `b` it is",
    );
}

#[test]
fn circles_and_duplicates_across_documents() {
    let circle = "title: a\nname: a\ncorrelation: {type: event_count, rules: b, timespan: 1h, condition: {gt: 1}}\n---\ntitle: b\nname: b\ncorrelation: {type: event_count, rules: a, timespan: 1h, condition: {gt: 1}}\n";
    let got = files(&[("t.yml", circle)]);
    assert_eq!(messages(&got), ["t.yml:7: `a` refers to itself in the end"]);
    let got = files(&[("a.yml", FLOOD), ("b.yml", FLOOD)]);
    assert_eq!(messages(&got), ["b.yml:2: the id `abc` is taken"]);
    assert_eq!(
        got.diagnostics[0].hint.as_deref(),
        Some("choose another id; the first is at a.yml:1")
    );
    assert_eq!(got.plan.detectors.len(), 1);
}

#[test]
fn all_faults_at_once() {
    let text = FLOOD
        .replace("id: abc", "id: abc\nlevel: hihg")
        .replace("condition: selection", "condition: selektion")
        .replace("group-by", "group_by")
        .replace("gte: 10", "gte: ten");
    assert_eq!(files(&[("t.yml", &text)]).diagnostics.len(), 4);
}

/// A correlation that cannot be read does not hide what is wrong with the selections beside it.
#[test]
fn faults_of_every_part_of_a_document() {
    let text = FLOOD
        .replace("event.kind:", "event.kind|contians:")
        .replace("condition: selection", "condition: selektion")
        .replace("{gte: 10}", "{eq: 0}")
        .replace("timespan: 10m", "timespan: 10");
    let got = files(&[("t.yml", &format!("{text}---\ntitle: [1\n"))]);
    let lines: Vec<usize> = got.diagnostics.iter().map(|d| d.line).collect();
    assert_eq!(lines, [5, 6, 10, 11, 13], "{:?}", messages(&got));
}

/// A fault may follow from what a lint says: both are told.
#[test]
fn a_mistyped_group_is_told_beside_the_fault_it_causes() {
    let respond = "respond:\n  - {verb: block, target: source.ip, ttl: 1h}\n";
    let text = FLOOD.replace("[source.ip]", "[source.adress]") + respond;
    assert_eq!(
        messages(&files(&[("t.yml", &text)])),
        [
            "t.yml:9: `source.adress` is not a canonical field",
            "t.yml:13: `source.ip` is neither a group-by field nor in `fields`",
        ]
    );
}

#[test]
fn lints() {
    flood(
        "  condition: selection\n",
        "  spare: {user.id: x}\n  condition: selection\n",
        "6:3 lint: the selection `spare` is not used | use it in the condition, or remove it",
    );
    flood(
        "    event.kind: recovery.requested",
        "    event.kind: '*'",
        "5:17 lint: `*` alone matches every value | use `|exists: true`, or say which values",
    );
    flood(
        "    event.kind: recovery.requested",
        "    url.path|re: '.*reset.*'",
        "5:18 lint: a regex with much `.*` is slow and matches more than meant | a regex is searched anywhere: leave out `.*` at its ends, or use `|contains|all`",
    );
    for regex in ["(?s).*reset", "[\\s\\S]*reset"] {
        flood(
            "    event.kind: recovery.requested",
            &format!("    url.path|re: '{regex}'"),
            "5:18 lint: a regex with much `.*` is slow and matches more than meant | a regex is searched anywhere: leave out `.*` at its ends, or use `|contains|all`",
        );
    }
    flood(
        "    event.kind: recovery.requested",
        "    url.path|re: '.+'",
        "5:18 lint: the regex is found in every value that is not empty | say which values, or use `|exists: true`",
    );
    flood(
        "condition: selection",
        "condition: selection and not selection",
        "1:8 lint: the condition can never match | check which event.kind its parts ask for",
    );
    flood(
        "    event.kind: recovery.requested",
        "    event.knid: recovery.requested",
        "5:5 lint: `event.knid` is not a canonical field | did you mean `event.kind`?",
    );
    flood(
        "    event.kind: recovery.requested",
        "    event.kind: [recovery.requsted, custom.mine, 'token.*']",
        "5:18 lint: `recovery.requsted` is no event kind | did you mean `recovery.requested`?",
    );
    flood(
        "    event.kind: recovery.requested",
        "    event.kind: reset",
        "5:17 lint: `reset` is no event kind | kinds of your own begin with `custom.`",
    );
    flood(
        "    event.kind: recovery.requested",
        "    event.kind|all: recovery.requested",
        "5:5 lint: `|all` on a single value does nothing | remove `|all`",
    );
    flood(
        "[source.ip]",
        "[source.pi]",
        "9:14 lint: `source.pi` is not a canonical field | did you mean `source.ip`?",
    );
    flood(
        "condition: selection\n",
        "condition: selection or not selection\n  timeframe: 5m\n",
        "7:3 lint: `timeframe` has no effect on a single event | write a correlation with `timespan`",
    );
    flood(
        "    event.kind: recovery.requested",
        "    event.kind|all: [a, b]",
        "1:8 lint: the condition can never match | check which event.kind its parts ask for",
    );
    flood(
        "[source.ip]",
        "[customer]",
        "9:14 lint: `customer` is no canonical field and no selection reads it | events without it are not counted: check the name",
    );
    flood(
        "[source.ip]",
        "[user_agent.original]",
        "9:14 lint: whoever sends events chooses `user_agent.original` | group by what costs an attacker something (source.ip, user.target.id), count its values with value_count, or say `labels: {spoofable: 3}`",
    );
    flood(
        "  type: event_count\n  group-by: [source.ip]\n  timespan: 10m\n  condition: {gte: 10}\n",
        "  type: value_count\n  group-by: [source.ip]\n  timespan: 10m\n  condition: {field: source.ip, gte: 10}\n",
        "11:38 lint: `source.ip` has one value in each of its own groups | take it out of `group-by`, or count another field",
    );
    flood(
        "  type: event_count\n  group-by: [source.ip]\n  timespan: 10m\n  condition: {gte: 10}\n",
        "  type: value_count\n  group-by: [source.ip]\n  timespan: 10m\n  condition: {field: event.kind, gte: 2}\n",
        "11:39 lint: `event.kind` has at most 1 different value(s) here | the selections allow no others: lower the bound, or count another field",
    );
    flood(
        "    event.kind: recovery.requested",
        "    url.path|re: 'a*'",
        "5:18 lint: the regex matches an empty text, so it is found in every value | ask for at least one character, or use `|exists: true`",
    );
    flood(
        "[source.ip]",
        "[src_ip]",
        "9:14 lint: `src_ip` is not a canonical field | did you mean `source.ip`?",
    );
    flood(
        "[source.ip]",
        "[source.adress]",
        "9:14 lint: `source.adress` is not a canonical field | did you mean `source.ip`?",
    );
    flood(
        "  group-by: [source.ip]\n",
        "",
        "8:3 lint: the correlation has no `group-by`: it counts over everything | add `group-by: [source.ip]`, or `group-by: []` if that is meant",
    );
    flood(
        "id: abc",
        "id: abc\nfields: [foo.bar, source.ip]",
        "3:10 lint: `foo.bar` is no canonical field and no selection reads it | alerts have nothing to show for it: check the name",
    );
    flood(
        "id: abc",
        "id: abc\nmode: contain",
        "1:8 lint: mode contain without `respond` does nothing | add `respond:`, or use `mode: alert`",
    );
    flood(
        "  type: event_count\n  group-by: [source.ip]\n  timespan: 10m\n  condition: {gte: 10}\n",
        "  type: score\n  weights: {selection: 5}\n  group-by: []\n  timespan: 10m\n  condition: {gte: 10}\n",
        "12:3 lint: all evidence together does not reach this bound | lower the bound, raise a weight, or let evidence count more than `once`",
    );
    flood(
        "  type: event_count\n  group-by: [source.ip]\n  timespan: 10m\n  condition: {gte: 10}\n",
        "  type: new_value\n  field: source.ip\n  group-by: []\n  timespan: 10m\n",
        "8:3 lint: without `warmup` almost every value is new at first | add `warmup: 7d`: what is seen in that time is known from then on",
    );
    let file = SourceFile {
        path: "d/t.yml".into(),
        text: FLOOD.into(),
        ..SourceFile::default()
    };
    let got = compile(&[file], &Options::default());
    assert_eq!(
        messages(&got),
        [
            "d/t.yml:1: there is no runbook.md beside the file",
            "d/t.yml:1: there are no tests beside the file"
        ]
    );
    assert_eq!(got.plan.detectors[0].runbook, None);
}
