//! Published vectors: RFC 2433, RFC 2759, RFC 3079, RFC 6229, and responses other programs' tests have.

use crypto::mppe::{KeySchedule, MasterKeys, StartKey, Strength};
use crypto::mschap::{v1, v2};
use crypto::rc4::Rc4;
use crypto::{NtHash, Password, Secret, chap_md5};

fn hex<const N: usize>(text: &str) -> [u8; N] {
    hex_vec(text).try_into().expect("length of a vector")
}

fn hex_vec(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits"))
        .collect()
}

fn nt_hash(password: &str) -> NtHash {
    NtHash::of(&Password::from(password))
}

#[test]
fn rfc_2759_section_9_2() {
    let authenticator = hex("5B5D7C7D7B3F2F3E3C2C602132262628");
    let peer = hex("21402324255E262A28295F2B3A337C7E");
    let hash = nt_hash("clientPass");
    assert_eq!(hash.as_bytes(), &hex("44EBBA8D5312B8D611474411F56989AE"));
    for user in [b"User".as_slice(), b"DOMAIN\\User"] {
        assert_eq!(v2::challenge_hash(&peer, &authenticator, user), hex("D02E4386BCE91226"));
        let response = v2::Response::new(&hash, user, &authenticator, peer);
        assert_eq!(response.nt_response, hex("82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF"));
        let verified = v2::verify(&hash, user, &authenticator, &response.to_bytes());
        let verified = verified.expect("a right response");
        assert_eq!(&verified.authenticator_response, b"S=407A5589115FD0D6209F510FE9C04566932CDA56");
    }
}

#[test]
fn both_ends_of_ms_chap_v2_derive_the_same_keys() {
    let (authenticator, hash) = ([7; 16], nt_hash("pässword"));
    let response = v2::Response::new(&hash, b"user", &authenticator, [9; 16]);
    let server = v2::verify(&hash, b"user", &authenticator, &response.to_bytes()).expect("right");
    let mut message = server.authenticator_response.to_vec();
    message.extend_from_slice(b" M=Welcome");
    let client = response
        .check_success(&hash, b"user", &authenticator, &message)
        .expect("the server's proof is right");
    let (server, client) = (
        server.keys.start_keys(true, Strength::Bits128),
        client.start_keys(false, Strength::Bits128),
    );
    assert_eq!(server.send.as_bytes(), client.receive.as_bytes());
    assert_eq!(server.receive.as_bytes(), client.send.as_bytes());
    assert_ne!(server.send.as_bytes(), server.receive.as_bytes());
}

#[test]
fn a_wrong_ms_chap_v2_response_is_refused() {
    let (authenticator, hash) = ([7; 16], nt_hash("password"));
    let response = v2::Response::new(&hash, b"user", &authenticator, [9; 16]);
    let good = response.to_bytes();
    assert!(v2::verify(&hash, b"user", &authenticator, &good).is_some());
    for at in (0..16).chain(24..48) {
        let mut bad = good;
        bad[at] ^= 1;
        assert!(v2::verify(&hash, b"user", &authenticator, &bad).is_none(), "byte {at}");
    }
    assert!(v2::verify(&hash, b"USER", &authenticator, &good).is_none());
    assert!(v2::verify(&nt_hash("Password"), b"user", &authenticator, &good).is_none());
    assert!(v2::verify(&hash, b"user", &authenticator, &good[..48]).is_none());
    assert!(v2::verify(&hash, b"user", &authenticator, &[]).is_none());
}

#[test]
fn a_server_without_the_secret_fails_the_clients_check() {
    let (authenticator, hash) = ([7; 16], nt_hash("password"));
    let response = v2::Response::new(&hash, b"user", &authenticator, [9; 16]);
    let check = |message: &[u8]| response.check_success(&hash, b"user", &authenticator, message);
    let server = v2::verify(&hash, b"user", &authenticator, &response.to_bytes()).expect("right");
    let good = server.authenticator_response;
    assert!(check(&good).is_some());
    assert!(check(&good.to_ascii_lowercase()).is_some());
    let mut bad = good;
    bad[41] ^= 1;
    assert!(check(&bad).is_none());
    assert!(check(&good[..41]).is_none());
    assert!(check(b"").is_none());
    assert!(check(b"S=").is_none());
}

