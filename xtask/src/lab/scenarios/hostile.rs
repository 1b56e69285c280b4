//! Peers that mean harm, or know no better, against a running server: after each it still serves.

use std::{
    io::{Read, Write},
    net::Shutdown,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::Scenario;
use crate::{
    lab::{
        caller::Caller,
        server::{Files, wait_for_log},
        stranger::{HandMadeCall, Stranger, call_request, connect, start_request},
        world::World,
    },
    shared_data::{Input, Kind, hostile},
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "after each collected hostile input the server still serves",
        compared: false,
        run: collected_inputs,
    },
    Scenario {
        name: "after each known attack on PPTP and PPP servers the server still serves",
        compared: false,
        run: known_attacks,
    },
    Scenario {
        name: "a peer whose LCP never converges is told so and leaves nothing",
        compared: false,
        run: endless_lcp,
    },
    Scenario {
        name: "a flood of connections from one address keeps nobody else out",
        compared: false,
        run: flood,
    },
];

/// Enough addresses for sessions that have not been noticed as gone yet.
const FILES: Files = Files { addresses: "192.168.77.100-199", ..Files::SHIPPED };
/// How long a session of a peer that went without a word may last.
const RELEASE: Duration = Duration::from_secs(40);

fn collected_inputs(world: &mut World) -> Result<()> {
    let inputs = hostile()?;
    if inputs.is_empty() {
        return Ok(());
    }
    survive(world, &inputs)
}

fn known_attacks(world: &mut World) -> Result<()> {
    survive(world, &attacks())
}

/// Sends every input, and has a client call after each.
fn survive(world: &mut World, inputs: &[Input]) -> Result<()> {
    world.serve(&FILES)?;
    world.spare(&["10.99.0.66"]);
    let stranger = Stranger::new(world, "stranger", "10.99.0.66")?;
    let caller = Caller::new(world, "caller", "10.99.0.9")?;
    for input in inputs {
        let sent = stranger.inside(|| input.send());
        sent.with_context(|| input.name.clone())?;
        let check = caller.command("secret", &["--check"])?.stdin(Stdio::null()).output()?;
        if !check.status.success() {
            let said = String::from_utf8_lossy(&check.stderr).into_owned();
            bail!("after {} the server does not serve:\n{said}", input.name);
        }
    }
    let log = world.server.log()?;
    ensure!(!log.contains("panicked"), "the server panicked");
    ensure!(log.bytes().all(|byte| byte == b'\n' || byte >= b' '), "control characters in the log");
    world.check_released(RELEASE)
}

impl Input {
    fn new(name: &str, kind: Kind, messages: Vec<Vec<u8>>) -> Self {
        Self { name: name.to_owned(), kind, messages }
    }

    /// Sends it in every phase in which the server could take it: PPP frames before LCP is open and after.
    fn send(&self) -> Result<()> {
        match self.kind {
            Kind::Tcp => self.send_over_tcp(),
            Kind::Gre | Kind::Ppp => {
                self.send_in_call(&mut HandMadeCall::place()?)?;
                let mut call = HandMadeCall::place()?;
                call.open_lcp()?;
                self.send_in_call(&mut call)
            }
        }
    }

