//! What a fuzzer starts from: messages that the project's own writers make, and courses of events that lead far.

mod messages;
mod offload;

/// The seeds of a target: a label and the bytes.
pub fn of(target: &str) -> Vec<(String, Vec<u8>)> {
    match target {
        "control" => messages::control(),
        "gre" => messages::gre(),
        "ppp" => messages::ppp(),
        "connection" => connections(),
        "link" => links(),
        "datapath" => data_paths(),
        "sequencer" => sequences(),
        "dhcp" => messages::dhcp(),
        "config" => configs(),
        "split" => offload::split(),
        "join" => offload::join(),
        _ => Vec::new(),
    }
}

/// Operations of `sim::fuzz::connection`: two bytes each, and for a message its type's place in the table, its body and ids.
fn connections() -> Vec<(String, Vec<u8>)> {
    const START: [u8; 5] = [0, 11, 0, 0, 0];
    const START_REPLY: [u8; 5] = [0, 11, 3, 0, 0];
    const ECHO: [u8; 5] = [0, 11, 8, 0, 0];
    const CALL: [u8; 5] = [0, 11, 12, 0, 5];
    const CALL_REPLY: [u8; 5] = [0, 11, 18, 0, 5];
    const ACCEPT: [u8; 2] = [0, 2];
    const REFUSE: [u8; 2] = [0, 3];
    const PLACE: [u8; 2] = [5, 5];
    const LINK_INFO: [u8; 5] = [0, 11, 29, 0, 5];
    const CLEAR: [u8; 5] = [0, 11, 24, 0, 5];
    const TEN_SECONDS: [u8; 3] = [0, 1, 100];
    const STOP: [u8; 5] = [0, 11, 6, 0, 0];
    let seed = |role: u8, operations: &[&[u8]]| [&[role], &operations.concat()[..]].concat();
    vec![
        (
            "server".into(),
            seed(0, &[&START, &CALL, &ACCEPT, &LINK_INFO, &ECHO, &TEN_SECONDS, &CLEAR, &STOP]),
        ),
        ("server-refuses".into(), seed(0, &[&START, &CALL, &CALL, &REFUSE, &ACCEPT, &CLEAR])),
        ("client".into(), seed(1, &[&PLACE, &START_REPLY, &CALL_REPLY, &TEN_SECONDS, &STOP])),
        ("silence".into(), seed(0, &[&START, &TEN_SECONDS, &TEN_SECONDS, &TEN_SECONDS])),
    ]
}

/// Operations of the sequencer: what comes, and time.
fn sequences() -> Vec<(String, Vec<u8>)> {
    const NEXT: &[u8] = &[0];
    const ACK: &[u8] = &[7, 1];
    const SEND: &[u8] = &[7, 0];
    const SIX_SECONDS: &[u8] = &[0x0e, 60];
    vec![
        ("in-order".into(), [&[5, 0, 0, 0, 0], NEXT, NEXT, ACK, SEND, NEXT].concat()),
        ("late-and-twice".into(), [NEXT, &[1, 9], &[2, 3], &[2, 3], &[3, 0], &[3, 7]].concat()),
        ("round".into(), [&[5, 255, 255, 255, 254], NEXT, NEXT, NEXT, &[2, 2]].concat()),
        ("too-far".into(), [NEXT, &[4, 7], SIX_SECONDS, &[5, 0x70, 0, 0, 0], NEXT].concat()),
        ("forged".into(), [NEXT, &[0x81, 200], NEXT, &[6, 50], ACK].concat()),
    ]
}

/// Two links that start and hand each other every frame, in several settings.
fn links() -> Vec<(String, Vec<u8>)> {
    const FRAME_TO_SERVER: u8 = 0x0b;
    const FRAME_TO_CLIENT: u8 = 0x8b;
    let settings = [
        ("mppe", 0x22),
        ("wrong-password", 0x21),
        ("optional-mppe", 0x10),
        ("pap", 0x04),
        ("waived", 0x06),
        ("no-common-method", 0x82),
        ("rechallenged", 0x42),
    ];
    settings
        .map(|(label, choice)| {
            let mut bytes = vec![choice, 0x01, 0x81];
            bytes.extend([FRAME_TO_SERVER, FRAME_TO_CLIENT].repeat(40));
            // Four seconds pass, an Identification and a changed frame come, the client hangs up.
            bytes.extend([0x00, 200, FRAME_TO_SERVER, FRAME_TO_CLIENT]);
            bytes.extend([0x06, 0x60, 3, 6, 0, 0, 0, 0, b'M', b'S']);
            bytes.extend([0x04, 4, 1, 0x89, 0]);
            bytes.extend([FRAME_TO_SERVER, FRAME_TO_CLIENT].repeat(4));
            (label.to_string(), bytes)
        })
        .to_vec()
}