/// Authenticator challenge, peer challenge, NT response, user, password.
#[rustfmt::skip]
const MS_CHAP_V2: &[[&str; 5]] = &[
    ["4c092fd3fd98236502e8591100046326", "6a4915d0ce61d42be533640a75391925", "b912ce522524d33123a982cf330a57f8e953fa7974042b5d", "1111", "2222"],
    ["d07054459a1fdbc266a006f0220e6fac", "3545cb1d89b507a5de104435e81b14a4", "33c8331a9b03b7e003f09dd253d740a2bead544143cc8bde", "testuser1", "Cricket8"],
    ["56d64cbe7bad61349a0b752335100eaf", "7f8a466cff2a6bf0c80218bbf56d76bc", "d7d829d9545cef1d631b4e568ffb7586050fa3a4d02dbc0b", "domain\\fred", "OMG!BBQ!11!one"],
    ["b3c42db475b881d3c52ff3923d7b3bf8", "6321f8649b971bd11ce8d5cb22a4a738", "f07c7a4eb391f5debe32d814679a5a69661b86b33227c4f8", "WorkGroup\\bOb", "asdblahblahblahblahblahblahblahblah"],
    ["d94e7c7972b2376b28c268583e162de7", "0677ca7318fd7f65ae1b4f58c9f4f400", "eba25a3b04d2c7085d01f842e2befc91745c40db0f792356", "lameuser", ""],
    ["77ac2d4c312a6afeb9d176b4dd1d1a1d", "3413168381f74b7b28e6088bd7a50de9", "6295b2143995f9f658691977ef12798910ff2973b5b513ba", "test", "superSecretPassword"],
    ["d5717d58e9fb9cf42dbb0c1a8adf9879", "279cb411494d5a84cdf2d2ee36fb5cdd", "f5e471ecb559a9f7c69a708b12e7a86dd2fef9ab3f2aed0a", "test", "superSecretPassword"],
    ["16d2833f4239256dd2b2bb26f2ecb2a3", "502feeee9495a353cddbd1efc4007282", "e866286bb30d0215ed16cf425b6a29d206667a9853e23ca4", "example\\john", "secret"],
    ["258d4fc024f111512d0b61f9c375aee1", "abfe01e6c759850155b4d8d6258cdb67", "1c93abce815400686baeca315f348469256420598a73ad49", "moxie", "bPCFyF2uL1p5Lg5yrKmqmY"],
];

#[test]
fn ms_chap_v2_responses_of_other_programs() {
    for [authenticator, peer, response, user, password] in MS_CHAP_V2 {
        let got =
            v2::nt_response(&hex(authenticator), &hex(peer), user.as_bytes(), &nt_hash(password));
        assert_eq!(got, hex(response), "{user}");
    }
}

#[test]
fn rfc_2433_appendix_b_2() {
    let password = Password::from("MyPw");
    let challenge = hex("102DB5DF085D3041");
    assert_eq!(NtHash::of(&password).as_bytes(), &hex("FC156AF7EDCD6C0EDDE3337D427F4EAC"));
    assert_eq!(*v1::lm_hash(&password), hex("75BA30198E6D1975AAD3B435B51404EE"));
    let nt = hex("4E9D3C8F9CFD385D5BF4D3246791956CA4C351AB409A3D61");
    assert_eq!(v1::nt_response(&challenge, &NtHash::of(&password)), nt);
    let lm = hex("91881D0152AB0C33C524135EC24A95EE64E23CDC2D33347D");
    assert_eq!(v1::lm_response(&challenge, &password), lm);
}

#[test]
fn ms_chap_v1_responses_of_other_programs() {
    for (password, challenge, response) in [
        ("bob", "b9634adc358b2ab3", "7a42408782f745ef90a86fd21b0d9294132750f4af66a419"),
        ("supersecret", "696bcaff8f8bef29", "16c32819add27b3d29f6866506e6cc6548f50b6429518579"),
        ("FooBarGerg", "1122334455667788", "35B62750E1B9B3205C50D6BA351092C12A1B9B3CDC65D44A"),
    ] {
        assert_eq!(v1::nt_response(&hex(challenge), &nt_hash(password)), hex(response));
    }
    assert_eq!(v1::lm_hash(&Password::from("bob"))[..8], hex::<8>("4318b176c3d8e3de"));
}

