//! Which system calls a thread may make (seccomp, `seccomp(2)`): one table for all roles.
//!
//! What is not in here is refused, above all: starting programs and processes (`execve`, `fork`), changing identity or capabilities, looking into
//! other processes (`ptrace`, `process_vm_readv`), signals to them, mounts, namespaces, kernel modules, eBPF, `io_uring`, keyrings, and memory that is
//! both writable and executable.

use std::collections::BTreeMap;
use std::io;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::Role;
use super::Role::{Control, Disk, Log, Packets, Ways};

/// Calls of one purpose.
struct Row {
    roles: &'static [Role],
    calls: &'static [c_long],
    /// With which arguments: those of any line, all of a line's conditions. Empty: with any.
    only: &'static [&'static [Argument]],
}

/// An argument's bits under a mask must be these. 32-bit arguments have 32-bit masks: what stands above them means nothing.
struct Argument {
    number: u8,
    mask: u64,
    bits: u64,
}

/// `linux/bpf.h`.
const MAP_UPDATE_ELEM: i32 = 2;

const EVERYONE: &[Role] = &Role::ALL;
const FILES: &[Role] = &[Control, Disk];

const TABLE: &[Row] = &[
    // Packets, lines, rows: moving bytes through files that are open.
    any(EVERYONE, &[libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev]),
    any(&[Packets, Control, Ways], &[libc::SYS_recvfrom, libc::SYS_sendto]),
    any(&[Packets, Control, Ways], &[libc::SYS_recvmsg, libc::SYS_sendmsg]),
    // Packets by the batch.
    any(&[Packets], &[libc::SYS_recvmmsg, libc::SYS_sendmmsg]),
    any(&[Packets], &[libc::SYS_io_submit, libc::SYS_io_getevents, libc::SYS_io_destroy]),
    // Room in a socket's queue, where it was full.
    any(&[Packets], &[libc::SYS_ppoll]),
    any(EVERYONE, &[libc::SYS_close]),
    // What a debug build asks before it closes a file.
    only(EVERYONE, &[libc::SYS_fcntl], &[&[int(1, libc::F_GETFD)]]),
    // Waiting: for files, other threads, time.
    any(
        &[Packets, Control, Ways],
        &[libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2, libc::SYS_epoll_ctl],
    ),
    #[cfg(target_arch = "x86_64")]
    any(&[Packets, Control, Ways], &[libc::SYS_epoll_wait]),
    any(EVERYONE, &[libc::SYS_futex, libc::SYS_sched_yield, libc::SYS_restart_syscall]),
    any(EVERYONE, &[libc::SYS_clock_nanosleep, libc::SYS_nanosleep]),
    // Clocks, where the kernel does not give them without a call.
    any(EVERYONE, &[libc::SYS_clock_gettime, libc::SYS_gettimeofday, libc::SYS_getrandom]),
    // Memory that is not writable and executable at once. Executable memory is for libraries that the C library loads to look names up.
    any(EVERYONE, &[libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise]),
    only(
        EVERYONE,
        &[libc::SYS_mmap, libc::SYS_mprotect],
        &[&[without(2, libc::PROT_EXEC)], &[without(2, libc::PROT_WRITE)]],
    ),
    // What the C library does when a thread begins and ends, and when a signal comes.
    any(EVERYONE, &[libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_sigaltstack]),
    any(EVERYONE, &[libc::SYS_rt_sigprocmask, libc::SYS_rt_sigaction, libc::SYS_rt_sigreturn]),
    any(EVERYONE, &[libc::SYS_gettid, libc::SYS_getpid, libc::SYS_sched_getaffinity]),
    any(EVERYONE, &[libc::SYS_exit, libc::SYS_exit_group]),
    only(EVERYONE, &[libc::SYS_prctl], &[&[int(0, libc::PR_SET_NAME)]]),
    // Threads, and no processes. clone3, whose arguments no filter can read, is refused: the C library then uses clone.
    only(&[Control], &[libc::SYS_clone], &[&[with(0, libc::CLONE_THREAD)]]),
    // A daemon's output, once it serves.
    any(&[Control], &[libc::SYS_dup3]),
    #[cfg(target_arch = "x86_64")]
    any(&[Control], &[libc::SYS_dup2]),
    // Limits are looked at, and not changed.
    only(&[Control], &[libc::SYS_prlimit64], &[&[null(2)]]),
    // Files: configuration, secrets, the state directory, databases. Which, Landlock decides.
    any(FILES, &[libc::SYS_openat, libc::SYS_fcntl, libc::SYS_lseek, libc::SYS_getdents64]),
    any(FILES, &[libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_fstatfs]),
    any(FILES, &[libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_readlinkat]),
    any(FILES, &[libc::SYS_pread64, libc::SYS_pwrite64, libc::SYS_ftruncate, libc::SYS_flock]),
    any(FILES, &[libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_getcwd, libc::SYS_umask]),
    any(FILES, &[libc::SYS_mkdirat, libc::SYS_unlinkat, libc::SYS_renameat, libc::SYS_renameat2]),
    any(FILES, &[libc::SYS_fchmod, libc::SYS_fchown, libc::SYS_fadvise64]),
    any(FILES, &[libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid]),
    #[cfg(target_arch = "x86_64")]
    any(FILES, &[libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_access]),
    #[cfg(target_arch = "x86_64")]
    any(FILES, &[libc::SYS_readlink, libc::SYS_mkdir, libc::SYS_unlink, libc::SYS_rmdir]),
    #[cfg(target_arch = "x86_64")]
    any(FILES, &[libc::SYS_rename]),
    // Sockets: clients, administrators, name servers, the service manager; netlink for addresses, routes and rules. No raw and no packet sockets.
    only(
        &[Control],
        &[libc::SYS_socket],
        &[
            &[int(0, libc::AF_INET), socket_type(libc::SOCK_STREAM)],
            &[int(0, libc::AF_INET), socket_type(libc::SOCK_DGRAM)],
            &[int(0, libc::AF_INET6), socket_type(libc::SOCK_STREAM)],
            &[int(0, libc::AF_INET6), socket_type(libc::SOCK_DGRAM)],
            &[int(0, libc::AF_UNIX)],
            &[int(0, libc::AF_NETLINK), int(2, libc::NETLINK_ROUTE)],
            &[int(0, libc::AF_NETLINK), int(2, libc::NETLINK_NETFILTER)],
        ],
    ),
    only(&[Log], &[libc::SYS_socket], &[&[int(0, libc::AF_UNIX)]]),
    any(&[Log, Control], &[libc::SYS_connect, libc::SYS_setsockopt, libc::SYS_getsockopt]),
    any(&[Log], &[libc::SYS_sendto, libc::SYS_sendmsg, libc::SYS_ppoll]),
    any(&[Control], &[libc::SYS_accept4, libc::SYS_bind, libc::SYS_shutdown, libc::SYS_ppoll]),
    any(&[Control], &[libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_sendmmsg]),
    #[cfg(target_arch = "x86_64")]
    any(&[Log, Control], &[libc::SYS_poll]),
    // A packet for the C library's resolver, as long as it is.
    only(&[Control], &[libc::SYS_ioctl], &[&[int(1, libc::FIONREAD as i32)]]),
    // TUN interfaces without super-packets.
    only(&[Packets], &[libc::SYS_ioctl], &[&[int(1, libc::TUNSETOFFLOAD as i32)]]),
    // TUN interfaces, and their names and numbers; sockets that do not block.
    only(
        &[Control],
        &[libc::SYS_ioctl],
        &[
            &[int(1, libc::TUNSETIFF as i32)],
            &[int(1, libc::TUNSETOFFLOAD as i32)],
            &[int(1, libc::SIOCGIFINDEX as i32)],
            &[int(1, libc::FIONBIO as i32)],
        ],
    ),
    // Addresses that network cards' filters look for: entries of a map that is open. No map and no program is made.
    only(&[Ways], &[libc::SYS_bpf], &[&[int(0, MAP_UPDATE_ELEM)]]),
    // Mailboxes of the runtime.
    any(&[Control], &[libc::SYS_eventfd2, libc::SYS_epoll_create1, libc::SYS_pipe2]),
];

