"""Isolates this process with the mechanisms of the kernel, then runs the worker (Linux).

This is a standalone file, run as `python -I -S launch.py CONFIG`, which uses only the standard library. CONFIG is JSON:
the mechanisms to use, the visible paths, and the command. Mechanisms that are not available are skipped. The worker
learns from `$HANDGRAD_SANDBOX` which ones are in force, and the report lists them.

- **namespaces** for processes, network, mounts and System V objects. A new root contains the interpreter, its packages
  except handgrad, the system libraries and the hand-in, all read-only, and a small scratch file system. It has no
  /proc.
- **landlock** restricts access to the same paths. It also works where namespaces are forbidden.
- **privileges**: root becomes an unused user id and loses all capabilities.

The worker sets up `seccomp` itself, because the filter forbids the `fork` that the worker needs.
"""

import contextlib
import ctypes
import json
import os
import random
import signal
import struct
import sys

NEW_NS, NEW_UTS, NEW_IPC, NEW_USER, NEW_PID, NEW_NET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
BIND, REC, PRIVATE, NOSUID, NODEV, DETACH = 4096, 16384, 1 << 18, 2, 4, 2
MOUNT_FAILED = 97
SCRATCH = "size=128m,nr_inodes=8192,mode=0700"

libc = ctypes.CDLL(None, use_errno=True)


def call(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def system(number, *arguments):
    """Makes a system call for which libc has no function. The numbers used here are the same on all machines."""
    return libc.syscall(ctypes.c_long(number), *arguments)


# -- namespaces -------------------------------------------------------------------------------------------------------


def mount(source, target, kind, flags, data=None):
    encode = lambda text: None if text is None else os.fsencode(text)  # noqa: E731
    call(
        libc.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), encode(data)), f"mount {target}"
    )


def read_only(target, recursive=True):
    """Makes a mount, and all mounts below it, read-only, without set-uid and without devices (`mount_setattr`)."""
    attributes = struct.pack("=QQQQ", 1 | 2 | 4, 0, 0, 0)
    at_here, below = -100, 0x8000 if recursive else 0
    call(system(442, at_here, os.fsencode(target), below, attributes, len(attributes)), f"mount_setattr {target}")


def enter_namespaces(config):
    """Creates new namespaces with a new root, and continues in a child that is their first process.

    The calling process stays outside and waits for the child. Raises OSError if the kernel does not allow namespaces.
    If a later step fails, the process exits with `MOUNT_FAILED`, and the checker tries again without namespaces.
    """
    user, group = os.getuid(), os.getgid()
    flags = NEW_NS | NEW_UTS | NEW_IPC | NEW_PID | NEW_NET
    if user:
        call(libc.unshare(flags | NEW_USER), "unshare")
        with contextlib.suppress(OSError):
            write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"{user} {user} 1")
        write("/proc/self/gid_map", f"{group} {group} 1")
    else:
        call(libc.unshare(flags), "unshare")
    try:
        become_first_process()
        return new_root(config, user)
    except OSError as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(MOUNT_FAILED)


def new_root(config, user):
    """Mounts the new root and changes to it. Returns the paths of the hand-in and the working folder in it."""
    mount(None, "/", None, REC | PRIVATE)
    root = config["root"]
    mount("tmpfs", root, "tmpfs", NOSUID | NODEV, "size=4m,mode=0755")
    for path in config["read"]:
        show(path, path, root)
    for path in config["hide"]:
        hide(root + path)
    show(config["handin"], "/_handin", root)
    for name in ("null", "zero", "random", "urandom"):
        target = f"{root}/dev/{name}"
        os.makedirs(f"{root}/dev", exist_ok=True)
        write(target, "")
        mount(f"/dev/{name}", target, None, BIND)
    os.mkdir(f"{root}/_work")
    mount("tmpfs", f"{root}/_work", "tmpfs", NOSUID | NODEV, SCRATCH)
    if not user:
        os.chown(f"{root}/_work", config["user"], config["user"])
    os.mkdir(f"{root}/old")
    call(libc.pivot_root(os.fsencode(root), os.fsencode(f"{root}/old")), "pivot_root")
    os.chdir("/")
    call(libc.umount2(b"/old", DETACH), "umount /old")
    os.rmdir("/old")
    read_only("/", recursive=False)
    return {"handin": "/_handin", "work": "/_work"}


def become_first_process():
    """Forks. The child is process 1 of the new namespace; the parent waits and exits with the status of the child."""
    child = os.fork()
    if child:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1):
            os.dup2(null, descriptor)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(status if status >= 0 else 128 - status)
    die_with_parent()


