//! Country names as sources write them, to ISO 3166-1 alpha-2 codes.
//!
//! A fixed table over a normal form (lower-case letters only), so that spaces, commas and accents
//! of punctuation do not matter.

/// The code for a name; `None` if it is none. `normal` is scratch space.
pub(crate) fn code(text: &str, normal: &mut String) -> Option<&'static str> {
    let text = text.trim();
    normal.clear();
    for c in text.chars().take(80) {
        match c {
            '&' => normal.push_str("and"),
            c if c.is_alphabetic() => normal.extend(c.to_lowercase()),
            _ => {}
        }
    }
    let find = |name: &str| NAMES.binary_search_by(|(n, _)| (*n).cmp(name)).ok();
    let at = find(normal).or_else(|| find(normal.strip_prefix("the")?));
    at.and_then(|i| NAMES.get(i)).map(|(_, code)| *code)
}

/// Sorted by name.
#[rustfmt::skip]
const NAMES: &[(&str, &str)] = &[
    ("afghanistan", "AF"), ("alandislands", "AX"), ("albania", "AL"), ("algeria", "DZ"),
    ("americansamoa", "AS"), ("andorra", "AD"), ("angola", "AO"), ("anguilla", "AI"),
    ("antarctica", "AQ"), ("antiguaandbarbuda", "AG"), ("argentina", "AR"), ("armenia", "AM"),
    ("aruba", "AW"), ("australia", "AU"), ("austria", "AT"), ("azerbaijan", "AZ"),
    ("bahamas", "BS"), ("bahrain", "BH"), ("bangladesh", "BD"), ("barbados", "BB"),
    ("belarus", "BY"), ("belgium", "BE"), ("belize", "BZ"), ("benin", "BJ"), ("bermuda", "BM"),
    ("bhutan", "BT"), ("bolivia", "BO"), ("boliviaplurinationalstateof", "BO"),
    ("bonairesinteustatiusandsaba", "BQ"), ("bosnia", "BA"), ("bosniaandherzegovina", "BA"),
    ("botswana", "BW"), ("bouvetisland", "BV"), ("brazil", "BR"), ("britainuk", "GB"),
    ("britishindianoceanterritory", "IO"), ("britishvirginislands", "VG"), ("brunei", "BN"),
    ("bruneidarussalam", "BN"), ("bulgaria", "BG"), ("burkinafaso", "BF"), ("burma", "MM"),
    ("burundi", "BI"), ("caboverde", "CV"), ("cambodia", "KH"), ("cameroon", "CM"),
    ("canada", "CA"), ("capeverde", "CV"), ("caribbeannetherlands", "BQ"), ("caribbeannl", "BQ"),
    ("caymanislands", "KY"), ("centralafricanrep", "CF"), ("chad", "TD"), ("chile", "CL"),
    ("china", "CN"), ("christmasisland", "CX"), ("cocoskeelingislands", "CC"), ("colombia", "CO"),
    ("comoros", "KM"), ("congo", "CG"), ("congodemocraticrepublicofthe", "CD"),
    ("congodemrep", "CD"), ("congorep", "CG"), ("congorepublicof", "CG"),
    ("congothedemocraticrepublicofthe", "CD"), ("cookislands", "CK"), ("costarica", "CR"),
    ("cotedivoire", "CI"), ("croatia", "HR"), ("cuba", "CU"), ("curacao", "CW"), ("curaçao", "CW"),
    ("cyprus", "CY"), ("czechia", "CZ"), ("czechrepublic", "CZ"), ("côtedivoire", "CI"),
    ("democraticrepublicofthecongo", "CD"), ("denmark", "DK"), ("djibouti", "DJ"),
    ("dominica", "DM"), ("dominicanrepublic", "DO"), ("drcongo", "CD"), ("easttimor", "TL"),
    ("ecuador", "EC"), ("egypt", "EG"), ("elsalvador", "SV"), ("england", "GB"),
    ("equatorialguinea", "GQ"), ("eritrea", "ER"), ("estonia", "EE"), ("eswatini", "SZ"),
    ("eswatiniswaziland", "SZ"), ("ethiopia", "ET"), ("falklandislands", "FK"),
    ("faroeislands", "FO"), ("federatedstatesofmicronesia", "FM"), ("fiji", "FJ"),
    ("finland", "FI"), ("france", "FR"), ("frenchguiana", "GF"), ("frenchpolynesia", "PF"),
    ("frenchsouthernterritories", "TF"), ("frenchsterr", "TF"), ("gabon", "GA"), ("gambia", "GM"),
    ("georgia", "GE"), ("germany", "DE"), ("ghana", "GH"), ("gibraltar", "GI"),
    ("greatbritain", "GB"), ("greece", "GR"), ("greenland", "GL"), ("grenada", "GD"),
    ("guadeloupe", "GP"), ("guam", "GU"), ("guatemala", "GT"), ("guernsey", "GG"), ("guinea", "GN"),
    ("guineabissau", "GW"), ("guyana", "GY"), ("haiti", "HT"), ("hashemitekingdomofjordan", "JO"),
    ("heardislandandmcdonaldislands", "HM"), ("holland", "NL"), ("holysee", "VA"),
    ("honduras", "HN"), ("hongkong", "HK"), ("hungary", "HU"), ("iceland", "IS"), ("india", "IN"),
    ("indonesia", "ID"), ("iran", "IR"), ("iranislamicrepublicof", "IR"), ("iraq", "IQ"),
    ("ireland", "IE"), ("isleofman", "IM"), ("israel", "IL"), ("italy", "IT"), ("ivorycoast", "CI"),
    ("jamaica", "JM"), ("japan", "JP"), ("jersey", "JE"), ("jordan", "JO"), ("kazakhstan", "KZ"),
    ("kenya", "KE"), ("kingdomofsaudiarabia", "SA"), ("kiribati", "KI"), ("korea", "KR"),
    ("koreademocraticpeoplesrepublicof", "KP"), ("koreanorth", "KP"), ("korearepublicof", "KR"),
    ("koreasouth", "KR"), ("kosovo", "XK"), ("kuwait", "KW"), ("kyrgyzrepublic", "KG"),
    ("kyrgyzstan", "KG"), ("laopeoplesdemocraticrepublic", "LA"), ("laos", "LA"), ("latvia", "LV"),
    ("lebanon", "LB"), ("lesotho", "LS"), ("liberia", "LR"), ("libya", "LY"),
    ("libyanarabjamahiriya", "LY"), ("liechtenstein", "LI"), ("lithuania", "LT"),
    ("luxembourg", "LU"), ("macao", "MO"), ("macau", "MO"), ("macedonia", "MK"),
    ("madagascar", "MG"), ("malawi", "MW"), ("malaysia", "MY"), ("maldives", "MV"), ("mali", "ML"),
    ("malta", "MT"), ("marshallislands", "MH"), ("martinique", "MQ"), ("mauritania", "MR"),
    ("mauritius", "MU"), ("mayotte", "YT"), ("mexico", "MX"), ("micronesia", "FM"),
    ("micronesiafederatedstatesof", "FM"), ("moldova", "MD"), ("moldovarepublicof", "MD"),
    ("monaco", "MC"), ("mongolia", "MN"), ("montenegro", "ME"), ("montserrat", "MS"),
    ("morocco", "MA"), ("mozambique", "MZ"), ("myanmar", "MM"), ("myanmarburma", "MM"),
    ("namibia", "NA"), ("nauru", "NR"), ("nepal", "NP"), ("netherlands", "NL"),
    ("newcaledonia", "NC"), ("newzealand", "NZ"), ("nicaragua", "NI"), ("niger", "NE"),
    ("nigeria", "NG"), ("niue", "NU"), ("norfolkisland", "NF"), ("northernireland", "GB"),
    ("northernmarianaislands", "MP"), ("northkorea", "KP"), ("northmacedonia", "MK"),
    ("norway", "NO"), ("oman", "OM"), ("pakistan", "PK"), ("palau", "PW"), ("palestine", "PS"),
    ("palestinestateof", "PS"), ("palestinianterritory", "PS"), ("panama", "PA"),
    ("papuanewguinea", "PG"), ("paraguay", "PY"), ("peoplesrepublicofchina", "CN"), ("peru", "PE"),
    ("philippines", "PH"), ("pitcairn", "PN"), ("poland", "PL"), ("portugal", "PT"),
    ("puertorico", "PR"), ("qatar", "QA"), ("republicofkorea", "KR"), ("republicoflithuania", "LT"),
    ("republicofmoldova", "MD"), ("republicofthecongo", "CG"), ("reunion", "RE"), ("romania", "RO"),
    ("russia", "RU"), ("russianfederation", "RU"), ("rwanda", "RW"), ("réunion", "RE"),
    ("saintbarthelemy", "BL"), ("saintbarthélemy", "BL"), ("sainthelena", "SH"),
    ("saintkittsandnevis", "KN"), ("saintlucia", "LC"), ("saintmartin", "MF"),
    ("saintpierreandmiquelon", "PM"), ("saintvincentandthegrenadines", "VC"), ("samoa", "WS"),
    ("samoaamerican", "AS"), ("samoawestern", "WS"), ("sanmarino", "SM"),
    ("saotomeandprincipe", "ST"), ("saudiarabia", "SA"), ("scotland", "GB"), ("senegal", "SN"),
    ("serbia", "RS"), ("seychelles", "SC"), ("sierraleone", "SL"), ("singapore", "SG"),
    ("sintmaarten", "SX"), ("slovakia", "SK"), ("slovakrepublic", "SK"), ("slovenia", "SI"),
    ("solomonislands", "SB"), ("somalia", "SO"), ("southafrica", "ZA"),
    ("southgeorgiaandthesouthsandwichislands", "GS"), ("southkorea", "KR"), ("southsudan", "SS"),
    ("spain", "ES"), ("srilanka", "LK"), ("stateofpalestine", "PS"), ("stbarthelemy", "BL"),
    ("sthelena", "SH"), ("stkittsandnevis", "KN"), ("stlucia", "LC"), ("stmaartendutch", "SX"),
    ("stmartinfrench", "MF"), ("stpierreandmiquelon", "PM"), ("stvincent", "VC"),
    ("stvincentandgrenadines", "VC"), ("sudan", "SD"), ("suriname", "SR"),
    ("svalbardandjanmayen", "SJ"), ("swaziland", "SZ"), ("sweden", "SE"), ("switzerland", "CH"),
    ("syria", "SY"), ("syrianarabrepublic", "SY"), ("sãotoméandpríncipe", "ST"), ("taiwan", "TW"),
    ("taiwanprovinceofchina", "TW"), ("tajikistan", "TJ"), ("tanzania", "TZ"),
    ("tanzaniaunitedrepublicof", "TZ"), ("thailand", "TH"), ("thebahamas", "BS"),
    ("thegambia", "GM"), ("thenetherlands", "NL"), ("timorleste", "TL"), ("togo", "TG"),
    ("tokelau", "TK"), ("tonga", "TO"), ("trinidadandtobago", "TT"), ("tunisia", "TN"),
    ("turkey", "TR"), ("turkiye", "TR"), ("turkmenistan", "TM"), ("turksandcaicosis", "TC"),
    ("turksandcaicosislands", "TC"), ("tuvalu", "TV"), ("türkiye", "TR"), ("uae", "AE"),
    ("uganda", "UG"), ("uk", "GB"), ("ukraine", "UA"), ("unitedarabemirates", "AE"),
    ("unitedkingdom", "GB"), ("unitedstates", "US"), ("unitedstatesminoroutlyingislands", "UM"),
    ("unitedstatesofamerica", "US"), ("uruguay", "UY"), ("usa", "US"),
    ("usminoroutlyingislands", "UM"), ("usvirginislands", "VI"), ("uzbekistan", "UZ"),
    ("vanuatu", "VU"), ("vaticancity", "VA"), ("venezuela", "VE"),
    ("venezuelabolivarianrepublicof", "VE"), ("vietnam", "VN"), ("virginislandsbritish", "VG"),
    ("virginislandsuk", "VG"), ("virginislandsus", "VI"), ("wales", "GB"),
    ("wallisandfutuna", "WF"), ("westernsahara", "EH"), ("yemen", "YE"), ("zambia", "ZM"),
    ("zimbabwe", "ZW"), ("ålandislands", "AX"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes() {
        assert!(NAMES.is_sorted());
        for (text, want) in [
            ("United States", Some("US")),
            ("USA", Some("US")),
            ("The Netherlands", Some("NL")),
            ("Korea, Republic of", Some("KR")),
            ("Côte d'Ivoire", Some("CI")),
            ("Türkiye", Some("TR")),
            ("Germany", Some("DE")),
            ("Trinidad & Tobago", Some("TT")),
            ("Atlantis", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(code(text, &mut String::new()), want, "{text}");
        }
    }
}
