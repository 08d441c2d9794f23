//! Ways out of a sandbox, tried from inside: mounts, processes, devices, terminals, privileged programs.

use std::fs;
use std::process::Command;

use serde_json::json;

use super::{look, prepared, sandboxed, start_with_token, write};
use crate::support::require::require_program;
use crate::support::server::TestServer;

/// Each line tries one way and prints a word when it worked.
const WAYS: &str = r#"
for m in /tmp /run /var /home /root /proc /dev / "$HOME"; do umount "$m" && echo "UNMOUNTED $m"; umount -l "$m" && echo "DETACHED $m"; done
mount -o remount,rw,bind / && echo REMOUNTED
mount --bind /usr /mnt && echo BOUND
mount -t tmpfs none /srv && echo MOUNTED
for t in "-Ur" "-Urm" "-Urmp --fork"; do
  unshare $t sh -c 'umount /run && echo UNMOUNTED-IN-NAMESPACE; umount -l "$HOME" && echo HOME-IN-NAMESPACE; mount -o remount,rw,bind / && touch /etc/x && echo REMOUNTED-IN-NAMESPACE'
done
nsenter -t 1 -m true && echo ENTERED
touch /etc/rs-worker-escape /usr/rs-worker-escape && echo WROTE-SYSTEM
for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/vm/* /proc/sysrq-trigger /proc/irq /proc/acpi /proc/scsi \
  /sys/kernel/uevent_helper /sys/power/state /sys/fs/cgroup /sys/fs/cgroup/*/release_agent /sys/fs/cgroup/cgroup.procs /sys/module/*/parameters/*; do
  [ -w "$f" ] && echo "WRITABLE $f"
done
mknod "$HOME/disk" b 8 0 && echo MADE-DEVICE
ls /dev | grep -E '^(sd|vd|nvme|mem|kmem|kmsg|fuse|kvm)' && echo DEVICES
true < /dev/tty && echo TERMINAL
true < /dev/console && echo CONSOLE
chroot /proc/1/root sh -c 'ls /' && echo CHROOTED
for p in /proc/[0-9]*; do [ "$(readlink $p/root)" = / ] || echo "ROOT $p"; r=$p/root; ls $r/oldroot && echo OLDROOT; done
ls /oldroot /newroot && echo LEFT-ROOTS
for fd in /proc/[0-9]*/fd/*; do case "$(readlink $fd)" in pipe:*|/dev/null|*/out-*|anon_inode:*|"") ;; socket:*) echo "SOCKET $fd";; /proc/*) ;; *) echo "OPEN $fd $(readlink $fd)";; esac; done
grep -E '^Cap(Prm|Eff|Amb)' /proc/self/status | grep -v 0000000000000000
grep NoNewPrivs /proc/self/status | grep -v 1
su -c true nobody < /dev/null && [ "$(id -u)" != 0 ] && echo SU
kill -0 -1 && ps -e 2>/dev/null | grep -E 'rs-worker|systemd' && echo PROCESSES
true
"#;

/// Asserts that nothing escaped from the sandbox of a server, with any of its runners.
fn assert_closed(server: &TestServer) {
    for runner in ["bwrap", "bwrap-offline"] {
        let (_, worked) = look(server, &format!("exec 2>/dev/null\n{WAYS}"), &json!({"runner": runner}));
        assert_eq!(worked, "", "{runner}");
    }
}

#[test]
fn ways_out_of_the_sandbox_are_closed() {
    let Some(_) = require_program("bwrap") else { return };
    let server = sandboxed("escapes", "bwrap,bwrap-offline", |_| ());
    assert_closed(&server);
}

#[test]
fn ways_out_are_closed_for_an_ordinary_user_too() {
    let Some(_) = require_program("bwrap") else { return };
    if !nix::unistd::Uid::effective().is_root() {
        return ways_out_of_the_sandbox_are_closed();
    }
    let mut server = prepared("escapes-user", "bwrap,bwrap-offline");
    // The checkout may be inaccessible to others.
    let program = server.dir().join("rs-worker");
    fs::copy(env!("CARGO_BIN_EXE_rs-worker"), &program).unwrap();
    server.set_binary(&program);
    server.set_under(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    let owned = Command::new("chown").args(["-R", "65534:65534"]).arg(server.dir()).status().unwrap();
    assert!(owned.success());
    start_with_token(&mut server);
    let (_, id) =
        look(&server, "id -u; git init -q x && echo done; echo y > ~/.cache-file && cat ~/.cache-file", &json!({}));
    assert_eq!(id, "65534\ndone\ny\n");
    assert_closed(&server);
}

#[test]
fn folder_that_is_replaced_while_the_sandbox_starts_runs_nothing() {
    let Some(_) = require_program("bwrap") else { return };
    // Bubblewrap has its command line, and the folder is moved before it starts: the worst moment.
    let built_in: serde_json::Value = serde_json::from_str(include_str!("../../../src/runner/built_in.json")).unwrap();
    let bwrap = built_in.as_array().unwrap().iter().find(|one| one["name"] == "bwrap").unwrap();
    let swap = r#"p="$0"; d=$(dirname "$p"); if [ -e "$d/swap" ]; then mv "$p" "$p.old" && ln -s "$d/outside" "$p"; fi; exec "$@""#;
    let server = sandboxed("escapes-race", "late", |server| {
        let mut command = vec![json!("sh"), json!("-c"), json!(swap), json!("{project}")];
        command.extend(bwrap["command"].as_array().unwrap().clone());
        let late = json!({"from": "bwrap", "command": command});
        write(&server.dir().join("runners/late.json"), &late.to_string());
        write(&server.dir().join("outside/.profile"), "");
    });
    let (_, seen) = look(&server, "pwd", &json!({}));
    assert_eq!(seen.trim_end(), server.project().to_str().unwrap());
    write(&server.dir().join("swap"), "");
    let worker = super::start_look(&server, "echo x >> .profile; touch ran", &json!({}));
    let failed = worker.wait_status(&server, "failed");
    assert!(failed["reason"].to_string().contains("was replaced by another folder or a link"), "{failed}");
    assert_eq!(fs::read_to_string(server.dir().join("outside/.profile")).unwrap(), "");
    assert!(!server.dir().join("outside/ran").exists());
}

/// Requests from the server each thing that an agent could want, and prints the status of each response.
const ASK: &str = r#"
import http.client, os, sys
host, port, worker = sys.argv[1], int(sys.argv[2]), os.environ["RS_WORKER_ID"]
asks = [("GET", "/api/workers"), ("GET", "/api/permissions"), ("GET", "/api/workers/" + worker), ("GET", "/metrics"),
        ("GET", f"/api/workers/{worker}/events"), ("POST", f"/api/workers/{worker}/permissions/p"), ("POST", "/api/workers"),
        ("POST", "/api/login/code"), ("GET", "/api/logins"), ("GET", "/api/search?q=x"), ("GET", "/ws")]
for method, path in asks:
    for more in {}, {"Authorization": "Bearer "}, {"Cookie": "rs_worker_session=x"}, {"X-Forwarded-For": "127.0.0.1"}:
        try:
            peer = http.client.HTTPConnection(host, port, timeout=20)
            headers = {"Content-Type": "application/json", "Host": f"{host}:{port}", **more}
            if path == "/ws":
                headers |= {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
            peer.request(method, path, b"{}" if method == "POST" else None, headers)
            print(peer.getresponse().status)
        except ConnectionRefusedError:
            print("unreachable")
        except OSError as error:
            print(error)
"#;

#[test]
fn sandboxed_agent_gets_401_for_everything() {
    let Some(_) = crate::support::require::require_program("python3") else { return };
    let server = sandboxed("escapes-api", "bwrap,bwrap-offline", |_| ());
    write(&server.project().join("ask.py"), ASK);
    let (host, port) = (server.addr().ip(), server.addr().port());
    for (runner, answer) in [("bwrap", "401"), ("bwrap-offline", "unreachable")] {
        let (_, seen) =
            look(&server, &format!("python3 ask.py {host} {port} | sort | uniq -c"), &json!({"runner": runner}));
        let answers: Vec<&str> = seen.split_whitespace().collect();
        assert_eq!(answers, ["44", answer], "{runner}: {seen}");
    }
}
