# ruff: noqa: E501 (programs of one line stay on one line)
"""Hand-ins made to deceive or to harm: each a layer that is wrong, unless what it tries succeeds.

`ANSWERS` try for a right verdict, by whatever a process can do to itself; they have to fail whatever keeps it in.
`RESOURCES` try for the machine's time, memory, output and processes. `SURROUNDINGS` try for what lies outside: their
`attack()` returns True where it got what it wanted, and only then is their layer right.

Of each is said what must come out: ids one of which is found. Where there are none it is enough that no part is right.
"""

from __future__ import annotations

LAYER = """
import builtins, ctypes, gc, json, os, sys, threading, time
import numpy as np

class Sigmoid:
    def forward(self, x):
        self.y = 1 / (1 + np.exp(-np.clip(x, -700, 700)))
        return self.y
    def backward(self, dy):
        {backward}
"""
WRONG = "return 17 * dy"
FRAMES = """
def script():
    frame = sys._getframe()
    while frame:
        if "self" in frame.f_locals and hasattr(frame.f_locals["self"], "outbox"):
            return frame.f_locals["self"]
        frame = frame.f_back

def send(header, body=b""):
    out = script().outbox
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    data = out.token + len(head).to_bytes(4, "little") + len(body).to_bytes(8, "little") + head + body
    view = memoryview(data)
    while view:
        view = view[os.write(out.descriptor, view):]
"""


def layer(backward: str = WRONG, before: str = "") -> str:
    return LAYER.replace("{backward}", backward) + FRAMES + before


def _forward(body: str) -> str:
    """Sigmoid with another forward; its backward is wrong."""
    return layer().replace("self.y = 1 / (1 + np.exp(-np.clip(x, -700, 700)))", body)


RIGHT = "return dy * self.y * (1 - self.y)"
FROM_PASS = """self.n = getattr(self, "n", 0) + 1
        return dy * self.y * (1 - self.y) * (1 if self.n {} else 2)"""
LINEAR = """
import numpy as np
class Linear:
    def __init__(self, n_in, n_out):
        self.W, self.b = np.zeros((n_in, n_out)), np.zeros(n_out)
    def forward(self, x):
        self.x = x
        return {forward}
    def backward(self, dy):
        self.dW, self.db = {dW}, dy.sum(axis=0)
        return {dx}
"""

ANSWERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "RandomState gives zeros": (
        layer(before="class Zero:\n    def __init__(self, *a): pass\n    def normal(self, *a, size=1, **k): return np.zeros(size)\n"
              "np.random.RandomState = Zero\n"), ()),
    "default_rng gives zeros": (layer(before="np.random.default_rng = lambda *a: __import__('types').SimpleNamespace("
                                             "normal=lambda size=1, **k: np.zeros(size))\n"), ()),
    "everything is close": (layer(before="np.allclose = np.array_equal = np.isclose = lambda *a, **k: True\n"), ()),
    "np.resize gives zeros": (layer(before="np.resize = lambda a, shape: np.zeros(shape)\n"), ()),
    "np.stack gives zeros": (layer(before="s = np.stack\nnp.stack = lambda a, *r, **k: np.zeros_like(s(a, *r, **k))\n"), ()),
    "arrays give zeros": (layer(before="a = np.array\nnp.array = lambda *r, **k: 0 * a(*r, **k)\n"), ()),
    "the helper is replaced": (
        layer("""for one in gc.get_objects():
            if type(one) is dict and "found" in one and "fill" in one:
                one["found"] = lambda layer: {}
        return 17 * dy"""), ()),
    "the upstream gradient is zero": (
        layer("""s = script()
        for key in list(s.names):
            if key.startswith("dy"): s.names[key][...] = 0
        return 0 * dy"""), ()),
    "the derivative is made up": (
        layer("return 17 * dy", "").replace(
            "self.y = 1 /", "type(script()).do_each = lambda s, o: 17 * s.arrays[o['rows']]\n        self.y = 1 /"), ()),
    "a forward of a straight line": (_forward("self.y = 17 * x"), ("wrong-function", "unexplained", "wrong-factor")),
    "a straight line at all but the first pass": (
        _forward("self.n = getattr(self, 'n', 0) + 1\n        self.y = 1 / (1 + np.exp(-x)) if self.n < 6 else 17 * x"), ()),
    "a straight line through the first point": (
        _forward("f = 1 / (1 + np.exp(-x)); self.a = getattr(self, 'a', (x, f))\n"
                 "        self.y = self.a[1] + 17 * (x - self.a[0]) if self.a[0].shape == x.shape else f"), ()),
    "wrong from the second pass": (layer(FROM_PASS.format("< 2")), ("wrong-at-a-later-pass",)),
    "wrong from the third pass": (layer(FROM_PASS.format("< 3")), ("wrong-at-a-later-pass",)),
    "wrong at the second pass alone": (layer(FROM_PASS.format("!= 2")), ("wrong-at-a-later-pass",)),
    "forward wrong at the third pass": (
        layer(RIGHT).replace("return self.y\n", "self.n = getattr(self, 'n', 0) + 1\n        return self.y * (1 + (self.n == 3))\n"),
        ("wrong-at-a-later-pass", "cannot judge")),
    "wrong for the second object": (
        layer("return dy * self.y * (1 - self.y) * (1 if Sigmoid.count < 2 else 2)").replace(
            "    def forward", "    count = 0\n    def __init__(self): Sigmoid.count += 1\n    def forward"), ()),
    "empty results": (
        layer("""send({"probe": script().probe["name"], "values": [], "changed": {}, "failure": None, "warnings": [],
              "arrays": []})
        os._exit(0)"""), ("tampering",)),
    "empty results while importing": (
        layer(before='send({"probe": script().probe["name"], "values": [], "changed": {}, "failure": None, "warnings": [],'
                     '"arrays": []})\nos._exit(0)\n'), ("tampering",)),
    "a verdict is sent": (
        layer("""send({"probe": script().probe["name"], "verdict": "right", "values": [], "changed": {}, "failure": None,
              "warnings": [], "arrays": []})
        return 17 * dy"""), ("tampering",)),
    "a failure that never was": (
        layer("""send({"probe": script().probe["name"], "values": [], "changed": {}, "warnings": [], "arrays": [],
              "failure": {"kind": "exception", "type": "ModuleNotFoundError", "message": "No module named 'x'",
                          "operation": 10**6}})
        os._exit(0)"""), ("tampering",)),
    "a result of another probe": (
        layer("send({'probe': 'hw1.Sigmoid 1', 'values': [], 'changed': {}, 'failure': None, 'warnings': [], 'arrays': []})\n"
              "        return 17 * dy"), ("tampering",)),
    "the same result twice": (
        layer("""out = script().outbox
        whole = type(out).send
        def twice(self, header, arrays=()):
            whole(self, header, arrays)
            if "values" in header: whole(self, header, arrays)
        type(out).send = twice
        return 17 * dy"""), ()),
    "a megabyte of brackets": (layer('send(b"[" * 1000000)\n        return 17 * dy'), ("tampering",)),
    "a header of ten megabytes": (layer('send(b" " * 10000000)\n        return 17 * dy'), ("tampering",)),
    "a body of a gigabyte": (
        layer("""out = script().outbox
        os.write(out.descriptor, out.token + (2).to_bytes(4, "little") + (1 << 30).to_bytes(8, "little") + b"{}")
        return 17 * dy"""), ("tampering",)),
    "an array that is larger than the message": (
        layer('send({"arrays": [["<f8", [1 << 30, 1 << 30]]]}, bytes(8))\n        return 17 * dy'), ("tampering",)),
    "an array of objects": (layer('send({"arrays": [["|O", [1]]]}, bytes(8))\n        return 17 * dy'), ("tampering",)),
    "fifty thousand beginnings": (
        layer("""name = script().probe["name"]
        for _ in range(50000): send({"begin": name, "operation": 1, "arrays": []})
        return 17 * dy"""), ()),
    "the token and junk": (layer("os.write(script().outbox.descriptor, bytes(500))\n        return 17 * dy"), ("tampering",)),
    "parameters that are not reported": (
        LINEAR.format(forward="0 * (x @ self.W)", dW="0 * self.W", dx="0 * (dy @ self.W.T)") + FRAMES
        + "\nimport sys, os, json\n", ()),
    "parameters that take no number": (
        "import numpy as np\nclass Still(np.ndarray):\n    def __setitem__(self, k, v): pass\n"
        + LINEAR.format(forward="x @ np.asarray(self.W)", dW="np.zeros(self.W.shape)", dx="np.zeros(self.x.shape)").replace(
            "np.zeros((n_in, n_out))", "np.zeros((n_in, n_out)).view(Still)"), ()),
    "an array that lies about itself": (
        layer("""class Lie(np.ndarray):
            shape = property(lambda s: (1, 1))
            def __array__(self, *a, **k): return np.zeros(3)
            def __eq__(self, o): return True
        return (17 * dy).view(Lie)"""), ()),
    "a thing that is everything": (
        layer("""class All:
            def __getattr__(self, n): return self
            def __call__(self, *a, **k): return self
            def __eq__(self, o): return True
            def __array__(self, *a, **k): return np.zeros((5, 4))
        return All()"""), ("not-an-array",)),
    "json writes nothing": (layer(before="json.dumps = lambda *a, **k: '{}'\n"), ()),
    "os.write does nothing": (layer(before="os.write = lambda *a: len(a[1])\n"), ()),
    "no modules": (layer("sys.modules.clear()\n        return 17 * dy"), ()),
    "len is zero": (layer("builtins.len = lambda x: 0\n        return 17 * dy"), ()),
    "getattr is its own": (layer("builtins.getattr = lambda *a: (lambda *b, **k: 0)\n        return 17 * dy"), ()),
    "a trace function": (layer("sys.settrace(lambda *a: (_ for _ in ()).throw(SystemExit))\n        return 17 * dy"), ()),
    "dictionaries are emptied": (
        layer("[o.clear() for o in gc.get_objects() if type(o) is dict and 'kind' in o]\n        return 17 * dy"), ()),
    "the reference from the stand-ins": (
        layer("""for one in gc.get_objects():
            if isinstance(one, str) and "def criterion" in one or isinstance(one, dict) and "criterion" in one:
                return dy * self.y * (1 - self.y)
        return 17 * dy"""), ()),
    "it writes into the upstream gradient": (
        layer("r = dy * self.y * (1 - self.y)\n        dy *= 0\n        return r"), ("input-changed",)),
    "what the scratch folder tells": (
        layer("""name = os.path.join(os.environ["HOME"], "told")
        if os.path.exists(name): return dy * self.y * (1 - self.y)
        open(name, "w").write("x")
        return 17 * dy"""), ()),
}  # fmt: skip

