"""Drops rights of this process with the means of the kernel, then runs the worker (Linux).

A standalone file, run as `python -I -S launch.py CONFIG` with the standard library alone. CONFIG is JSON: which
means to use, which paths to show, and the command. Unavailable means are omitted: `$HANDGRAD_SANDBOX` tells the
worker what is in force, and the report lists it.

- **namespaces**: processes, network, mounts, System V objects. A new root holds the interpreter, its packages without
  handgrad, system libraries and the hand-in, all read-only, and one small scratch file system. No /proc.
- **landlock**: the same list of paths, as rights on files; it also works where namespaces are forbidden.
- No privileges: root becomes an unused user id and loses all capabilities.

The worker sets up `seccomp` itself, as it must fork before.
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
HALF_WAY = 97
SCRATCH = "size=128m,nr_inodes=8192,mode=0700"

libc = ctypes.CDLL(None, use_errno=True)


def call(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def system(number, *arguments):
    """A system call that libc has no name for; the numbers used here are the same on every machine."""
    return libc.syscall(ctypes.c_long(number), *arguments)


# -- namespaces -------------------------------------------------------------------------------------------------------


def mount(source, target, kind, flags, data=None):
    encode = lambda text: None if text is None else os.fsencode(text)  # noqa: E731
    call(
        libc.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), encode(data)), f"mount {target}"
    )


def read_only(target, recursive=True):
    """mount_setattr: read-only, no set-uid, no devices, including everything mounted below."""
    attributes = struct.pack("=QQQQ", 1 | 2 | 4, 0, 0, 0)
    at_here, below = -100, 0x8000 if recursive else 0
    call(system(442, at_here, os.fsencode(target), below, attributes, len(attributes)), f"mount_setattr {target}")


def enter_namespaces(config):
    """Makes this process the first one of new namespaces, with a new root.

    The process it was called in stays outside and waits. Raises OSError if the kernel does not allow namespaces; a
    failure after that ends the process with `HALF_WAY`, and the checker starts again without namespaces.
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
        os._exit(HALF_WAY)


def new_root(config, user):
    """Mounts the new root and changes to it; returns the locations in it."""
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
    """The child is process 1 of the new namespace; the outer process passes on its exit status."""
    child = os.fork()
    if child:
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1):
            os.dup2(nothing, descriptor)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(status if status >= 0 else 128 - status)
    die_with_parent()


def show(source, target, root):
    """Binds a path into the new root, read-only; and recreates links on the way as links."""
    if os.path.islink(source):
        where = root + target
        os.makedirs(os.path.dirname(where), exist_ok=True)
        if not os.path.lexists(where):
            os.symlink(os.readlink(source), where)
        source = os.path.realpath(source)
        target = source
    if not os.path.exists(source):
        return
    where = root + target
    if os.path.isdir(source):
        os.makedirs(where, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(where), exist_ok=True)
        if not os.path.exists(where):
            write(where, "")
    mount(source, where, None, BIND | REC)
    read_only(where)


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
    """Allows only these paths from now on. Raises OSError if the kernel has no Landlock."""
    version = call(system(444, None, ctypes.c_size_t(0), 1), "landlock")
    rights = (1 << 13) - 1
    for since, right in ((2, 13), (3, 14), (5, 15)):
        rights |= (version >= since) << right
    network = 3 if version >= 4 else 0  # bind and connect
    scoped = 3 if version >= 6 else 0  # abstract sockets, signals
    attributes = struct.pack("=QQQ", rights, network, scoped)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = call(system(444, attributes, ctypes.c_size_t(len(attributes)), 0), "landlock_create_ruleset")
    for path, whole in parts_without(readable, hidden):
        allow(ruleset, path, EXECUTE | READ_FILE | READ_DIR if whole else READ_DIR)
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


def parts_without(paths, hidden):
    """The paths, each with whether it may be read whole; one that holds something hidden may be listed, and what
    else it holds comes after it."""
    for path in paths:
        if path in hidden:
            continue
        if any(other.startswith(path.rstrip("/") + "/") for other in hidden):
            try:
                inside = sorted(os.listdir(path))
            except OSError:
                continue
            yield path, False
            yield from parts_without([os.path.join(path, name) for name in inside], hidden)
        else:
            yield path, True


# -- privileges -------------------------------------------------------------------------------------------------------


def drop_privileges(user):
    """Root becomes `user` (None: stays root) without capabilities; they can never be regained."""
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
    where = {"handin": config["handin"], "work": config["work"]}
    config["user"] = random.SystemRandom().randrange(
        0x60000000, 0x70000000
    )  # limits count by user: one for each sandbox
    die_with_parent()
    user = None
    if "namespaces" in config["means"]:
        try:
            where = enter_namespaces(config)
            used.append("namespaces")
            user = config["user"]
        except OSError as error:
            missed.append(f"namespaces ({error.strerror or error})")
    with contextlib.suppress(OSError):
        libc.prctl(36, 1, 0, 0, 0)  # this process adopts orphans and ends them
    drop_privileges(user)
    if "landlock" in config["means"]:
        try:
            readable = [*config["read"], where["handin"]]
            restrict_files(readable, [where["work"]], set(config["hide"]))
            used.append("landlock")
        except OSError as error:
            missed.append(f"landlock ({error.strerror or error})")
    told: dict = {"used": used, "missed": missed, **where}
    environment = {
        **config["environment"],
        "HOME": where["work"],
        "TMPDIR": where["work"],
        "HANDGRAD_SANDBOX": json.dumps(told),
    }
    os.chdir(where["work"])
    os.execve(config["command"][0], config["command"], environment)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
