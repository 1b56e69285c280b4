//! What the pages for users say to type, typed.

use std::fs;

use anyhow::{Context, Result, bail, ensure};

use super::{
    Scenario,
    package::{inside, prepare, with_guest},
};
use crate::{
    lab::{pptpd::Pptpd, segment::INNER, world::World},
    workspace,
};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "who types what the pages say gets a server that serves",
    compared: false,
    run: |world| with_guest(world, follow_pages),
}];

/// Each page, and the same in Japanese.
const PAGES: [[&str; 2]; 2] = [
    ["README.md", "README.ja.md"],
    ["docs/migrating-from-pptpd.md", "docs/ja/migrating-from-pptpd.md"],
];

/// Commands that other parts of the test command run: the build, this suite, the package, the quick start, the client, and the steps of attempts.
const ELSEWHERE: [&str; 7] = [
    "cargo run --release -- serve --quickstart",
    "cargo xtask test",
    "cargo xtask deb",
    "gretel connect vpn.example.net --user scott --route 192.168.1.0/24",
    "gretel connect vpn.example.net --user scott --check",
    "gretel trail 192.0.2.8",
    "gretel trail --follow",
];

fn follow_pages(world: &mut World, guest: &mut Pptpd) -> Result<()> {
    prepare(guest)?;
    let package = "/root/gretel_0.1.0_amd64.deb";
    inside(
        guest,
        &format!(
            "mkdir -p /root/target && cp /mnt/gretel.deb {package} && cp {package} /root/target"
        ),
    )?;
    // The guest's kernel has no tables for both families.
    world.server.sh("nft add table inet filter && nft add chain inet filter input")?;
    let [mut typed, mut serving] = [0, 0];
    for [page, japanese] in PAGES {
        let text = fs::read_to_string(workspace::root().join(page))?;
        let in_japanese = fs::read_to_string(workspace::root().join(japanese))?;
        ensure!(commands(&text) == commands(&in_japanese), "{page} and {japanese} differ");
        write_files(guest, &text)?;
        for command in commands(&text).into_iter().filter(|it| !ELSEWHERE.contains(&it.as_str())) {
            typed += 1;
            match command.as_str() {
                "gretel serve" | "gretel pptpd" => {
                    serving += 1;
                    serve_and_call(world, guest, &command)?;
                }
                command if command.starts_with("nft ") => {
                    world.server.sh(command)?;
                }
                // The guest's root needs no sudo, and answers questions with yes.
                command => {
                    let command = command.trim_start_matches("sudo ");
                    inside(guest, &format!("cd /root; yes | {command}"))
                        .with_context(|| format!("{page}: {command}"))?;
                }
            }
        }
    }
    world.server.sh("nft delete table inet filter")?;
    ensure!(typed >= 9 && serving == 2, "{typed} commands, {serving} that serve");
    Ok(())
}

/// The lines of a page's blocks of commands, without comments.
fn commands(page: &str) -> Vec<String> {
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|it| it.strip_prefix("sh\n"));
    let lines = blocks.flat_map(str::lines);
    lines.map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned()).collect()
}

/// Writes the files that a page shows (`# /etc/NAME` and what follows), on the lab's network.
fn write_files(guest: &mut Pptpd, page: &str) -> Result<()> {
    for file in page.split("\n# /etc/").skip(1) {
        let (name, text) = file.split_once('\n').context("a file without lines")?;
        let text = text.split("```").next().unwrap_or_default();
        let text =
            text.split("\n# ").next().unwrap_or_default().replace("192.168.1.", "192.168.77.");
        guest.write("page", &format!("{text}\n"))?;
        inside(guest, &format!("cat /mnt/page >/etc/{name}"))?;
    }
    Ok(())
}

fn serve_and_call(world: &mut World, guest: &mut Pptpd, command: &str) -> Result<()> {
    super::package::start(guest, command)?;
    let call = world.call_as("scott", "turquoise", "require-mppe-128")?;
    let address = call.address()?;
    if !address.starts_with("192.168.77.2") {
        bail!("{address} is not among the page's addresses");
    }
    world.client()?.ping_all_sizes(INNER)?;
    world.client()?.hang_up()?;
    super::package::stop(guest)
}