    fn send_over_tcp(&self) -> Result<()> {
        let mut stream = connect()?;
        for message in &self.messages {
            // The server may close as soon as it has seen enough.
            if stream.write_all(message).is_err() {
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Write);
        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        let mut answer = Vec::new();
        let _ = stream.take(1 << 20).read_to_end(&mut answer);
        Ok(())
    }

    fn send_in_call(&self, call: &mut HandMadeCall) -> Result<()> {
        for message in &self.messages {
            if self.kind == Kind::Ppp {
                call.send_frame(message)?;
                continue;
            }
            let mut packet = message.clone();
            if let Some(place) = packet.get_mut(6..8)
                && self.name != "gre_wrong_call"
            {
                place.copy_from_slice(&call.call_id.to_be_bytes());
            }
            call.send_gre(&packet)?;
        }
        // What the server answers is not looked at, but must come before the line is cut.
        while call.receive(Duration::from_millis(5))?.is_some() {}
        Ok(())
    }
}

/// Inputs that have felled servers and clients, made anew from their descriptions.
fn attacks() -> Vec<Input> {
    use Kind::{Gre, Ppp, Tcp};
    let start = start_request();
    let length_zero = [&[0, 0][..], &[0x41; 1500]].concat();
    let length_one = [&[0, 1][..], &[0x41; 1500]].concat();
    let zero_length_unknown_type = [0, 0, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0xff, 0xfe, 0, 0].to_vec();
    let mut early_clear = vec![0, 16, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 12, 0, 0, 0xe6, 0x0c, 0, 0];
    let mut call = call_request();
    call[12..14].copy_from_slice(&[0xe6, 0x0c]);
    let mut eap = vec![0xc2, 0x27, 1, 0x83, 1, 0x58, 4, 0x12];
    eap.extend([0xef; 18]);
    eap.resize(8 + 18 + 64, 0x41);
    eap.resize(8 + 18 + 64 + 256, 0x61);
    let mut endless_option = vec![0xff, 0x03, 0xc0, 0x21, 1, 1, 1, 4];
    endless_option.extend([0xfe, 4, 0, 0].repeat(62));
    endless_option.extend([0xfe, 0xff]);
    let mut full_request = vec![0x80, 0x21, 1, 1];
    let options = [0x81, 6, 0, 0, 0, 0].repeat(240);
    full_request.extend(u16::try_from(options.len() + 4).unwrap_or(u16::MAX).to_be_bytes());
    full_request.extend(options);
    let jumps = [0_u32, 5, 1 << 31, u32::MAX, 1].map(|sequence| {
        let mut packet = vec![0x30, 0x81, 0x88, 0x0b, 0, 8, 0, 0];
        packet.extend(sequence.to_be_bytes());
        packet.extend(u32::MAX.wrapping_sub(sequence).to_be_bytes());
        packet.extend([0xff, 0x03, 0xc0, 0x21, 9, 1, 0, 8]);
        packet
    });
    let incoming = incoming_call();
    vec![
        Input::new("CVE-2003-0213: length 0", Tcp, vec![length_zero]),
        Input::new("CVE-2003-0213: length 1", Tcp, vec![length_one]),
        Input::new("CVE-1999-0140", Tcp, vec![[&[0x58; 256][..], &[0x0a, 4, 0]].concat()]),
        Input::new(
            "length 0 and an unknown type",
            Tcp,
            vec![start.clone(), zero_length_unknown_type],
        ),
        Input::new(
            "CVE-2021-42870",
            Tcp,
            vec![start.clone(), call, std::mem::take(&mut early_clear)],
        ),
        Input::new(
            "CVE-2022-23253: connected twice",
            Tcp,
            [vec![start.clone()], incoming].concat(),
        ),
        Input::new("a thousand echo requests at once", Tcp, vec![start.clone(), echoes(1000)]),
        Input::new("CVE-2007-0244: jumps of the sequence and future acks", Gre, jumps.to_vec()),
        Input::new("CVE-2020-8597", Ppp, vec![eap]),
        Input::new("CVE-2006-4304: an option that runs past its packet", Ppp, vec![endless_option]),
        Input::new(
            "CVE-2020-7466: CHAP value size 255",
            Ppp,
            vec![vec![0xc2, 0x23, 2, 1, 0, 8, 255, 0, 0, 0]],
        ),
        Input::new(
            "CVE-2020-7466: PAP lengths 255",
            Ppp,
            vec![vec![0xc0, 0x23, 1, 1, 0, 8, 255, 255, 0, 0]],
        ),
        Input::new("an IPCP request as long as the MRU", Ppp, vec![full_request]),
        Input::new("a truncated PAP acknowledgement", Ppp, vec![vec![0xc0, 0x23, 2, 1, 0, 4]]),
        Input::new("an IPCP Nak of length 0x2103", Ppp, vec![vec![0x80, 0x21, 3, 1, 0x21, 3]]),
        Input::new("a multilink fragment", Ppp, vec![vec![0xff, 3, 0x3d, 0x30]]),
        Input::new(
            "ten thousand LCP echoes",
            Ppp,
            vec![vec![0xc0, 0x21, 9, 1, 0, 8, 1, 2, 3, 4]; 10_000],
        ),
    ]
}

/// Incoming-Call-Request and -Connected (RFC 2637 §2.9, §2.11), the latter twice.
fn incoming_call() -> Vec<Vec<u8>> {
    let header = |len: u8, kind: u8| {
        let mut message = vec![0, len, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, kind, 0, 0];
        message.resize(usize::from(len), 0);
        message
    };
    let mut request = header(220, 9);
    request[12..16].copy_from_slice(&[0x12, 0x34, 0, 1]);
    let mut connected = header(28, 11);
    connected[12..14].copy_from_slice(&[0x12, 0x34]);
    connected[19] = 64;
    vec![request, connected.clone(), connected]
}

/// Echo-Requests (RFC 2637 §2.5).
fn echoes(count: usize) -> Vec<u8> {
    [0, 16, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 5, 0, 0, 0, 0, 0, 1].repeat(count)
}

/// Asks for something else for as long as the server asks.
fn endless_lcp(world: &mut World) -> Result<()> {
    world.serve(&FILES)?;
    world.spare(&["10.99.0.66"]);
    let stranger = Stranger::new(world, "stranger", "10.99.0.66")?;
    stranger.inside(|| {
        let mut call = HandMadeCall::place()?;
        call.send_frame(&[0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4])?;
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut mru = 600_u16;
        while let Some(frame) = call.receive(Duration::from_secs(5))? {
            ensure!(Instant::now() < deadline, "the server negotiates for ever");
            // A Configure-Request is answered with another MRU each time.
            if let Some([0xc0, 0x21, 1, id]) = frame.get(..4) {
                let mut nak = vec![0xff, 0x03, 0xc0, 0x21, 3, *id, 0, 8, 1, 4];
                nak.extend(mru.to_be_bytes());
                call.send_frame(&nak)?;
                mru += 1;
            }
        }
        ensure!(mru > 600, "the server asked for nothing");
        Ok(())
    })?;
    wait_for_log(&mut *world.server, "LCP", Duration::from_secs(5))?;
    let log = world.server.log()?;
    let ends: Vec<&str> =
        log.lines().filter(|line| line.contains("Session of 10.99.0.66")).collect();
    ensure!(ends.len() == 1 && ends[0].contains("LCP"), "the end is told as {ends:?}");
    world.check_released(RELEASE)
}

/// More connections than one address may have open.
fn flood(world: &mut World) -> Result<()> {
    world.serve(&FILES)?;
    world.spare(&["10.99.0.66"]);
    let stranger = Stranger::new(world, "stranger", "10.99.0.66")?;
    let caller = Caller::new(world, "caller", "10.99.0.9")?;
    stranger.inside(|| {
        let held: Vec<_> = (0..500).map_while(|_| connect().ok()).collect();
        ensure!(held.len() > 50, "only {} connections", held.len());
        let begun = Instant::now();
        let check = thread::scope(|scope| {
            // The caller's commands enter its namespace by themselves.
            scope
                .spawn(|| {
                    caller
                        .command("secret", &["--check"])?
                        .stdin(Stdio::null())
                        .output()
                        .context("gretel connect")
                })
                .join()
        });
        let Ok(check) = check else { bail!("the caller panicked") };
        let check = check?;
        let said = String::from_utf8_lossy(&check.stderr).into_owned();
        ensure!(check.status.success(), "another address is not served:\n{said}");
        ensure!(begun.elapsed() < Duration::from_secs(2), "it took {:?}", begun.elapsed());
        drop(held);
        Ok(())
    })?;
    world.check_released(RELEASE)
}
