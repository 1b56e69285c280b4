//! The scenarios, each with a sentence for a name.

mod accounts;
mod addresses;
mod admin;
mod attacks;
mod bad_lines;
mod capture;
mod command_line;
mod doctor;
pub(super) mod faults;
mod flags;
mod found;
mod hooks;
mod hostile;
mod long_life;
mod own_client;
mod package;
mod pages;
mod paths;
mod refusals;
mod rights;
mod routes;
mod service;
mod shared;
mod sizes;
mod tunnels;
mod vanishing;

use anyhow::Result;

use super::{Kind, world::World};

/// One thing that must hold.
pub(crate) struct Scenario {
    /// A sentence.
    pub(crate) name: &'static str,
    /// Whether it runs against the real pptpd too.
    pub(crate) compared: bool,
    pub(crate) run: fn(&mut World) -> Result<()>,
}

impl Scenario {
    pub(crate) fn title(&self, kind: Kind) -> String {
        match kind {
            Kind::Gretel => format!("gretel: {}", self.name),
            Kind::Shared => format!("gretel, shared interface: {}", self.name),
            Kind::Pptpd => format!("pptpd: {}", self.name),
        }
    }
}

/// Those that need the Debian package.
pub(crate) fn package() -> impl Iterator<Item = &'static Scenario> {
    package::SCENARIOS
        .iter()
        .chain(found::SCENARIOS)
        .chain(service::SCENARIOS)
        .chain(pages::SCENARIOS)
}

/// Those in which packets pass, and do so whatever way they take: they are to hold by each.
pub(crate) fn main() -> impl Iterator<Item = (Kind, &'static Scenario)> {
    let lists = [
        own_client::SCENARIOS,
        sizes::SCENARIOS,
        tunnels::SCENARIOS,
        addresses::SCENARIOS,
        bad_lines::SCENARIOS,
        vanishing::SCENARIOS,
    ];
    let names: Vec<&str> = lists.into_iter().flatten().map(|scenario| scenario.name).collect();
    // A capture sees raw sockets' packets only.
    let is_capture = |name| capture::SCENARIOS.iter().any(|scenario| scenario.name == name);
    all().filter(move |(kind, scenario)| match kind {
        Kind::Gretel => names.contains(&scenario.name),
        Kind::Shared => !is_capture(scenario.name),
        Kind::Pptpd => false,
    })
}

/// Every scenario to which a shared interface applies, with it.
pub(crate) fn shared() -> impl Iterator<Item = (Kind, &'static Scenario)> {
    let of_gretel = all().filter(|(kind, scenario)| {
        let is_packaged = || package().any(|one| one.name == scenario.name);
        *kind == Kind::Gretel && !shared::applies_not(scenario.name) && !is_packaged()
    });
    of_gretel
        .map(|(_, scenario)| (Kind::Shared, scenario))
        .chain(shared::SCENARIOS.iter().map(|scenario| (Kind::Shared, scenario)))
}

/// Every scenario with every server it runs against.
pub(crate) fn all() -> impl Iterator<Item = (Kind, &'static Scenario)> {
    let lists = [
        own_client::SCENARIOS,
        sizes::SCENARIOS,
        paths::SCENARIOS,
        tunnels::SCENARIOS,
        addresses::SCENARIOS,
        accounts::SCENARIOS,
        admin::SCENARIOS,
        refusals::SCENARIOS,
        bad_lines::SCENARIOS,
        vanishing::SCENARIOS,
        hostile::SCENARIOS,
        attacks::SCENARIOS,
        long_life::SCENARIOS,
        hooks::SCENARIOS,
        package::SCENARIOS,
        service::SCENARIOS,
        found::SCENARIOS,
        pages::SCENARIOS,
        command_line::SCENARIOS,
        flags::SCENARIOS,
        doctor::SCENARIOS,
        capture::SCENARIOS,
        rights::SCENARIOS,
        routes::SCENARIOS,
    ];
    let scenarios = lists.into_iter().flatten().chain(faults::all());
    let kinds = scenarios.flat_map(|scenario| {
        let also = shared::ALSO.contains(&scenario.name).then_some((Kind::Shared, scenario));
        let pptpd = scenario.compared.then_some((Kind::Pptpd, scenario));
        [(Kind::Gretel, scenario)].into_iter().chain(also).chain(pptpd)
    });
    kinds.chain(shared::SCENARIOS.iter().map(|scenario| (Kind::Shared, scenario)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::all;
    use crate::workspace::{self, output};

    /// What the page about differences names as proof, test by test.
    fn named() -> Vec<String> {
        let page = fs::read_to_string(workspace::root().join("docs/differences-from-pptpd.md"));
        let page = page.unwrap_or_default();
        let rows =
            page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| defect"));
        let proofs = rows.filter_map(|row| row.trim_end_matches(" |").rsplit_once(" | "));
        proofs.map(|(_, proof)| proof.to_owned()).collect()
    }

    #[test]
    fn the_proofs_that_the_page_about_differences_names_are_there() {
        let proofs = named();
        assert!(proofs.len() > 10, "{proofs:?}");
        let root = workspace::root();
        let tests = output(
            std::process::Command::new("grep")
                .args(["-rhoE", "--include=*.rs", r"fn [a-z0-9_]+\("])
                .args([root.join("crates"), root.join("gretel/src")]),
        )
        .unwrap();
        for proof in proofs {
            let mut found = 0;
            for test in proof.split('`').skip(1).step_by(2).filter(|name| name.contains('_')) {
                assert!(tests.contains(&format!("fn {test}(")), "there is no test {test}");
                found += 1;
            }
            for name in proof.split('"').skip(1).step_by(2) {
                assert!(all().any(|(_, one)| one.name == name), "there is no scenario {name:?}");
                found += 1;
            }
            assert!(found > 0, "{proof:?} names nothing");
        }
    }
}
