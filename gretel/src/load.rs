//! `gretel load`.

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use config::{EntrySecret, Secrets};
use server::load::{self, End, Flavour, MOST_SESSIONS, Options, Report, Traffic};
use server::{MppeNeed, MppePolicy, Password, Stateful};

/// What to ask of the server.
///
/// Exit status: 0 every session came up and stayed as long as it was to, 1 some did not.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The server: a host name or address, with :PORT if it is not 1723.
    host: String,
    /// Who to log in as; %d becomes the session's number, from 0.
    #[arg(long, required_unless_present = "users", conflicts_with = "users")]
    user: Option<String>,
    /// A file with the password in its first line; without it the password is asked for.
    #[arg(long, value_name = "FILE", conflicts_with = "users")]
    password_file: Option<PathBuf>,
    /// Log in with these users in turn: a secrets file as pppd reads it.
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Sessions at a time.
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_SESSIONS)))]
    sessions: u32,
    /// Sessions in all; when there are more than at a time, each leaves after --hold, and the next one begins [default: as many as --sessions].
    #[arg(long, value_name = "NUMBER")]
    total: Option<u32>,
    /// Sessions begun in a second [default: as fast as they come up].
    #[arg(long, value_name = "NUMBER", value_parser = rate)]
    rate: Option<f64>,
    /// Seconds in which the rate rises to what it is.
    #[arg(long, value_name = "SECONDS", default_value = "0", requires = "rate", value_parser = seconds)]
    ramp: Duration,
    /// Sessions on their way up at a time.
    #[arg(long, value_name = "NUMBER", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    at_once: u32,
    /// How long sessions stay after the last one has come up.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    hold: Duration,
    /// What goes through the tunnels: none; ping:MS (an echo every MS milliseconds of each session); bulk:MBIT (long echoes, so many Mbit/s of
    /// all sessions together, and as many back, once all that are held together are up).
    #[arg(long, value_name = "PATTERN", default_value = "none", value_parser = traffic)]
    traffic: Traffic,
    /// What kind of client to look like.
    #[arg(long, value_name = "CLIENT", default_value = "windows")]
    flavour: Client,
    /// Seconds between LCP Echo-Requests; 0 sends none.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    echo: Duration,
    /// Addresses of this host to come from, in turn.
    #[arg(long, value_name = "FIRST-LAST", value_parser = addresses)]
    source_addresses: Option<(Ipv4Addr, Ipv4Addr)>,
    /// How long each stage of a session may take.
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    timeout: Duration,
    /// How often a session is tried that does not come up.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    tries: u32,
    /// How long to wait before it is tried again.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    again_after: Duration,
    /// Connect without encryption.
    #[arg(long)]
    no_mppe: bool,
    /// End sessions by closing their connections, without a word.
    #[arg(long)]
    hang_up: bool,
    /// Print the figures as one line of JSON.
    #[arg(long)]
    json: bool,
    /// Tell nothing meanwhile.
    #[arg(long)]
    quiet: bool,
}

/// What kind of client to look like.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Client {
    /// Windows.
    Windows,
    /// pptp-linux and pppd.
    Linux,
    /// Android.
    Android,
}

/// Loads the server and prints the figures.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let options = options(arguments)?;
    let tell = |report: &Report| {
        eprintln!(
            "{:6.0} s  {} up, {} on their way, {} failed, {} lost",
            report.elapsed.as_secs_f64(),
            report.live,
            report.rising,
            report.failed,
            report.lost
        );
    };
    let quiet = arguments.quiet;
    let report = load::run(&options, move |report| {
        if !quiet {
            tell(report);
        }
    })?;
    let mut out = std::io::stdout().lock();
    match arguments.json {
        true => writeln!(out, "{}", report.to_json())?,
        false => write!(out, "{report}")?,
    }
    let is_fine = report.came_up == u64::from(options.total) && report.lost == 0;
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn options(arguments: &Arguments) -> anyhow::Result<Options> {
    let total = arguments.total.unwrap_or(arguments.sessions);
    ensure!(
        total >= arguments.sessions,
        "--total {total} is less than --sessions {}: leave one of them out",
        arguments.sessions
    );
    let need = if arguments.no_mppe { MppeNeed::Off } else { MppeNeed::Allowed };
    Ok(Options {
        server: arguments.host.clone(),
        sessions: arguments.sessions,
        total,
        rate: arguments.rate,
        ramp: arguments.ramp,
        at_once: arguments.at_once,
        hold: arguments.hold,
        patience: arguments.timeout,
        again: (arguments.again_after, arguments.tries),
        traffic: arguments.traffic,
        flavour: match arguments.flavour {
            Client::Windows => Flavour::Windows,
            Client::Linux => Flavour::Linux,
            Client::Android => Flavour::Android,
        },
        echo: Some(arguments.echo).filter(|interval| !interval.is_zero()),
        users: match (&arguments.users, &arguments.user) {
            (Some(file), _) => users_of(file)?,
            (None, user) => {
                let user = user.as_deref().unwrap_or_default();
                numbered(
                    user,
                    total,
                    crate::connect::password(user, arguments.password_file.as_deref())?,
                )
            }
        },
        sources: arguments.source_addresses,
        mppe: MppePolicy { need, stateful: Stateful::Never, ..MppePolicy::REQUIRE_128 },
        end: if arguments.hang_up { End::Hangup } else { End::Goodbye },
    })
}