/// Operations of `sim::fuzz::data_path`: settings, then milliseconds and an operation.
fn data_paths() -> Vec<(String, Vec<u8>)> {
    let run = |settings: u8| {
        let mut bytes = vec![settings, 0, 5, 0, 0, 0, 2];
        bytes.extend((0..20).flat_map(|mark| [1, 6, mark]));
        // Our own packet, a late one, the keys gone, a packet in clear, the network closed.
        bytes.extend([1, 9, 24, 0x45, 0, 0, 24, 0, 0, 0, 0, 64, 17, 0, 0]);
        bytes.extend([192, 168, 1, 1, 192, 168, 1, 50, 0, 0, 0, 0]);
        bytes.extend([1, 7, 200, 0, 3, 4, 0xfd, 0x90, 1, 2, 0, 1, 1, 6, 9, 0, 4, 1, 6, 10]);
        bytes
    };
    [("stateless", 0), ("stateful", 1), ("clear", 2), ("full-framing", 4)]
        .map(|(label, settings)| (label.to_string(), run(settings)))
        .to_vec()
}

fn configs() -> Vec<(String, Vec<u8>)> {
    let joined = |files: [&str; 5]| files.map(str::as_bytes).join(&0xff);
    let how_to = joined([
        "option /etc/ppp/pptpd-options\nlocalip 192.168.0.1\nremoteip 192.168.0.234-238,192.168.0.245\n\
         connections 10\nstimeout 10\nlogwtmp\nnoipparam\nbcrelay eth1\n",
        "asyncmap 0\nauth\ncrtscts\nlock\nhide-password\nmodem\nlcp-echo-interval 30\n\
         lcp-echo-failure 4\nnoipx\n",
        "name pptpd\nrefuse-pap\nrefuse-chap\nrefuse-mschap\nrequire-mschap-v2\nrequire-mppe-128\n\
         ms-dns 10.0.0.1\nms-wins 10.0.0.3\nproxyarp\nnodefaultroute\nnobsdcomp\nmtu 1400\n\
         mru 1400\n192.168.0.1:192.168.0.50\n",
        "# client server secret addresses\nscott pptpd turquoise *\n\"a b\" * \"q\\\"x\" 10.0.0.5\n\
         moxie * @/etc/secret 10.0.0.0/24+ !10.0.0.1 - -- mtu 1300 idle 5\n",
        "[session]\nidle = 600\n[limits]\nunfinished = 9\n",
    ]);
    let alone = joined([
        "",
        "",
        "",
        "* pptpd {nt}8846f7eaee8fb117ad06bdd830b7586c gate\n",
        "ppp-options = [\"lcp-restart 3\", \"ifname \\\"a b\\\"\"]\npptpd-conf = [\"debug\"]\n\
         [server]\nlisten = [\"192.0.2.1\", \"gate:99\"]\nname = \"pptpd\"\n\
         [addresses]\nlocal = \"10.0.0.1\"\nremote = [\"10.0.0.5-9\", \"10.0-1.0.20\"]\ndns = [\"gate\"]\n\
         [encryption]\nmppe = \"required\"\nbits = [40, 128]\n[users]\nauthentication = [\"pap\", \"mschap-v2\"]\n",
    ]);
    let wrong = joined([
        "option x\nlocalip 10.0.0.5-2\nremoteip 10.0.0.1,,10.0.0.1\nconnections 0\nspeed fast\n",
        "idle forever\nmtu 99999\nunknown-option \"quoted word\nfile /etc/ppp/more\n",
        "file /etc/ppp/itself\nrequire-mppe\nnomppe\nname \"\n",
        "scott pptpd\n\"unclosed * x\nscott \\\n pptpd 'x' 10.0.0.300 -- idle 5\n",
        "[sesion]\nidle = 3\n[addresses]\nremote = [\"10.0.0.9-5\"]\nbits = [\n",
    ]);
    vec![("how-to".into(), how_to), ("wrong".into(), wrong), ("alone".into(), alone)]
}
