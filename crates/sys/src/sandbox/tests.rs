//! Each test confines a thread of its own, and sees what it can do no more.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SocketType, socket};
use rustix::thread::capabilities;

use super::*;

/// Runs `work` on a thread that is confined to a role.
fn confined<T: Send>(role: Role, work: impl FnOnce() -> T + Send) -> T {
    let places = Places { read: vec!["/proc".into()], write: Vec::new() };
    let sandbox = Sandbox::prepare(&places).unwrap();
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            sandbox.enter(role).unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

fn has_filters() -> bool {
    let has = secure_computing_mode().is_ok() && calls::filters().unwrap().is_some();
    if !has {
        eprintln!("skipped: this kernel or processor has no filters");
    }
    has
}

/// What the kernel says about the calling thread.
fn status(key: &str) -> String {
    let text = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim_start_matches(':').trim().to_owned()
}

#[test]
fn a_role_keeps_its_capabilities_and_no_others() {
    let before = capabilities(None).unwrap().permitted;
    let sets = ["CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd", "NoNewPrivs"];
    for role in [Role::Control, Role::Disk] {
        let after = confined(role, || sets.map(status));
        let hexadecimal = |set: CapabilitySet| format!("{:016x}", set.bits());
        let (kept, none) =
            (hexadecimal(before & role.capabilities()), hexadecimal(CapabilitySet::empty()));
        assert_eq!(after[..4], [kept.clone(), kept, none.clone(), none.clone()], "{role:?}");
        if before.contains(CapabilitySet::SETPCAP) {
            assert_eq!(after[4], none);
        }
        assert_eq!(after[5], "1");
    }
    // Other threads are as they were.
    assert_eq!(capabilities(None).unwrap().permitted, before);
}

#[test]
fn no_role_starts_programs() {
    if !has_filters() {
        return;
    }
    for role in Role::ALL {
        let error = confined(role, || Command::new("/bin/true").spawn().unwrap_err());
        assert_eq!(error.raw_os_error(), Some(libc::ENOSYS), "{role:?}");
    }
}

/// What code that took a thread over would try, and how the kernel answers.
#[test]
fn what_no_server_does_is_refused_to_every_role() {
    if !has_filters() {
        return;
    }
    let attempts: &[(&str, libc::c_long, [usize; 3])] = &[
        ("execve", libc::SYS_execve, [0; 3]),
        ("execveat", libc::SYS_execveat, [0; 3]),
        ("clone3", libc::SYS_clone3, [0; 3]),
        ("clone without CLONE_THREAD", libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0]),
        ("ptrace", libc::SYS_ptrace, [libc::PTRACE_TRACEME as usize, 0, 0]),
        ("process_vm_readv", libc::SYS_process_vm_readv, [1, 0, 0]),
        ("kill", libc::SYS_kill, [1, 0, 0]),
        ("mount", libc::SYS_mount, [0; 3]),
        ("unshare", libc::SYS_unshare, [0; 3]),
        ("setns", libc::SYS_setns, [usize::MAX, 0, 0]),
        ("setuid", libc::SYS_setuid, [0; 3]),
        ("capset", libc::SYS_capset, [0; 3]),
        ("init_module", libc::SYS_init_module, [0; 3]),
        ("bpf", libc::SYS_bpf, [0; 3]),
        ("io_uring_setup", libc::SYS_io_uring_setup, [0; 3]),
        ("keyctl", libc::SYS_keyctl, [0; 3]),
        ("reboot", libc::SYS_reboot, [0; 3]),
        ("prlimit64 that sets", libc::SYS_prlimit64, [0, 0, 8]),
        ("mmap, writable and executable", libc::SYS_mmap, [0, 4096, 7]),
        ("mprotect, writable and executable", libc::SYS_mprotect, [0, 0, 7]),
        ("socket of packets", libc::SYS_socket, [libc::AF_PACKET as usize, 3, 0]),
        ("raw socket", libc::SYS_socket, [libc::AF_INET as usize, 3, 47]),
        ("netlink of the audit system", libc::SYS_socket, [16, 3, 9]),
    ];
    for role in Role::ALL {
        confined(role, || {
            for (name, call, [one, two, three]) in attempts {
                // SAFETY: none of these calls is made: the filter answers. Were it not there, the arguments are ones that the kernel
                // refuses, or that change nothing that others rely on.
                let result = unsafe { libc::syscall(*call, *one, *two, *three, 0, 0, 0) };
                let error = io::Error::last_os_error().raw_os_error();
                assert_eq!((result, error), (-1, Some(libc::ENOSYS)), "{role:?}: {name}");
            }
        });
    }
}