const fn any(roles: &'static [Role], calls: &'static [c_long]) -> Row {
    Row { roles, calls, only: &[] }
}

const fn only(
    roles: &'static [Role],
    calls: &'static [c_long],
    only: &'static [&'static [Argument]],
) -> Row {
    Row { roles, calls, only }
}

const INT: u64 = u32::MAX as u64;

/// An `int` of this value.
const fn int(number: u8, value: i32) -> Argument {
    Argument { number, mask: INT, bits: value.cast_unsigned() as u64 }
}

/// An `int` with this bit.
const fn with(number: u8, bit: i32) -> Argument {
    let bit = bit.cast_unsigned() as u64;
    Argument { number, mask: bit, bits: bit }
}

/// An `int` without this bit.
const fn without(number: u8, bit: i32) -> Argument {
    Argument { number, mask: bit.cast_unsigned() as u64, bits: 0 }
}

const fn null(number: u8) -> Argument {
    Argument { number, mask: u64::MAX, bits: 0 }
}

/// A socket's type, which has flags above its lowest four bits.
const fn socket_type(value: i32) -> Argument {
    Argument { number: 1, mask: 0xf, bits: value.cast_unsigned() as u64 }
}

/// The filter of each role, in the order of [`Role::ALL`]; `None` for a processor that there is no compiler for.
pub(super) fn filters() -> io::Result<Option<[BpfProgram; Role::ALL.len()]>> {
    let Ok(processor) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(None) };
    let mut programs = Vec::with_capacity(Role::ALL.len());
    for role in Role::ALL {
        programs.push(filter(role, processor).map_err(io::Error::other)?);
    }
    Ok(programs.try_into().ok())
}

fn filter(role: Role, processor: TargetArch) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let rows = || TABLE.iter().filter(|row| row.roles.contains(&role));
    for row in rows() {
        for call in row.calls {
            let allowed = rules.entry(*call).or_default();
            for line in row.only {
                let conditions = line.iter().map(Argument::condition).collect::<Result<_, _>>()?;
                allowed.push(SeccompRule::new(conditions)?);
            }
        }
    }
    // No rule at all stands for any arguments, whatever another row says.
    for call in rows().filter(|row| row.only.is_empty()).flat_map(|row| row.calls) {
        rules.insert(*call, Vec::new());
    }
    let refuse = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    SeccompFilter::new(rules, refuse, SeccompAction::Allow, processor)?.try_into()
}

impl Argument {
    fn condition(&self) -> Result<SeccompCondition, seccompiler::BackendError> {
        let equal = SeccompCmpOp::MaskedEq(self.mask);
        SeccompCondition::new(self.number, SeccompCmpArgLen::Qword, equal, self.bits)
    }
}

/// Has the calling thread follow a filter; refused calls are logged by the kernel. Wants `no_new_privs`.
pub(super) fn install(program: &BpfProgram) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: `program` points to as many instructions as it says, which the kernel checks and copies before it answers; seccompiler's type has
    // the layout of the kernel's. A filter changes no memory of this process: a call that it refuses is one that failed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_LOG,
            &raw const program,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