#[test]
fn the_lm_response_counts_only_when_asked_for() {
    let password = Password::from("MyPw");
    let challenge = hex("102DB5DF085D3041");
    let mut value = v1::respond(&challenge, &NtHash::of(&password));
    let secret = Secret::from(password.clone());
    assert!(v1::verify(&secret, &challenge, &value, false).is_some());

    value[..24].copy_from_slice(&v1::lm_response(&challenge, &password));
    value[48] = 0;
    assert!(v1::verify(&secret, &challenge, &value, false).is_none());
    assert!(v1::verify(&secret, &challenge, &value, true).is_some());
    let hash_only = Secret::from(NtHash::of(&password));
    assert!(v1::verify(&hash_only, &challenge, &value, true).is_none());
    value[0] ^= 1;
    assert!(v1::verify(&secret, &challenge, &value, true).is_none());

    value[48] = 1;
    assert!(v1::verify(&hash_only, &challenge, &value, false).is_some());
    value[24] ^= 1;
    assert!(v1::verify(&secret, &challenge, &value, true).is_none());
    assert!(v1::verify(&secret, &challenge, &value[..48], true).is_none());
}

#[test]
fn weak_keys_after_ms_chap_v1_need_the_password() {
    let password = Password::from("clientPass");
    let full = v1::master_keys(&password.clone().into(), &[1; 8]);
    let hash_only = v1::master_keys(&NtHash::of(&password).into(), &[1; 8]);
    for strength in [Strength::Bits40, Strength::Bits56] {
        assert!(full.supports(strength));
        assert!(!hash_only.supports(strength));
    }
    assert!(hash_only.supports(Strength::Bits128));
    assert_eq!(
        full.start_keys(true, Strength::Bits128).send.as_bytes(),
        hash_only.start_keys(false, Strength::Bits128).receive.as_bytes()
    );
}

#[test]
fn rfc_3079_section_2_5_keys_after_ms_chap_v1() {
    let password = Password::from("clientPass");
    assert_eq!(*v1::lm_hash(&password), hex("76A152936096D7830E2390227404AFD2"));
    let keys = v1::master_keys(&password.into(), &hex("102DB5DF085D3041"));
    for (strength, session) in [
        (Strength::Bits40, "D1269E538CEC4A08"),
        (Strength::Bits56, "D10801538CEC4A08"),
        (Strength::Bits128, "59D159BC09F76F1DA2A86A28FFEC0B1E"),
    ] {
        let start = keys.start_keys(true, strength);
        assert_eq!(start.send.as_bytes(), start.receive.as_bytes());
        let schedule = KeySchedule::new(start.send, strength);
        assert_eq!(schedule.current().as_bytes(), hex_vec(session), "{strength:?}");
    }
    let start = keys.start_keys(true, Strength::Bits128).send;
    assert_eq!(start.as_bytes(), &hex("A8947850CFC0ACC1D1789FB62DDCDDB0"));
}

#[test]
fn rfc_3079_section_3_5_keys_after_ms_chap_v2() {
    let response = hex("82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF");
    let keys = MasterKeys::from_v2(&nt_hash("clientPass"), &response);
    let server = keys.start_keys(true, Strength::Bits128);
    assert_eq!(server.send.as_bytes(), &hex("8B7CDC149B993A1BA118CB153F56DCCB"));
    assert_eq!(server.receive.as_bytes(), &hex("D5F0E9521E3EA9589645E86051C82226"));
    for (strength, session, sealed, first_stateless) in [
        (Strength::Bits40, "D1269EC49FA62E3E", "929137917E5803D668D75898", "D1269ECE4D98D181"),
        (Strength::Bits56, "D15C00C49FA62E3E", "3F106833FA448DA842BC57B8", "D16182A2AB481407"),
        (
            Strength::Bits128,
            "405CB2247A7956E6E211007AE27B22D4",
            "81848317DF68846272FB5ABE",
            "726F10500E2B54135B1B74D7682F0471",
        ),
    ] {
        let mut schedule = KeySchedule::new(server.send.clone(), strength);
        assert_eq!(schedule.current().as_bytes(), hex_vec(session), "{strength:?}");
        let mut text = *b"test message";
        schedule.current().cipher().apply(&mut text);
        assert_eq!(text, hex(sealed), "{strength:?}");
        assert_eq!(schedule.next().as_bytes(), hex_vec(first_stateless), "{strength:?}");
    }
}