#[test]
fn who_moves_packets_opens_nothing() {
    if !has_filters() {
        return;
    }
    confined(Role::Packets, || {
        let pause = rustix::time::Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        assert_eq!(rustix::event::poll(&mut [], Some(&pause)), Ok(0));
        // SAFETY: nothing is submitted, to no context.
        let submitted = unsafe { libc::syscall(libc::SYS_io_submit, 0, 0, 0) };
        let error = io::Error::last_os_error().raw_os_error();
        assert_eq!((submitted, error), (-1, Some(libc::EINVAL)), "the kernel is asked");
        let opened = File::open("/etc/hostname").unwrap_err();
        assert_eq!(opened.raw_os_error(), Some(libc::ENOSYS));
        let connected = socket(AddressFamily::INET, SocketType::STREAM, None::<Protocol>);
        assert_eq!(connected.unwrap_err(), Errno::NOSYS);
    });
}

#[test]
fn the_control_plane_connects_and_starts_threads() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let served = confined(Role::Control, || {
        let address = listener.local_addr().unwrap();
        let client = thread::spawn(move || TcpStream::connect(address).unwrap().local_addr());
        let (_, from) = listener.accept().unwrap();
        client.join().unwrap().unwrap() == from
    });
    assert!(served);
}

#[test]
fn what_threads_start_is_confined_like_them() {
    if !has_filters() {
        return;
    }
    let error = confined(Role::Control, || {
        thread::spawn(|| Command::new("/bin/true").spawn().unwrap_err()).join().unwrap()
    });
    assert_eq!(error.raw_os_error(), Some(libc::ENOSYS));
}

#[test]
fn files_elsewhere_are_shut_where_the_kernel_has_landlock() {
    let dir = std::env::temp_dir().join(format!("gretel-sandbox-{}", std::process::id()));
    let [read, write, elsewhere] = ["read", "write", "elsewhere"].map(|name| dir.join(name));
    for folder in [&read, &write, &elsewhere] {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("file"), "text").unwrap();
    }
    let missing = dir.join("missing");
    let places = Places { read: vec![read.clone(), missing], write: vec![write.clone()] };
    let sandbox = Sandbox::prepare(&places).unwrap();
    if sandbox.0.as_ref().unwrap().files.is_none() {
        std::fs::remove_dir_all(&dir).unwrap();
        return eprintln!("skipped: this kernel has no Landlock");
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            sandbox.enter(Role::Control).unwrap();
            assert_eq!(std::fs::read_to_string(read.join("file")).unwrap(), "text");
            let denied = |result: io::Result<()>| {
                assert_eq!(result.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            };
            denied(std::fs::write(read.join("file"), "other"));
            denied(std::fs::read(elsewhere.join("file")).map(drop));
            denied(File::options().write(true).open("/etc/shadow").map(drop));
            std::fs::write(write.join("new"), "more").unwrap();
            std::fs::rename(write.join("new"), write.join("file")).unwrap();
            std::fs::remove_file(write.join("file")).unwrap();
            assert!(File::options().write(true).open("/dev/null").is_ok());
        });
    });
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn without_a_sandbox_nothing_changes() {
    let before = capabilities(None).unwrap().permitted;
    Sandbox::off().enter(Role::Packets).unwrap();
    assert_eq!(capabilities(None).unwrap().permitted, before);
    assert!(Sandbox::off().lacking().is_empty());
}