def show(source, target, root):
    """Mounts a path read-only in the new root. A symbolic link is recreated as a link."""
    if os.path.islink(source):
        path = root + target
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.lexists(path):
            os.symlink(os.readlink(source), path)
        source = os.path.realpath(source)
        target = source
    if not os.path.exists(source):
        return
    path = root + target
    if os.path.isdir(source):
        os.makedirs(path, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.exists(path):
            write(path, "")
    mount(source, path, None, BIND | REC)
    read_only(path)


def hide(path):
    if os.path.isdir(path):
        mount("tmpfs", path, "tmpfs", NOSUID | NODEV, "size=4k,mode=0755")
        read_only(path)
    elif os.path.exists(path):
        mount("/dev/null", path, None, BIND)


def write(path, text):
    with open(path, "w") as stream:
        stream.write(text)


# -- Landlock ---------------------------------------------------------------------------------------------------------

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | 1 << 14 | 1 << 15


def restrict_files(readable, writable, hidden):
    """Restricts all further access to these paths. Raises OSError if the kernel does not support Landlock."""
    version = call(system(444, None, ctypes.c_size_t(0), 1), "landlock")
    rights = (1 << 13) - 1
    for since, right in ((2, 13), (3, 14), (5, 15)):
        rights |= (version >= since) << right
    network = 3 if version >= 4 else 0  # bind and connect
    scoped = 3 if version >= 6 else 0  # abstract sockets, signals
    attributes = struct.pack("=QQQ", rights, network, scoped)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = call(system(444, attributes, ctypes.c_size_t(len(attributes)), 0), "landlock_create_ruleset")
    for path, readable_below in visible_parts(readable, hidden):
        allow(ruleset, path, EXECUTE | READ_FILE | READ_DIR if readable_below else READ_DIR)
    for path in writable:
        allow(ruleset, path, rights & ~EXECUTE)
    for name in ("null", "zero", "random", "urandom"):
        allow(ruleset, f"/dev/{name}", rights & (READ_FILE | WRITE_FILE))
    call(system(446, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)


def allow(ruleset, path, rights):
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not os.path.isdir(path):
        rights &= ON_FILES
    rule = struct.pack("=Qi", rights, descriptor)
    call(system(445, ruleset, 1, rule, 0), f"landlock_add_rule {path}")
    os.close(descriptor)


def visible_parts(paths, hidden):
    """Yields pairs of a path and whether all of it is readable. A folder that contains a hidden path may only be
    listed; its other entries follow it."""
    for path in paths:
        if path in hidden:
            continue
        if any(other.startswith(path.rstrip("/") + "/") for other in hidden):
            try:
                entries = sorted(os.listdir(path))
            except OSError:
                continue
            yield path, False
            yield from visible_parts([os.path.join(path, name) for name in entries], hidden)
        else:
            yield path, True


# -- privileges -------------------------------------------------------------------------------------------------------


def drop_privileges(user):
    """Changes root to `user` (None: stays root) and gives up all capabilities permanently."""
    if os.getuid() == 0 and user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    call(libc.prctl(38, 1, 0, 0, 0), "no_new_privs")
    header, none = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    call(libc.capset(header, none), "capset")
    die_with_parent()


def die_with_parent():
    parent = os.getppid()
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def main(config):
    used, missed = [], []
    paths = {"handin": config["handin"], "work": config["work"]}
    # limits apply per user, so each sandbox gets its own
    config["user"] = random.SystemRandom().randrange(0x60000000, 0x70000000)
    die_with_parent()
    user = None
    if "namespaces" in config["means"]:
        try:
            paths = enter_namespaces(config)
            used.append("namespaces")
            user = config["user"]
        except OSError as error:
            missed.append(f"namespaces ({error.strerror or error})")
    with contextlib.suppress(OSError):
        libc.prctl(36, 1, 0, 0, 0)  # this process adopts orphans, so that it can end them
    drop_privileges(user)
    if "landlock" in config["means"]:
        try:
            readable = [*config["read"], paths["handin"]]
            restrict_files(readable, [paths["work"]], set(config["hide"]))
            used.append("landlock")
        except OSError as error:
            missed.append(f"landlock ({error.strerror or error})")
    report: dict = {"used": used, "missed": missed, **paths}
    environment = {
        **config["environment"],
        "HOME": paths["work"],
        "TMPDIR": paths["work"],
        "HANDGRAD_SANDBOX": json.dumps(report),
    }
    os.chdir(paths["work"])
    os.execve(config["command"][0], config["command"], environment)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