#[test]
fn start_keys_of_real_connections() {
    for (password, response, to_server, to_client) in [
        (
            "password",
            "ed8cc90fd40faa2d6bcd0abd0b1f562fd777df6c5609c98b",
            "f47f7460117d0275ea0af343fcd3092f",
            "f8976abc688240fb20b9ea35db70affb",
        ),
        (
            "turquoise",
            "565fe2492fd5fb88edaec934c00d282c046227406c31609b",
            "01118ae7c6d7a768ceeddc8d484ceaf9",
            "f4a91354e1957d8ff2fb619f2e194a5a",
        ),
        (
            "bPCFyF2uL1p5Lg5yrKmqmY",
            "1c93abce815400686baeca315f348469256420598a73ad49",
            "42d23ad718c57f3e9ab443c25a020f9e",
            "7e9154aa0edf3c8dae01cedf6dc6e06e",
        ),
    ] {
        let keys = MasterKeys::from_v2(&nt_hash(password), &hex(response));
        let client = keys.start_keys(false, Strength::Bits128);
        assert_eq!(client.send.as_bytes(), &hex(to_server));
        assert_eq!(client.receive.as_bytes(), &hex(to_client));
    }
}

#[test]
fn chap_md5_responses_of_other_programs() {
    for (id, challenge, response, password) in [
        (0, "cc7e5247514551acdcbf782c4027bfb1", "fdfdad5277812ae40956a66f3db23308", "password"),
        (0, "e270954e7d84f99535dce2e5d7340a7d", "4d64f587c7b5248406b939e1e9abeb74", "bar"),
        (238, "98437c9fd4cb5f446202c0b1ffab2592", "050d578a292a4bfd9f030d2797919687", "hello"),
        (2, "d7ec2fff2ada437f9dcd4e3b0df44d50", "1ffc6c2659bc5bb94144fd01eb756e37", "beaVIs"),
        (1, "266b0e9a58322f4d01ab25b35f879464", "c9f9769597e320843f5f2af7b8f1c9bd", "S0cc3r"),
    ] {
        let (password, challenge) = (Password::from(password), hex_vec(challenge));
        let mut response = hex_vec(response);
        assert_eq!(chap_md5::response(id, &password, &challenge).as_slice(), response);
        assert!(chap_md5::verify(id, &password, &challenge, &response));
        assert!(!chap_md5::verify(id, &password, &challenge, &response[..15]));
        assert!(!chap_md5::verify(id.wrapping_add(1), &password, &challenge, &response));
        response[15] ^= 0x80;
        assert!(!chap_md5::verify(id, &password, &challenge, &response));
    }
}

#[test]
fn rc4_encrypts_the_classic_texts() {
    for (key, text, sealed) in [
        ("Key", "Plaintext", "BBF316E8D940AF0AD3"),
        ("Wiki", "pedia", "1021BF0420"),
        ("Secret", "Attack at dawn", "45A01F645FC35B383552544B9BF5"),
    ] {
        let mut bytes = text.as_bytes().to_vec();
        Rc4::new(key.as_bytes()).apply(&mut bytes);
        assert_eq!(bytes, hex_vec(sealed));
    }
}

#[test]
fn rfc_6229_key_streams() {
    for (key, at, stream) in [
        ("0102030405", 0, "b2396305f03dc027ccc3524a0a1118a8"),
        ("0102030405", 16, "6982944f18fc82d589c403a47a0d0919"),
        ("0102030405060708", 0, "97ab8a1bf0afb96132f2f67258da15a8"),
        ("0102030405060708090a0b0c0d0e0f10", 0, "9ac7cc9a609d1ef7b2932899cde41b97"),
        ("0102030405060708090a0b0c0d0e0f10", 16, "5248c4959014126a6e8a84f11d1a9e1c"),
    ] {
        let mut bytes = vec![0; at + 16];
        Rc4::new(&hex_vec(key)).apply(&mut bytes);
        assert_eq!(bytes[at..], hex_vec(stream), "key {key}");
    }
}

#[test]
fn rc4_gives_one_stream_however_it_is_cut() {
    let mut whole = [0u8; 300];
    Rc4::new(b"key").apply(&mut whole);
    for cut in [0, 1, 7, 8, 9, 63, 255, 300] {
        let mut parts = [0u8; 300];
        let mut cipher = Rc4::new(b"key");
        let (first, second) = parts.split_at_mut(cut);
        cipher.apply(first);
        cipher.apply(second);
        assert_eq!(parts, whole, "cut at {cut}");
    }
}

#[test]
fn weak_start_keys_use_their_first_8_bytes_only() {
    let (mut one, mut other) = ([5; 16], [5; 16]);
    (one[15], other[15]) = (1, 2);
    let current = |start, strength| {
        let mut schedule = KeySchedule::new(StartKey::from_bytes(start), strength);
        schedule.next().as_bytes().to_vec()
    };
    assert_eq!(current(one, Strength::Bits56), current(other, Strength::Bits56));
    assert_ne!(current(one, Strength::Bits128), current(other, Strength::Bits128));
}