/// The name, or as many as there are sessions.
fn numbered(user: &str, total: u32, password: Password) -> Vec<(Vec<u8>, Password)> {
    match user.split_once("%d") {
        None => vec![(user.as_bytes().to_vec(), password)],
        Some((front, back)) => (0..total)
            .map(|number| (format!("{front}{number}{back}").into_bytes(), password.clone()))
            .collect(),
    }
}

/// The users of a secrets file that have a name and a password of their own.
fn users_of(path: &Path) -> anyhow::Result<Vec<(Vec<u8>, Password)>> {
    let text = std::fs::read(path)
        .map(Password::new)
        .with_context(|| format!("cannot read the users from {}", path.display()))?;
    let (secrets, _) = Secrets::parse(path, text.as_bytes());
    let users: Vec<_> = secrets
        .entries()
        .iter()
        .filter_map(|entry| match entry.secret(&mut Vec::new())? {
            EntrySecret::Password(password) if entry.client != b"*" => {
                Some((entry.client.clone(), Password::new(password.to_vec())))
            }
            _ => None,
        })
        .collect();
    if users.is_empty() {
        bail!(
            "{} names no user with a password: write lines such as `anna * secret *`",
            path.display()
        );
    }
    Ok(users)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|time| time.as_secs() <= 1_000_000)
        .ok_or_else(|| "write seconds, such as 2 or 0.5".into())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok();
    rate.filter(|rate| *rate > 0.0 && *rate <= 1e6)
        .ok_or_else(|| "write sessions a second, such as 100".into())
}

fn traffic(text: &str) -> Result<Traffic, String> {
    let (kind, figure) = text.split_once(':').unwrap_or((text, ""));
    let figure: Option<u32> = figure.parse().ok().filter(|figure| *figure > 0);
    match (kind, figure) {
        ("none", _) if text == kind => Ok(Traffic::None),
        ("ping", Some(millis)) => Ok(Traffic::Ping(Duration::from_millis(millis.into()))),
        ("ping", None) if text == kind => Ok(Traffic::Ping(Duration::from_secs(1))),
        ("bulk", Some(mbit)) => Ok(Traffic::Bulk(u64::from(mbit) * 1_000_000)),
        _ => Err("write none, ping, ping:MILLISECONDS or bulk:MBIT".into()),
    }
}

fn addresses(text: &str) -> Result<(Ipv4Addr, Ipv4Addr), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = first.parse().ok().zip(last.parse().ok());
    range
        .filter(|(first, last)| first <= last)
        .ok_or_else(|| "write FIRST-LAST, such as 10.0.0.10-10.0.0.20".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_traffic_are_understood_or_explained() {
        assert_eq!(traffic("none"), Ok(Traffic::None));
        assert_eq!(traffic("ping"), Ok(Traffic::Ping(Duration::from_secs(1))));
        assert_eq!(traffic("ping:20"), Ok(Traffic::Ping(Duration::from_millis(20))));
        assert_eq!(traffic("bulk:50"), Ok(Traffic::Bulk(50_000_000)));
        for wrong in ["", "none:1", "ping:", "ping:0", "bulk", "bulk:x", "flood:1"] {
            assert!(traffic(wrong).unwrap_err().starts_with("write none"), "{wrong}");
        }
    }

    #[test]
    fn a_range_of_addresses_runs_upwards() {
        let address = |last| Ipv4Addr::new(10, 0, 0, last);
        assert_eq!(addresses("10.0.0.3-10.0.0.9"), Ok((address(3), address(9))));
        assert_eq!(addresses("10.0.0.3"), Ok((address(3), address(3))));
        assert!(addresses("10.0.0.9-10.0.0.3").is_err());
        assert!(addresses("everywhere").is_err());
    }

    #[test]
    fn every_session_has_a_user_of_its_own_where_the_name_has_a_number() {
        let names = |user: &str| {
            let users = numbered(user, 3, Password::from("secret".to_owned()));
            users.into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(names("anna"), ["anna"]);
        assert_eq!(names("user%d@example"), ["user0@example", "user1@example", "user2@example"]);
    }

    #[test]
    fn users_come_from_a_secrets_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets");
        std::fs::write(
            &path,
            "# those of the load\nanna * \"a secret\" *\n* * any *\nbob gretel b 10.0.0.1\n",
        )
        .unwrap();
        let names: Vec<_> = users_of(&path).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [b"anna".to_vec(), b"bob".to_vec()]);
        std::fs::write(&path, "").unwrap();
        assert!(users_of(&path).unwrap_err().to_string().contains("names no user"));
    }
}
