//! `[pools.NAME]`: addresses of their own, and what goes with them, for some users.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::ops::Range;

use toml_edit::Item;

use super::keys::{list, quoted};
use super::value::{Fault, address_lists, addresses, domain, fault, networks, servers, texts};
use super::{OwnFile, place};
use crate::diagnostic::{Diagnostics, nearest};
use crate::iplist::Duplicates;
use crate::options::{Class, Origin, Reader};
use crate::slots::{MAX_CONNECTIONS, Resolve};

/// The section that holds a table for each pool.
pub(super) const POOLS: &str = "pools";
/// Pools at most: each login looks through them.
const MAX_POOLS: usize = 64;
/// Characters of a pool's name.
const MAX_NAME: usize = 32;

/// Addresses for some users, beside those for everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// `office` of `[pools.office]`.
    pub name: String,
    /// The users' names; `*` stands for any characters, also none.
    pub users: Vec<String>,
    /// Local and remote address of each session that may be up at once.
    pub slots: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// Name servers in place of everybody's.
    pub dns: Option<Vec<Ipv4Addr>>,
    /// WINS servers in place of everybody's.
    pub wins: Option<Vec<Ipv4Addr>>,
    /// Networks behind the tunnel in place of everybody's.
    pub routes: Option<Vec<(Ipv4Addr, u8)>>,
    /// The domain in place of everybody's.
    pub domain: Option<String>,
}

impl Pool {
    /// Whether the pool is for this user.
    #[must_use]
    pub fn has(&self, user: &[u8]) -> bool {
        self.users.iter().any(|pattern| fits(pattern.as_bytes(), user))
    }
}

/// Whether a pattern with `*` for any bytes fits a name, in time of the product of their lengths at most.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let found = (0..=rest.len()).find(|at| rest[*at..].starts_with(part));
        let Some(at) = found else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

/// A pool as the file says it, before its addresses are paired.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnPool {
    pool: Pool,
    /// Where its name is.
    span: Range<usize>,
    local: Option<Vec<Ipv4Addr>>,
    /// Each text of the list with its addresses.
    remote: Vec<(Vec<Ipv4Addr>, Option<Range<usize>>)>,
}

