//! Secrets files as pppd reads them.

use std::net::Ipv4Addr;

use super::*;

fn parse(text: &str) -> (Secrets, Diagnostics) {
    Secrets::parse(Path::new("chap-secrets"), text.as_bytes())
}

fn text(secret: &EntrySecret) -> String {
    match secret {
        EntrySecret::Password(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        EntrySecret::NtHash(hash) => format!("NT {:02x?}", &hash[..2]),
        EntrySecret::System => "PAM's".to_owned(),
    }
}

fn secret_of(secrets: &Secrets, client: &str, server: &str) -> Option<String> {
    let found = secrets.lookup(client.as_bytes(), server.as_bytes(), &mut Vec::new());
    found.map(|(_, secret)| text(&secret))
}

#[test]
fn the_best_match_wins_and_of_equals_the_first() {
    let (secrets, said) =
        parse("* * any *\nscott * s1 *\n* pptpd s2 *\nscott pptpd s3 *\nscott pptpd s4 *\n");
    assert_eq!(secret_of(&secrets, "scott", "pptpd").unwrap(), "s3");
    assert_eq!(secret_of(&secrets, "scott", "other").unwrap(), "s1");
    assert_eq!(secret_of(&secrets, "lulu", "pptpd").unwrap(), "s2");
    assert_eq!(secret_of(&secrets, "lulu", "other").unwrap(), "any");
    assert!(secrets.find(b"Scott", b"pptpd").unwrap().client == b"*");
    assert!(said.render().contains("chap-secrets:5:1: warning"), "{}", said.render());
}

#[test]
fn a_star_is_a_wildcard_even_in_quotes() {
    let (secrets, _) = parse("\"*\" '*' any *\n");
    assert_eq!(secret_of(&secrets, "anybody", "anything").unwrap(), "any");
}

#[test]
fn quotes_and_escapes_make_any_password() {
    let (secrets, said) = parse(
        "\"DOM\\\\scott\" * \"two words\" *\nlulu * h\\#sh#note\nmoe * '\"' *\nö * \"päss wörd\" *\n",
    );
    assert!(said.0.is_empty(), "{}", said.render());
    assert_eq!(secret_of(&secrets, "DOM\\scott", "x").unwrap(), "two words");
    assert_eq!(secret_of(&secrets, "lulu", "x").unwrap(), "h#sh");
    assert_eq!(secret_of(&secrets, "moe", "x").unwrap(), "\"");
    assert_eq!(secret_of(&secrets, "ö", "x").unwrap(), "päss wörd");
}

#[test]
fn windows_line_ends_do_no_harm() {
    let (secrets, said) = parse("scott pptpd turquoise\r\nlulu pptpd good *\r\n");
    assert!(said.0.is_empty());
    assert_eq!(secret_of(&secrets, "scott", "pptpd").unwrap(), "turquoise");
    assert!(secrets.find(b"scott", b"pptpd").unwrap().addresses.0.is_empty());
}

#[test]
fn a_broken_line_harms_only_itself_and_shows_no_secret() {
    let (secrets, said) = parse("scott pptpd \"hidden\nlulu pptpd good *\nshort line\n");
    assert_eq!(secret_of(&secrets, "lulu", "pptpd").unwrap(), "good");
    assert_eq!(secrets.len(), 1);
    assert_eq!(said.0.len(), 2);
    let text = said.render();
    assert!(text.contains("chap-secrets:1:13") && text.contains("chap-secrets:3:1"), "{text}");
    assert!(!text.contains("hidden"));
    assert!(!format!("{secrets:?}").contains("good"));
}

#[test]
fn a_secret_of_256_bytes_is_the_longest() {
    let (secrets, said) = parse(&format!("a * {} *\nb * {} *\n", "x".repeat(256), "y".repeat(257)));
    assert_eq!(secret_of(&secrets, "a", "s").unwrap().len(), 256);
    assert_eq!(secret_of(&secrets, "b", "s"), None);
    assert!(said.render().contains("too long"));
}

#[test]
fn an_nt_hash_is_marked_and_anything_else_is_a_password() {
    let hash = "8846f7eaee8fb117ad06bdd830b7586c";
    let (secrets, said) = parse(&format!(
        "a * {{nt}}{hash} *\nb * {{NT}}{} *\nc * {{nt}}oops *\n",
        hash.to_uppercase()
    ));
    assert_eq!(secret_of(&secrets, "a", "s").unwrap(), "NT [88, 46]");
    assert_eq!(secret_of(&secrets, "b", "s").unwrap(), "NT [88, 46]");
    assert_eq!(secret_of(&secrets, "c", "s").unwrap(), "{nt}oops");
    assert_eq!(said.0.len(), 1);
    assert!(!said.render().contains("oops"));
}

#[test]
fn an_indirect_secret_is_the_first_word_of_its_file_and_is_passed_over_without_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, "# of scott\nturquoise and more\n").unwrap();
    let (secrets, _) = parse(&format!("scott pptpd @{} *\nscott * other *\n", path.display()));
    assert_eq!(secret_of(&secrets, "scott", "pptpd").unwrap(), "turquoise");
    std::fs::remove_file(&path).unwrap();
    let mut remarks = Vec::new();
    let (_, secret) = secrets.lookup(b"scott", b"pptpd", &mut remarks).unwrap();
    assert_eq!(text(&secret), "other");
    assert!(remarks[0].contains("can't open indirect secret file"), "{remarks:?}");
}

