//! How Gretel carries packets in a scenario.

use anyhow::{Context, Result, ensure};

/// The way that GRE packets take and the number of workers, where they are not the usual ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carrying {
    io: Option<String>,
    workers: Option<String>,
}

/// The ways of GRE packets.
const WAYS: [&str; 3] = ["raw", "packet", "xdp"];

impl Carrying {
    /// By each way, with one worker and with two.
    pub(crate) fn every() -> impl Iterator<Item = Self> {
        WAYS.into_iter().flat_map(|io| [1, 2].map(|workers| Self::by(io, workers)))
    }

    pub(crate) fn by(io: &str, workers: usize) -> Self {
        Self { io: Some(io.to_owned()), workers: Some(workers.to_string()) }
    }

    /// The same with so many workers.
    pub(crate) fn with_workers(self, workers: usize) -> Self {
        Self { workers: Some(workers.to_string()), ..self }
    }

    /// Takes `--io WAY` and `--workers NUMBER` out of the lab's arguments and gives the others.
    pub(crate) fn parse(arguments: &[String]) -> Result<(Self, Vec<String>)> {
        let (mut carrying, mut others) = (Self::default(), Vec::new());
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} what?"));
            match argument.as_str() {
                "--io" => carrying.io = Some(value()?.clone()),
                "--workers" => carrying.workers = Some(value()?.clone()),
                _ => others.push(argument.clone()),
            }
        }
        let is_way = carrying.io.as_deref().is_none_or(|io| WAYS.contains(&io));
        ensure!(is_way, "--io is one of {}", WAYS.join(", "));
        Ok((carrying, others))
    }

    /// What is to be added to a scenario's title; nothing when all is as usual.
    pub(super) fn title(&self) -> String {
        let Self { io, workers } = self;
        let workers = workers.as_ref().map(|number| format!("workers: {number}"));
        let parts: Vec<_> = io.clone().into_iter().chain(workers).collect();
        if parts.is_empty() { String::new() } else { format!(" [{}]", parts.join(", ")) }
    }

    /// More arguments for `gretel serve`, whose clients come by this interface.
    pub(super) fn of_server(&self, interface: &str) -> Vec<String> {
        let workers = self.workers.iter().flat_map(|number| ["--workers", number]);
        let io = self.io.iter().flat_map(|io| ["--io", io, "--io-interface", interface]);
        workers.chain(io).map(str::to_owned).collect()
    }

    /// More arguments for `gretel connect`.
    pub(super) fn of_client(&self) -> Vec<String> {
        self.io.iter().flat_map(|io| ["--io", io]).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_is_taken_out_of_the_arguments() {
        let parsed =
            |text: &str| Carrying::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let (carrying, others) = parsed("--io xdp ten --workers 2").expect("arguments");
        assert_eq!((carrying.clone(), others), (Carrying::by("xdp", 2), vec!["ten".to_owned()]));
        let server = ["--workers", "2", "--io", "xdp", "--io-interface", "eth1"];
        assert_eq!(carrying.of_server("eth1"), server);
        assert_eq!(carrying.of_client(), ["--io", "xdp"]);
        assert_eq!(carrying.title(), " [xdp, workers: 2]");
        assert_eq!(Carrying::default().title(), "");
        assert_eq!(Carrying::every().count(), 6);
        assert!(parsed("ten --io").is_err());
        assert!(parsed("--io pigeon").is_err());
    }
}