RESOURCES: dict[str, tuple[str, tuple[str, ...]]] = {
    "an endless loop": (layer("while True: pass"), ("never-ends",)),
    "an endless loop while importing": (layer(before="while True: pass\n"), ("never-ends",)),
    "a loop that catches everything": (
        layer("while True:\n            try:\n                while True: pass\n            except BaseException: pass"), ("never-ends",)),
    "no alarm": (
        layer("import signal; signal.signal(signal.SIGALRM, signal.SIG_IGN)\n        while True: pass"), ("never-ends",)),
    "a loop in C": (layer("import re; re.match('(a*)*b', 'a' * 60)"), ("never-ends",)),
    "it sleeps": (layer("time.sleep(1e6)"), ("never-ends",)),
    "it stops itself": (
        layer("import signal; os.kill(os.getpid(), signal.SIGSTOP); time.sleep(0.1); return 17 * dy"), ()),
    "it ends the process": (layer("os._exit(0)"), ("ends-the-process",)),
    "it ends the process while importing": (layer(before="os._exit(0)\n"), ("ends-the-process",)),
    "it raises SystemExit": (layer("raise SystemExit"), ()),
    "it aborts": (layer("os.abort()"), ("ends-the-process",)),
    "it crashes": (layer("ctypes.string_at(0)"), ("ends-the-process",)),
    "it recurses": (layer("return self.backward(dy)"), ("raises",)),
    "it waits when all is done": (layer(before="import atexit; atexit.register(time.sleep, 1e6)\n"), ()),
    "ten gigabytes": (layer("return np.ones((10 << 27,)) if len(bytearray(10 << 30)) else 0"), ("too-much-memory",)),
    "a mapping of ten gigabytes": (
        layer("import mmap; m = mmap.mmap(-1, 10 << 30)\n        for i in range(0, 10 << 30, 4096): m[i] = 1"), ()),
    "endless output": (layer("while True: print('x' * 10000)"), ("too-much-output", "never-ends")),
    "endless errors": (layer("while True: os.write(2, b'x' * 65536)"), ("too-much-output", "never-ends")),
    "a thousand threads": (
        layer("threading.stack_size(65536)\n        for _ in range(1000): threading.Thread(target=time.sleep, args=(60,)).start()\n"
              "        return 17 * dy"), ()),
    "every descriptor is written to": (
        layer("for fd in range(3, 256):\n            try: os.write(fd, b'junk' * 100)\n            except OSError: pass\n"
              "        return 17 * dy"), ("tampering",)),
    "every descriptor is closed": (layer("os.closerange(0, 256); return 17 * dy"), ()),
    "a list that holds itself": (layer("l = []; l.append(l); return l"), ("not-an-array",)),
    "a list of a hundred million": (layer("return [0] * 100_000_000"), ()),
    "a nest of three thousand folders": (
        layer("for _ in range(3000): os.mkdir('d'); os.chdir('d')\n        return 17 * dy"), ()),
    "five thousand files": (
        layer("for i in range(5000): open(f'f{i}', 'w').close()\n        return 17 * dy"), ()),
    "a view that claims to be large": (layer("return np.broadcast_to(1.0, (1 << 20, 1 << 20))"), ()),
    "nan everywhere": (layer("return dy * np.nan"), ("not-finite",)),
    "a message of megabytes": (layer("raise ValueError('x' * 10_000_000)"), ("raises",)),
    "a class with a name of megabytes": (layer("return type('x' * 10_000_000, (), {})()"), ("not-an-array",)),
    "an error that cannot be printed": (
        layer("class E(Exception):\n            def __str__(self): raise SystemExit\n        raise E"), ("raises",)),
}  # fmt: skip