#[test]
fn the_rest_of_a_password_that_is_not_quoted_is_not_shown() {
    let (secrets, said) = parse("scott pptpd pass wörd hunter2 *\n");
    let text = said.render();
    assert!(text.contains("chap-secrets:1:18") && text.contains("quote a secret"), "{text}");
    let mut remarks = Vec::new();
    secrets.find(b"scott", b"pptpd").unwrap().rules(&|_| None, &mut remarks);
    assert!(remarks[0].contains("line 1"), "{remarks:?}");
    assert!(!text.contains("wörd") && !remarks[0].contains("hunter2"));
}

#[test]
fn words_behind_a_star_or_that_are_no_addresses_do_not_count() {
    let (secrets, said) = parse("a * x 10.0.0.1 * !10.0.0.1\nb * x 10.0.0.0/99 10.0.0.2\n");
    assert_eq!(secrets.find(b"a", b"s").unwrap().addresses.0.len(), 2);
    assert_eq!(secrets.find(b"b", b"s").unwrap().addresses.0.len(), 1);
    assert!(said.render().contains("chap-secrets:2:7"), "{}", said.render());
}

#[test]
fn options_behind_two_dashes_override_those_of_the_files() {
    let (secrets, said) =
        parse("a * x 10.0.0.1 -- mtu 1300 ms-dns 10.0.0.9 idle 60 :10.0.0.7\nb * x * -- mtuu 1\n");
    let entry = secrets.find(b"a", b"s").unwrap();
    assert!(entry.has_options());
    assert_eq!(entry.addresses.0.len(), 1);
    let base = crate::PppOptions {
        idle: Some(5),
        mru: Some(1450),
        remote: Some(Ipv4Addr::LOCALHOST),
        ..Default::default()
    };
    let (options, said_again) = entry.options(&base, Path::new("chap-secrets"), &|_| None);
    assert_eq!((options.mtu, options.mru, options.idle), (Some(1300), Some(1450), Some(60)));
    assert_eq!(options.remote, Some(Ipv4Addr::new(10, 0, 0, 7)));
    assert!(!said_again.has_errors());
    assert!(said.render().contains("chap-secrets:2:12: warning: \"mtuu\""), "{}", said.render());
    assert!(said.0.iter().all(|diagnostic| diagnostic.text.is_none()));
}

#[test]
fn a_login_among_a_hundred_thousand_users_looks_at_its_own_lines_only() {
    let mut text = String::new();
    for user in 0..100_000 {
        text.push_str(&format!("user{user} pptpd secret{user} *\n"));
    }
    let (secrets, diagnostics) = parse(&text);
    assert!(diagnostics.0.is_empty());
    assert_eq!(secrets.len(), 100_000);
    assert_eq!(secrets.by_client[&b"user99999"[..]].len(), 1);
    assert_eq!(secret_of(&secrets, "user99999", "pptpd").unwrap(), "secret99999");
}