/// A key of a pool.
pub(super) struct PoolKey {
    pub(super) name: &'static str,
    /// A value as TOML, for the sample.
    pub(super) example: &'static str,
    pub(super) meaning: &'static str,
    set: fn(&mut OwnPool, &Item, Resolve<'_>) -> Result<(), Fault>,
    /// Its value as TOML; `None` where nothing is said.
    pub(super) get: fn(&Pool) -> Option<String>,
}

/// All keys of a pool.
pub(super) const POOL_KEYS: &[PoolKey] = &[
    PoolKey {
        name: "users",
        example: "[\"scott\", \"*@shop\"]",
        meaning: "the users whose sessions have addresses of this pool; * stands for any characters; where two pools name a user, the first counts",
        set: |own, item, _| {
            own.pool.users = texts(item)?.into_iter().map(|(name, _)| name).collect();
            match own.pool.users.is_empty() {
                true => Err(fault(item.span(), "the list is empty", "write names, or [\"*\"]")),
                false => Ok(()),
            }
        },
        get: |pool| Some(list(pool.users.iter().cloned())),
    },
    PoolKey {
        name: "remote",
        example: "[\"192.168.2.1-50\"]",
        meaning: "clients' addresses, one for each session; no other pool has them",
        set: |own, item, resolve| {
            own.remote = address_lists(item, Duplicates::Refused, resolve)?;
            Ok(())
        },
        get: |pool| Some(super::write::ranges(pool.slots.iter().map(|(_, remote)| *remote))),
    },
    PoolKey {
        name: "local",
        example: "[\"192.168.0.1\"]",
        meaning: "our addresses in the tunnels: one for all sessions, or one for each; the first one of [addresses] when left out",
        set: |own, item, resolve| {
            own.local = Some(addresses(item, Duplicates::Allowed, resolve)?);
            Ok(())
        },
        get: |pool| Some(super::write::locals(&pool.slots)),
    },
    PoolKey {
        name: "dns",
        example: "[]",
        meaning: "name servers for these clients",
        set: |own, item, resolve| {
            own.pool.dns = Some(servers(item, resolve)?);
            Ok(())
        },
        get: |pool| pool.dns.as_ref().map(|dns| list(dns.iter().map(ToString::to_string))),
    },
    PoolKey {
        name: "wins",
        example: "[]",
        meaning: "WINS servers for these clients",
        set: |own, item, resolve| {
            own.pool.wins = Some(servers(item, resolve)?);
            Ok(())
        },
        get: |pool| pool.wins.as_ref().map(|wins| list(wins.iter().map(ToString::to_string))),
    },
    PoolKey {
        name: "routes",
        example: "[]",
        meaning: "networks that these clients reach through the tunnel",
        set: |own, item, _| {
            own.pool.routes = Some(networks(item)?);
            Ok(())
        },
        get: |pool| pool.routes.as_deref().map(super::write::networks),
    },
    PoolKey {
        name: "domain",
        example: "\"\"",
        meaning: "the domain in which these clients look up short names",
        set: |own, item, _| {
            own.pool.domain = Some(domain(item)?);
            Ok(())
        },
        get: |pool| pool.domain.as_deref().map(quoted),
    },
];

impl OwnFile<'_> {
    /// Reads the pools, in the file's order.
    pub(super) fn read_pools(&self, reader: &mut Reader<'_>, resolve: Resolve<'_>) -> Vec<OwnPool> {
        let Some(item) = self.document.as_table().get(POOLS) else { return Vec::new() };
        let Some(tables) = item.as_table_like() else {
            self.say(item.span(), "pools is no value but a section", "write [pools.NAME]", reader);
            return Vec::new();
        };
        let mut pools = Vec::new();
        for (name, item) in tables.iter() {
            let span = tables.key(name).and_then(|key| key.span()).or(item.span());
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if !(1..=MAX_NAME).contains(&name.len()) || !name.chars().all(fits) {
                let message = format!("a pool's name has 1 to {MAX_NAME} letters, digits, - and _");
                self.say(span, message, "write another, such as [pools.office]", reader);
            } else if pools.len() == MAX_POOLS {
                let message = format!("there are more than {MAX_POOLS} pools");
                self.say(
                    span,
                    message,
                    "give users addresses of their own in chap-secrets",
                    reader,
                );
                break;
            } else {
                pools.extend(self.read_pool(name, span.unwrap_or(0..0), item, reader, resolve));
            }
        }
        pools
    }

    fn read_pool(
        &self,
        name: &str,
        span: Range<usize>,
        item: &Item,
        reader: &mut Reader<'_>,
        resolve: Resolve<'_>,
    ) -> Option<OwnPool> {
        let Some(table) = item.as_table_like() else {
            let message = format!("pools.{name} is no value but a section");
            self.say(Some(span), message, format!("write [pools.{name}]"), reader);
            return None;
        };
        let pool = Pool { name: name.to_owned(), ..Pool::default() };
        let mut own = OwnPool { pool, span: span.clone(), ..OwnPool::default() };
        for (word, value) in table.iter() {
            let at = table.key(word).and_then(|key| key.span()).or(value.span());
            let path = format!("pools.{name}.{word}");
            let Some(key) = POOL_KEYS.iter().find(|key| key.name == word) else {
                let known = POOL_KEYS.iter().map(|key| key.name);
                let remedy = nearest(word, known.clone()).map_or_else(
                    || format!("a pool has {}", known.collect::<Vec<_>>().join(", ")),
                    |known| format!("did you mean {known}?"),
                );
                self.say(at, format!("there is no key {path}"), remedy, reader);
                continue;
            };
            match (key.set)(&mut own, value, resolve) {
                Ok(()) => reader.origins.push(self.origin_of(key, path, at, value)),
                Err(bad) => {
                    let message = format!("{path}: {}", bad.message);
                    self.say(bad.span.or(value.span()), message, bad.remedy, reader);
                }
            }
        }
        for wanted in ["users", "remote"] {
            if !table.contains_key(wanted) {
                let message = format!("pools.{name} has no {wanted}");
                self.say(Some(span.clone()), message, format!("write {wanted} = [\"…\"]"), reader);
            }
        }
        Some(own)
    }

