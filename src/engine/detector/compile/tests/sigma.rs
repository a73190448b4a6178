//! Public Sigma documents, unmodified in form: they load, and mean what their authors meant.

use super::*;

/// The example that closes the specification of correlation rules.
pub(super) const FAILED_LOGINS: &str = "\
title: Correlation - Multiple Failed Logins Followed by Successful Login
id: b180ead8-d58f-40b2-ae54-c8940995b9b6
status: experimental
description: Detects multiple failed logins by a single user followed by a successful login of that user
references:
    - https://reference.com
author: Florian Roth (Nextron Systems)
date: 2023-06-16
correlation:
    type: temporal_ordered
    rules:
        - multiple_failed_login
        - successful_login
    group-by:
        - User
    timespan: 10m
falsepositives:
    - Unlikely
level: high
---
title: Multiple failed logons
id: a8418a5a-5fc4-46b5-b23b-6c73beb19d41
description: Detects multiple failed logins within a certain amount of time
name: multiple_failed_login
correlation:
    type: event_count
    rules:
        - failed_login
    group-by:
        - User
    timespan: 10m
    condition:
        gte: 10
---
title: Single failed login
id: 53ba33fd-3a50-4468-a5ef-c583635cfa92
name: failed_login
logsource:
    product: windows
    service: security
detection:
    selection:
        EventID:
            - 529
            - 4625
    condition: selection
---
title: Successful login
id: 4d0a2c83-c62c-4ed4-b475-c7e23a9269b8
description: Detects a successful login
name: successful_login
logsource:
    product: windows
    service: security
detection:
    selection:
        EventID:
            - 528
            - 4624
    condition: selection
";

#[test]
fn the_specifications_correlation_example() {
    let plan = clean(FAILED_LOGINS);
    assert_eq!(plan.detectors.len(), 4);
    let alerting: Vec<&str> = plan
        .detectors
        .iter()
        .filter(|d| plan.rules[d.rule].alerts)
        .map(|d| d.id.as_str())
        .collect();
    assert_eq!(alerting, ["b180ead8-d58f-40b2-ae54-c8940995b9b6"]);
    let top = rule(
        &plan,
        "correlation-multiple-failed-logins-followed-by-successful-login",
    );
    assert!(matches!(top.kind, Kind::Temporal { ordered: true, .. }));
    assert_eq!(
        top.inputs[0].from,
        From::Rule(index(&plan, "multiple_failed_login"))
    );
}

#[test]
fn value_count_with_its_field() {
    let plan = clean(
        "title: Failed login\nid: 0e95725d-7320-415d-80f7-004da920fc12\ncorrelation:\n    type: value_count\n    rules:\n        - fail\n    group-by:\n        - ComputerName\n        - WorkstationName\n    timespan: 1d\n    condition:\n        field: User\n        gte: 100\n---\ntitle: Fail\nname: fail\nlogsource: {product: windows}\ndetection:\n    selection:\n        EventID: 4625\n    condition: selection\n",
    );
    let rule = rule(&plan, "failed-login");
    let Kind::Window { aggregates, bounds } = &rule.kind else {
        panic!()
    };
    assert_eq!(
        aggregates[0].fields.first().map(|f| plan.fields.name(*f)),
        Some("User")
    );
    assert_eq!(
        (bounds[0].op, bounds[0].value, rule.timespan),
        (Op::Gte, 100.0, Span::hours(24))
    );
}

#[test]
fn ranges_and_temporal_conditions_that_say_the_same() {
    let counted = FAILED_LOGINS.replace("        gte: 10\n", "        gt: 100\n        lte: 200\n");
    let plan = clean(&counted);
    let Kind::Window { bounds, .. } = &rule(&plan, "multiple_failed_login").kind else {
        panic!()
    };
    assert_eq!(bounds.len(), 2);
    for condition in ["{gte: 2}", "multiple_failed_login and successful_login"] {
        let with = format!("    timespan: 10m\n    condition: {condition}\nfalsepositives:");
        clean(&FAILED_LOGINS.replace("    timespan: 10m\nfalsepositives:", &with));
    }
}

/// Rules in the forms the public collection uses, for the products we have and others.
#[test]
fn rules_of_the_public_collections_forms() {
    for text in [
        "title: Okta User Account Locked Out\nid: 14701da0-4b0f-4ee6-9c95-2ffb4e73bb9a\nstatus: test\ndescription: Detects when an user account is locked out.\nreferences:\n    - https://developer.okta.com/docs/reference/api/system-log/\nauthor: Austin Songer @austinsonger\ndate: 2021-09-12\nmodified: 2022-10-09\ntags:\n    - attack.impact\n    - attack.t1531\nlogsource:\n    product: okta\n    service: okta\ndetection:\n    selection:\n        displaymessage: Max sign in attempts exceeded\n    condition: selection\nfalsepositives:\n    - Unknown\nlevel: medium\n",
        "title: Okta Suspicious Activity Reported by End-user\nid: 07e97cc6-aed1-43ae-9081-b3470d2367f1\nlogsource:\n    product: okta\n    service: okta\ndetection:\n    selection:\n        eventtype: 'user.account.report_suspicious_activity_by_enduser'\n    condition: selection\nlevel: high\n",
        "title: AWS SES Messages Sent Enumeration\nlogsource:\n    product: aws\n    service: cloudtrail\ndetection:\n    selection:\n        eventSource: 'ses.amazonaws.com'\n        eventName|startswith:\n            - 'Get'\n            - 'List'\n    filter_main_internal:\n        userIdentity.arn|contains: ':assumed-role/'\n    condition: selection and not 1 of filter_main_*\nlevel: low\n",
        "title: Linux Keywords\nlogsource:\n    product: linux\n    service: auditd\ndetection:\n    keywords:\n        - 'failed - illegal user'\n        - 'PAM: authentication *'\n    condition: keywords\nsimulation:\n    - type: atomic-red-team\nregression_tests_path: regression_data/x/info.yml\n",
        "title: Encoded IEX\nlogsource:\n    category: process_creation\n    product: windows\ndetection:\n    selection_img:\n        - Image|endswith:\n              - '\\powershell.exe'\n              - '\\pwsh.exe'\n        - OriginalFileName:\n              - 'PowerShell.EXE'\n              - 'pwsh.dll'\n    selection_cli:\n        - CommandLine|base64offset|contains:\n              - 'IEX (['\n              - 'iex (['\n        - CommandLine|wide|base64offset|contains: 'IEX (New'\n        - CommandLine|windash|contains|all:\n              - ' -enc '\n              - 'aQBlAHgA'\n    filter_optional_x:\n        ParentImage: null\n    condition: all of selection_* and not 1 of filter_optional_*\nlevel: high\n",
        "title: Custom fields of one's own\nlogsource: {category: webserver}\ndetection:\n    selection:\n        cs-uri-query|re: '(?:union|select)\\s'\n    condition: selection\n",
        "title: Either condition\nlogsource: {product: github, service: audit}\ndetection:\n    a: {action: 'org.disable_two_factor_requirement'}\n    b: {action|startswith: 'repo.'}\n    condition:\n        - a\n        - b\n",
    ] {
        let got = files(&[("t.yml", text)]);
        assert!(!got.has_faults(), "{text}\n{:?}", got.diagnostics);
        assert_eq!(got.plan.detectors.len(), 1);
        assert!(got.diagnostics.is_empty(), "{:?}", got.diagnostics);
    }
}