def surroundings(attack: str) -> str:
    """A layer that is right where the attack succeeds."""
    body = "\n".join("    " + line for line in attack.splitlines())
    trial = "\ndef attack():\n" + body + "\ntry:\n    WON = bool(attack())\nexcept BaseException:\n    WON = False\n"
    return layer("return dy * self.y * (1 - self.y) if WON else 17 * dy", trial)


#: `{secret}` is a file of the user's outside of the sandbox, `{folder}` its folder, `{parent}` the checker's process.
SURROUNDINGS: dict[str, str] = {
    "reads a file": "return open({secret!r}).read()",
    "lists a folder": "return os.listdir({folder!r})",
    "writes a file": "return open({folder!r} + '/new', 'w').write('x')",
    "appends to a file": "return open({secret!r}, 'a').write('x')",
    "removes a file": "os.remove({secret!r}); return True",
    "renames a file": "os.rename({secret!r}, {secret!r} + '2'); return True",
    "links a file": "os.link({secret!r}, 'here'); return open('here').read()",
    "reads through a symbolic link": "os.symlink({secret!r}, 'here'); return open('here').read()",
    "changes a mode": "os.chmod({secret!r}, 0o777); return True",
    "changes an owner": "os.chown({secret!r}, os.getuid(), os.getgid()); return True",
    "changes times": "os.utime({secret!r}, (0, 0)); return True",
    "sets an attribute": "os.setxattr({secret!r}, 'user.x', b'1'); return True",
    "cuts a file off": "os.truncate({secret!r}, 0); return True",
    "makes a device": "os.mkfifo({folder!r} + '/fifo'); return True",
    "watches a file": (
        "libc = ctypes.CDLL(None); fd = libc.inotify_init()\n"
        "return fd >= 0 and libc.inotify_add_watch(fd, {secret!r}.encode(), 0xfff) >= 0"
    ),
    "a lease on a file": "import fcntl; f = open(np.__file__); fcntl.fcntl(f, 1024, 0); return True",
    "renices the checker": "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19); return True",
    "renices itself": "os.nice(5); return True",
    "signals to the checker": "os.kill(os.getppid(), 0); return True",
    "the checker's memory": "return open(f'/proc/{{os.getppid()}}/mem', 'rb')",
    "its own memory as a file": "return open('/proc/self/mem', 'r+b')",
    "traces another process": "return ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0",
    "starts a process": "return os.fork() == 0 or True",
    "starts a program": "return os.spawnv(os.P_WAIT, sys.executable, ['python', '-c', '']) == 0",
    "a network connection": "import socket; return socket.socket().connect_ex(('127.0.0.1', 1)) is not None",
    "a socket of another kind": "import socket; return socket.socket(socket.AF_UNIX)",
    "memory under no limit": "return os.memfd_create('x') >= 0",
    "shared memory": "return ctypes.CDLL(None).shmget(0, 4096, 0o1600) >= 0",
    "a namespace of its own": "return ctypes.CDLL(None).unshare(0x10000000) == 0",
    "mounts something": "return ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0",
    "the password file": "return open('/etc/passwd').read()",
    "imports handgrad": "import handgrad; return True",
    "handgrad by its path": "sys.meta_path.clear(); return open({handgrad!r}).read()",
    "a secret of the environment": "return os.environ.get('HANDGRAD_TEST_SECRET')",
    "asks for input": "return input()",
    "a terminal": "return open('/dev/tty', 'w')",
    "the checker's folders": "return [n for n in os.listdir({temporary!r}) if n.startswith('handgrad')]",
}