    fn origin_of(
        &self,
        key: &PoolKey,
        path: String,
        span: Option<Range<usize>>,
        value: &Item,
    ) -> Origin {
        let place = place(&self.lines, span.unwrap_or(0..0));
        let text = value.span().and_then(|span| self.text.get(span)).unwrap_or_default();
        Origin {
            name: POOLS,
            word: path,
            argument: Some(format!("= {text}")),
            file: self.path.into(),
            line: place.line,
            place,
            class: Class::Honoured,
            meaning: key.meaning,
        }
    }

    fn say(
        &self,
        span: Option<Range<usize>>,
        message: impl Into<String>,
        remedy: impl Into<String>,
        reader: &mut Reader<'_>,
    ) {
        let place = place(&self.lines, span.unwrap_or(0..0));
        self.file(reader.diagnostics).error(&place, message, remedy);
    }

    /// Pairs the addresses of each pool. No client's address may be in two pools, in `everybodys`, or one of ours.
    pub(crate) fn pair_pools(
        &self,
        pools: &[OwnPool],
        everybodys: &[(Ipv4Addr, Ipv4Addr)],
        diagnostics: &mut Diagnostics,
    ) -> Vec<Pool> {
        let given = pools.iter().filter_map(|pool| pool.local.as_ref()).flatten();
        let ours: HashSet<Ipv4Addr> =
            given.chain(everybodys.iter().map(|(local, _)| local)).copied().collect();
        let remote = everybodys.iter().map(|(_, remote)| *remote);
        let mut taken: HashMap<Ipv4Addr, &str> = remote.map(|remote| (remote, "")).collect();
        let mut sessions = everybodys.len();
        let mut paired = Vec::new();
        for own in pools {
            for (list, span) in &own.remote {
                let clash = list.iter().find_map(|address| {
                    let holder = match taken.get(address) {
                        _ if ours.contains(address) => "is one of our addresses",
                        Some(&"") => "is in [addresses] too",
                        Some(&pool) if pool != own.pool.name => {
                            return Some(format!("{address} is in pools.{pool} too"));
                        }
                        _ => return None,
                    };
                    Some(format!("{address} {holder}"))
                });
                if let Some(clash) = clash {
                    let place = place(&self.lines, span.clone().unwrap_or(0..0));
                    let message = format!("pools.{}.remote: {clash}", own.pool.name);
                    self.file(diagnostics).error(&place, message, "take it out of one of the two");
                }
                taken.extend(list.iter().map(|address| (*address, own.pool.name.as_str())));
            }
            let pool = self.pair_pool(own, everybodys, diagnostics);
            sessions += pool.slots.len();
            paired.push(pool);
        }
        if sessions > MAX_CONNECTIONS as usize {
            let place = place(&self.lines, pools.last().map_or(0..0, |own| own.span.clone()));
            let message = format!("all pools together have addresses for {sessions} sessions");
            let remedy = format!("give them {MAX_CONNECTIONS} at most: there are no more call ids");
            self.file(diagnostics).error(&place, message, remedy);
        }
        paired
    }

    fn pair_pool(
        &self,
        own: &OwnPool,
        everybodys: &[(Ipv4Addr, Ipv4Addr)],
        diagnostics: &mut Diagnostics,
    ) -> Pool {
        let first = everybodys.first().map(|(local, _)| vec![*local]);
        let local = own.local.clone().or(first).unwrap_or_default();
        let remote: Vec<Ipv4Addr> = own.remote.iter().flat_map(|(list, _)| list).copied().collect();
        let count = if local.len() == 1 { remote.len() } else { remote.len().min(local.len()) };
        if count < remote.len() && !local.is_empty() {
            let place = place(&self.lines, own.span.clone());
            let unused = remote.len() - count;
            let message =
                format!("{unused} of the addresses of pools.{} are never used", own.pool.name);
            let remedy = "write one local address, or one for each remote one";
            self.file(diagnostics).warn(&place, message, remedy);
        }
        let slots = local.iter().copied().cycle().zip(remote).take(count).collect();
        Pool { slots, ..own.pool.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, fit) in [
            ("scott", "scott", true),
            ("scott", "scotty", false),
            ("*", "", true),
            ("*@shop", "anna@shop", true),
            ("*@shop", "anna@shop.example", false),
            ("SHOP\\*", "SHOP\\anna", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("a*a", "a", false),
            ("**", "x", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), fit, "{pattern} {name}");
        }
    }
}
