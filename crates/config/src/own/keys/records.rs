//! `[records]`.

use super::super::value::{flag, number, path};
use super::{Key, quoted};

pub(super) const RECORDS: &[Key] = &[
    Key {
        path: "records.log-file",
        default: "\"\"",
        meaning: "a file that log lines go to as well; none when empty",
        names: &["logfile"],
        set: |_, options, item, _| {
            options.logfile = Some(path(item)?).filter(|path| !path.as_os_str().is_empty());
            Ok(())
        },
        get: |config| {
            config.options.logfile.as_ref().map(|file| quoted(&file.display().to_string()))
        },
    },
    Key {
        path: "records.logins",
        default: "false",
        meaning: "whether logins are written to wtmpdb's database or /var/log/wtmp, for `last`",
        names: &["logwtmp"],
        set: |own, _, item, _| {
            own.logwtmp = Some(flag(item)?);
            Ok(())
        },
        get: |config| Some(config.logwtmp.to_string()),
    },
    Key {
        path: "records.history",
        default: "\"\"",
        meaning: "the directory in which ended attempts are kept; when empty /var/lib/gretel for the service, else where --state-dir is",
        names: &[],
        set: |own, _, item, _| {
            own.records.directory = Some(path(item)?).filter(|path| !path.as_os_str().is_empty());
            Ok(())
        },
        get: |config| {
            let directory = config.records.directory.as_ref();
            directory.map(|directory| quoted(&directory.display().to_string()))
        },
    },
    Key {
        path: "records.history-attempts",
        default: "20000",
        meaning: "how many attempts are kept; the oldest go first",
        names: &[],
        set: |own, _, item, _| {
            own.records.attempts = Some(number(item, 1, 10_000_000)?);
            Ok(())
        },
        get: |config| config.records.attempts.map(|number| number.to_string()),
    },
    Key {
        path: "records.history-days",
        default: "90",
        meaning: "days that they are kept",
        names: &[],
        set: |own, _, item, _| {
            own.records.days = Some(number(item, 1, 36_500)?);
            Ok(())
        },
        get: |config| config.records.days.map(|number| number.to_string()),
    },
    Key {
        path: "records.history-megabytes",
        default: "16",
        meaning: "MiB that they take at most",
        names: &[],
        set: |own, _, item, _| {
            own.records.megabytes = Some(number(item, 1, 65_536)?);
            Ok(())
        },
        get: |config| config.records.megabytes.map(|number| number.to_string()),
    },
];