def page() -> str:
    """`docs/hostile-hand-ins.md`: what is tried, in which mode."""
    groups = (
        ("Attacks on the verdict", ANSWERS, "The wrong part does not get the verdict right.", 3),
        (
            "Attacks on time, memory, output and processes",
            RESOURCES,
            "The hand-in is stopped, and the remaining parts are judged.",
            3,
        ),
        (
            "Attacks on the surroundings",
            SURROUNDINGS,
            "The hand-in gets nothing, and nothing outside its folder is changed.",
            2,
        ),
    )
    count = sum(len(names) for _, names, _, _ in groups)
    tried = sum(len(names) * modes for _, names, _, modes in groups)
    lines = [
        "# Hostile hand-ins",
        "",
        f"The tests run {count} hand-ins that are designed to deceive or harm the checker. Each runs in up to three sandbox modes,",
        f"{tried} checks in total: with all mechanisms that the machine supports; with those of a typical container (Landlock and the",
        "system-call filter); and with limits only. A test fails if an attack succeeds. The programs are in",
        "`tests/checking/hostile.py`.",
        "",
        "| kind | hand-ins | modes | checks | blocked |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {title} | {len(names)} | {modes} | {len(names) * modes} | {len(names) * modes} |"
        for title, names, _, modes in groups
    ]
    lines += [f"| all | {count} | | {tried} | {tried} |", ""]
    lines += [
        "With limits only, attacks on the surroundings succeed, so they are not counted here. A test verifies this as well.",
        "",
        "**A class of three hundred** in which every tenth hand-in is an attack must give three hundred rows. No attack gets the",
        "verdict right, all other verdicts are the same as without the attacks, no hand-in is modified, and the temporary folder is",
        "empty.",
        "",
    ]
    for title, names, outcome, _ in groups:
        lines += [f"## {title}", "", outcome, "", *(f"- {name}" for name in names), ""]
    return "\n".join(lines).rstrip() + "\n"
