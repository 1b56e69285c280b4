//! Named checks and their sum.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use anyhow::{Result, anyhow};

/// Counts what passed and what failed.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    failures: Vec<String>,
}

impl Report {
    /// Runs one check and prints its verdict; a panic is a failure like any other.
    pub(crate) fn check(&mut self, name: &str, body: impl FnOnce() -> Result<()>) {
        let start = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(body))
            .unwrap_or_else(|_| Err(anyhow!("the check itself panicked")));
        let seconds = start.elapsed().as_secs_f32();
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("PASS {name} ({seconds:.1} s)");
            }
            Err(error) => {
                println!("FAIL {name} ({seconds:.1} s)\n     {}", indent(&format!("{error:#}")));
                self.fail(name);
            }
        }
    }

    /// As [`Self::check`], of a program that is not ours: what does not hold there is said, and is nobody's failure here.
    pub(crate) fn observe(&mut self, name: &str, body: impl FnOnce() -> Result<()>) {
        let start = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(body))
            .unwrap_or_else(|_| Err(anyhow!("the check itself panicked")));
        let seconds = start.elapsed().as_secs_f32();
        match result {
            Ok(()) => println!("SAME {name} ({seconds:.1} s)"),
            Err(error) => {
                println!("DIFFERS {name} ({seconds:.1} s)\n     {}", indent(&format!("{error:#}")));
            }
        }
    }

    /// Counts a failure that has been printed elsewhere.
    pub(crate) fn fail(&mut self, name: &str) {
        self.failed += 1;
        self.failures.push(name.to_owned());
    }

    /// Whether a check of this name failed.
    pub(crate) fn has_failed(&self, name: &str) -> bool {
        self.failures.iter().any(|failed| failed == name)
    }

    /// Takes over the figures of a part that counted for itself.
    pub(crate) fn add(&mut self, passed: usize, failed: usize, part: &str) {
        self.passed += passed;
        self.failed += failed;
        if failed > 0 {
            self.failures.push(format!("{part}: {failed} failed"));
        }
    }

    /// Prints the failures again and the closing line; `true` when nothing failed.
    pub(crate) fn close(&self) -> bool {
        for name in &self.failures {
            println!("failed: {name}");
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0
    }
}

/// Finds the last line `N passed, N failed` in what a part printed.
pub(crate) fn closing_line(text: &str) -> Option<(usize, usize)> {
    text.lines().rev().find_map(|line| {
        let (passed, failed) = line.trim().split_once(" passed, ")?;
        Some((passed.parse().ok()?, failed.strip_suffix(" failed")?.parse().ok()?))
    })
}

/// Sums the lines `test result: ok. N passed; N failed; …` of cargo's test programs.
pub(crate) fn test_results(text: &str) -> (usize, usize) {
    let mut sums = (0, 0);
    for line in text.lines().filter(|line| line.starts_with("test result: ")) {
        let number = |name: &str| -> usize {
            let before = line.split(name).next().unwrap_or_default();
            before.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
        };
        sums.0 += number(" passed;");
        sums.1 += number(" failed;");
    }
    sums
}

fn indent(text: &str) -> String {
    text.trim_end().replace('\n', "\n     ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_closing_line_counts() {
        let text = "PASS a\n1 passed, 0 failed\nnoise\n12 passed, 3 failed\nend\n";
        assert_eq!(closing_line(text), Some((12, 3)));
        assert_eq!(closing_line("12 passed; 3 failed"), None);
    }

    #[test]
    fn cargos_results_are_summed() {
        let text = "test a ... ok\ntest result: ok. 3 passed; 0 failed; 0 ignored; 0 measured\n\
                    test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured\n";
        assert_eq!(test_results(text), (13, 2));
        assert_eq!(test_results("error: could not compile"), (0, 0));
    }

    #[test]
    fn an_error_and_a_panic_are_failures() {
        let mut report = Report::default();
        report.check("good", || Ok(()));
        report.check("bad", || Err(anyhow!("no")));
        report.check("worse", || panic!("on purpose"));
        assert_eq!((report.passed, report.failed), (1, 2));
        assert!(!report.close());
    }
}
