"""Layers of no course: right ones in forms that once were called wrong, and wrong ones that once were ticked."""

import re

import pytest
from tests.checking import mutation

from handgrad.checking import check
from handgrad.checking.catalogue import step_of

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

RIGHT = {
    "width default": """
import numpy as np
class Mixer:
    def __init__(self, width=4):
        self.W = np.random.randn(width, width)
    def forward(self, x):
        self.x = x
        return np.tanh(x @ self.W)
    def backward(self, dy):
        d = dy*(1-np.tanh(self.x@self.W)**2)
        self.dW = self.x.T @ d
        return d @ self.W.T
""",
    "attention": """
import numpy as np
class Attention:
    def __init__(self, d=4):
        r = np.random.RandomState(0)
        self.Wq, self.Wk, self.Wv = (r.randn(4, 4) for _ in range(3))
    def forward(self, x):
        self.x = x
        self.q, self.k, self.v = x@self.Wq, x@self.Wk, x@self.Wv
        s = self.q@self.k.T/2
        e = np.exp(s-s.max(1,keepdims=True)); self.a = e/e.sum(1,keepdims=True)
        return self.a@self.v
    def backward(self, dy):
        da = dy@self.v.T; dv = self.a.T@dy
        ds = self.a*(da-(da*self.a).sum(1,keepdims=True))/2
        dq = ds@self.k; dk = ds.T@self.q
        return dq@self.Wq.T+dk@self.Wk.T+dv@self.Wv.T
""",
    "attention no arg": """
import numpy as np
class Attention:
    def __init__(self):
        r = np.random.RandomState(0)
        self.Wq, self.Wk, self.Wv = (r.randn(4, 4) for _ in range(3))
    def forward(self, x):
        self.x = x
        self.q, self.k, self.v = x@self.Wq, x@self.Wk, x@self.Wv
        s = self.q@self.k.T/2
        e = np.exp(s-s.max(1,keepdims=True)); self.a = e/e.sum(1,keepdims=True)
        return self.a@self.v
    def backward(self, dy):
        da = dy@self.v.T; dv = self.a.T@dy
        ds = self.a*(da-(da*self.a).sum(1,keepdims=True))/2
        dq = ds@self.k; dk = ds.T@self.q
        return dq@self.Wq.T+dk@self.Wk.T+dv@self.Wv.T
""",
    "conv1x1": """
import numpy as np
class Conv1x1:
    def __init__(self, in_channels=3, out_channels=2):
        self.weight = np.random.randn(out_channels, in_channels)
    def forward(self, x):
        self.x = x
        return np.einsum("oc,nchw->nohw", self.weight, x)
    def backward(self, dy):
        self.dweight = np.einsum("nohw,nchw->oc", dy, self.x)
        return np.einsum("oc,nohw->nchw", self.weight, dy)
""",
    "conv1x1 fixed": """
import numpy as np
class Conv1x1:
    def __init__(self):
        self.weight = np.random.randn(4, 3)
    def forward(self, x):
        self.x = x
        return np.einsum("oc,nchw->nohw", self.weight, x)
    def backward(self, dy):
        self.dweight = np.einsum("nohw,nchw->oc", dy, self.x)
        return np.einsum("oc,nohw->nchw", self.weight, dy)
""",
    "conv1x1 args": """
import numpy as np
class Conv1x1:
    def __init__(self, in_channels, out_channels):
        self.weight = np.random.randn(out_channels, in_channels)
    def forward(self, x):
        self.x = x
        return np.einsum("oc,nchw->nohw", self.weight, x)
    def backward(self, dy):
        self.dweight = np.einsum("nohw,nchw->oc", dy, self.x)
        return np.einsum("oc,nohw->nchw", self.weight, dy)
""",
    "maxpool": """
import numpy as np
class MaxPool2d:
    def forward(self, x):
        n,c,h,w = x.shape
        r = x.reshape(n,c,h//2,2,w//2,2)
        y = r.max(axis=(3,5)); self.m = (r == y[:,:,:,None,:,None])
        self.s = x.shape
        return y
    def backward(self, dy):
        return (self.m*dy[:,:,:,None,:,None]).reshape(self.s)
""",
    "leaky": """
import numpy as np
class LeakyReLU:
    def forward(self, x):
        self.x=x; return np.where(x>0,x,0.01*x)
    def backward(self, dy): return dy*np.where(self.x>0,1,0.01)
""",
    "leaky default": """
import numpy as np
class LeakyReLU:
    def __init__(self, slope=0.2): self.s=slope
    def forward(self, x):
        self.x=x; return np.where(x>0,x,self.s*x)
    def backward(self, dy): return dy*np.where(self.x>0,1,self.s)
""",
    "elu": """
import numpy as np
class ELU:
    def __init__(self, alpha=1.0): self.a=alpha
    def forward(self, x):
        self.x=x; return np.where(x>0,x,self.a*(np.exp(np.minimum(x,0))-1))
    def backward(self, dy): return dy*np.where(self.x>0,1,self.a*np.exp(np.minimum(self.x,0)))
""",
    "hardtanh": """
import numpy as np
class HardTanh:
    def forward(self, x): self.x=x; return np.clip(x,-1,1)
    def backward(self, dy): return dy*((self.x>-1)&(self.x<1))
""",
    "dropout": """
import numpy as np
class Dropout:
    def __init__(self, p=0.5): self.p=p
    def forward(self, x):
        self.m=(np.random.rand(*x.shape)>self.p)/(1-self.p); return x*self.m
    def backward(self, dy): return dy*self.m
""",
    "accumulates": """
import numpy as np
class Linear:
    def __init__(self, n_in, n_out):
        self.W=np.random.randn(n_in,n_out); self.b=np.zeros(n_out)
        self.dW=np.zeros_like(self.W); self.db=np.zeros_like(self.b)
    def forward(self,x): self.x=x; return x@self.W+self.b
    def backward(self,dy):
        self.dW+=self.x.T@dy; self.db+=dy.sum(0); return dy@self.W.T
""",
    "batchnorm": """
import numpy as np
class BatchNorm:
    def __init__(self, dim, eps=1e-5):
        self.gamma=np.ones(dim); self.beta=np.zeros(dim); self.eps=eps; self.rm=np.zeros(dim); self.rv=np.ones(dim)
    def forward(self,x):
        self.mu=x.mean(0); self.v=x.var(0); self.rm=.9*self.rm+.1*self.mu
        self.xh=(x-self.mu)/np.sqrt(self.v+self.eps); return self.gamma*self.xh+self.beta
    def backward(self,dy):
        self.dgamma=(dy*self.xh).sum(0); self.dbeta=dy.sum(0)
        d=dy*self.gamma
        return (d-d.mean(0)-self.xh*(d*self.xh).mean(0))/np.sqrt(self.v+self.eps)
""",
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_layer_is_not_called_wrong(name, seed):
    parts = mutation.run({"hw.py": RIGHT[name]}, seed=seed)
    assert {part.verdict for part in parts} <= {"right", "not judged"}, parts
    assert parts[1].verdict == "right"


def bugs(text: str, old: str, new: str) -> dict[str, list[str]]:
    assert text.count(old) == 1
    parts = mutation.run({"hw.py": text.replace(old, new)})
    return {part.part: [bug.id for bug in part.bugs] for part in parts}


def test_a_forward_that_no_reference_knows_is_not_judged():
    forward, backward = mutation.run({"hw.py": RIGHT["width default"]})
    assert forward.verdict == "not judged"
    assert "does not know which function" in forward.reason
    assert backward.verdict == "right"


def test_a_batch_of_one_is_a_bug_only_where_others_go_through():
    text = RIGHT["width default"].replace("self.x = x\n", "self.x = x.squeeze()\n", 1)
    assert bugs(text, "self.x.T @ d", "np.outer(self.x, d) if self.x.ndim == 1 else self.x.T @ d")  # goes through
    found = mutation.run(
        {"hw.py": RIGHT["width default"].replace("return np.tanh(x @ self.W)", "return np.tanh(x @ self.W).squeeze()")}
    )
    assert [bug.id for bug in found[0].bugs] == ["batch-of-one"]


@pytest.mark.parametrize("power", ["-0.5", "-1", "-2", "0.5", "1.5", "-2.5", "-3", "1"])
def test_another_power_of_the_variance_has_one_name(power):
    old = "return (d-d.mean(0)-self.xh*(d*self.xh).mean(0))/np.sqrt(self.v+self.eps)"
    new = f"""s=self.v+self.eps; c=self.xh*np.sqrt(s)
        dv=(d*c).sum(0)*-0.5*s**({power})
        return d/np.sqrt(s)+dv*2*c/len(d)-(d/np.sqrt(s)).mean(0)"""
    assert bugs(RIGHT["batchnorm"], old, new)["BatchNorm.backward"] == ["variance-power"]
    assert bugs(RIGHT["batchnorm"], old, new.replace(f"({power})", "(-1.5)"))["BatchNorm.backward"] == []


def test_writing_into_the_upstream_gradient_is_a_bug():
    new = "    def backward(self, dy):\n        given = dy.copy(); dy *= 0; dy = given\n        return"
    found = bugs(RIGHT["leaky"], "    def backward(self, dy): return", new)
    assert found["LeakyReLU.backward"] == ["input-changed"]


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("which", ["forward", "backward"])
def test_wrong_at_a_later_pass_alone(which, k):
    text = RIGHT["leaky"].replace("        self.x=x;", "        self.n=getattr(self,'n',0)+1; self.x=x;")
    old = "return np.where(x>0,x,0.01*x)" if which == "forward" else "return dy*np.where"
    new = (
        f"return (1+(self.n=={k}))*np.where(x>0,x,0.01*x)"
        if which == "forward"
        else f"return (1+(self.n=={k}))*dy*np.where"
    )
    found = set(bugs(text, old, new)[f"LeakyReLU.{which}"])
    assert found
    assert found <= {"wrong-at-a-later-pass", "stale-state"}


#: contract, file, the line that is counted at, what is spoilt at the third time, and where it is to be seen.
THIRD = [
    ("cmu-2019", "hw1.py", "return 1 - self.state**2", "Tanh.derivative"),
    ("cmu-2019", "hw1.py", "self.state = np.tanh(x)", "Tanh.forward"),
    ("uva-nov19", "modules.py", 'dx = np.dot(dout, self.params["weight"])', "LinearModule.backward"),
]


@pytest.mark.parametrize(("name", "file", "line", "part"), THIRD)
def test_wrong_at_the_third_pass_in_a_course(name, file, line, part):
    files = mutation.read(name)
    assert files[file].count(line) == 1
    counted = "self.__dict__.setdefault('n_', [0]).append(0)"
    head, _, value = line.rpartition("return ") if line.startswith("return ") else line.partition(" = ")
    target = "return " if line.startswith("return ") else f"{head} = "
    files[file] = files[file].replace(line, f"{counted}; {target}({value}) * (1 + (len(self.n_) == 4))")
    found = {one.part: [bug.id for bug in one.bugs] for one in mutation.run(files)}
    assert found[part] == ["wrong-at-a-later-pass"]


def test_a_network_that_goes_through_its_layers_forwards():
    files = mutation.read("uva-nov19")
    text = files["mlp_numpy.py"]
    loop = re.search(r"for (\w+) in (reversed\((.+?)\)|(.+?)\[::-1\]):", text[text.index("def backward") :])
    assert loop, text
    files["mlp_numpy.py"] = text.replace(loop.group(0), f"for {loop.group(1)} in {loop.group(3) or loop.group(4)}:")
    found = {one.part: [bug.id for bug in one.bugs] for one in mutation.run(files)}
    assert found["MLP.backward"] == ["backward-order"]


def test_two_files_with_a_class_of_one_name_are_judged_apart():
    wrong = RIGHT["leaky"].replace("return dy*", "return 2*dy*")
    parts = mutation.run({"a.py": wrong, "b.py": RIGHT["leaky"]})
    assert {part.part: part.verdict for part in parts if "backward" in part.part} == {
        "a.LeakyReLU.backward": "wrong",
        "b.LeakyReLU.backward": "right",
    }
    parts = mutation.run({"a.py": RIGHT["leaky"], "old/a.py": wrong})
    found = {part.part: (part.verdict, part.reason) for part in parts if "backward" in part.part}
    assert found["a.LeakyReLU.backward"][0] == "right"
    assert found["old.a.LeakyReLU.backward"] == (
        "cannot judge",
        "a.py has the same module name, so an import loads that file",
    )


OPERANDS = """
import numpy as np
class MulGate:
    def forward(self, x, y):
        self.x, self.y = x, y
        return x * y
    def backward(self, dz):
        gradients = [dz * self.y, dz * self.x]
        return gradients
class AddGate:
    def forward(self, x, y):
        return x + y
    def backward(self, dz):
        return dz, dz
class DivGate:
    def forward(self, a, b):
        self.a, self.b = a, b
        return a / b
    def backward(self, dz):
        return {"da": dz / self.b, "db": -dz * self.a / self.b**2}
class MatMulGate:
    def forward(self, a, b):
        self.a, self.b = a, b
        return a @ b
    def backward(self, dz):
        return dz @ self.b.T, self.a.T @ dz
"""


def test_a_class_with_two_inputs_returns_two_gradients():
    verdicts = {part.part: part.verdict for part in mutation.run({"gates.py": OPERANDS})}
    backward = {part: verdict for part, verdict in verdicts.items() if part.endswith("backward")}
    assert len(backward) == 4
    assert set(backward.values()) == {"right"}
    assert "wrong" not in verdicts.values()


def test_a_second_gradient_that_is_not_judged_is_noted():
    steps = OPERANDS.replace("return x * y", "return x * np.round(y, 3)").partition("class AddGate")[0]
    _, backward = mutation.run({"hw.py": steps.replace("dz * self.y,", "dz * np.round(self.y, 3),")})
    assert backward.verdict == "right"
    assert backward.notes == ("`dy` is not judged: forward has no numerical derivative for it",)


def test_a_bug_in_the_second_of_two_gradients_is_named():
    found = bugs(OPERANDS, "[dz * self.y, dz * self.x]", "[dz * self.y, -dz * self.x]")
    assert {part: names for part, names in found.items() if names} == {"MulGate.backward": ["sign-flipped"]}
    found = bugs(OPERANDS, "return dz, dz", "return dz, np.ones_like(dz)")
    assert {part: names for part, names in found.items() if names} == {"AddGate.backward": ["upstream-missing"]}


MISH = """
import numpy as np
class {name}:
    def forward(self, x):
        self.x = x
        return {forward}
    def backward(self, dout):
        t = np.tanh(np.log1p(np.exp(self.x)))
        return dout * (t + self.x * (1 - t) / (1 + np.exp(-self.x)))
"""


def test_a_function_that_is_not_known_gets_no_derivation_of_another_one():
    mish = MISH.format(name="Mish", forward="x * np.tanh(np.log1p(np.exp(x)))")
    tanh = MISH.format(name="Act", forward="np.tanh(x)")
    (bug,), (known,) = (mutation.run({"hw.py": text})[1].bugs for text in (mish, tanh))
    assert bug.id == known.id == "wrong-derivative"
    assert step_of(bug.id, "Mish.backward", bug.known) == ""
    assert "sigmoid" not in bug.hint("full")
    assert "one operation at a time" in bug.hint("full")
    assert step_of(known.id, "Act.backward", known.known).startswith("handgrad derive")
    assert "tanh' = 1 - y²" in known.hint("full")


def test_a_pair_that_is_not_known_gets_no_derivation_of_another_one(tmp_path):
    text = "import numpy as np\ndef mish_forward(x):\n    return x * np.tanh(np.log1p(np.exp(x))), x\n"
    (tmp_path / "pair.py").write_text(text + "def mish_backward(dout, cache):\n    return dout * np.tanh(cache)\n")
    report = check(tmp_path)
    (bug,) = report.bugs
    assert bug.id == "wrong-derivative"
    assert not bug.known
    assert [bug["derivation"] for part in report.to_dict()["parts"] for bug in part["bugs"]] == [""]


def test_a_class_whose_arguments_cannot_be_generated_says_what_to_do():
    text = MISH.format(name="Three", forward="x").replace("forward(self, x)", "forward(self, x, y, z)")
    forward, backward = mutation.run({"hw.py": text})
    assert forward.verdict == backward.verdict == "cannot judge"
    assert "describe them in a course file" in forward.reason


UPDATES_ITSELF = """
import numpy as np
class Dense:
    def __init__(self, input_units, output_units, learning_rate=0.1):
        self.learning_rate = learning_rate
        self.weights = np.random.randn(input_units, output_units)
        self.biases = np.zeros(output_units)
    def forward(self, x):
        self.x = x
        return x @ self.weights + self.biases
    def backward(self, dy):
        dx = dy @ self.weights.T
        self.weights = self.weights - self.learning_rate * self.x.T @ dy
        self.biases = self.biases - self.learning_rate * dy.sum(axis=0)
        return dx
"""


def test_a_layer_with_a_learning_rate_may_update_itself():
    parts = mutation.run({"layers.py": UPDATES_ITSELF})
    assert [part.verdict for part in parts] == ["right", "right"]
    assert any("updates" in note for note in parts[1].notes)


def test_a_layer_without_a_learning_rate_may_not():
    text = UPDATES_ITSELF.replace(", learning_rate=0.1", "").replace("self.learning_rate = learning_rate", "pass")
    _, backward = mutation.run({"layers.py": text.replace("self.learning_rate", "0.1")})
    assert [bug.id for bug in backward.bugs] == ["parameter-changed"]


RECURRENT = """
import numpy as np
def rnn_step_forward(x, prev_h, Wx, Wh, b):
    next_h = np.tanh(x @ Wx + prev_h @ Wh + b)
    return next_h, (x, prev_h, Wx, Wh, next_h)
def rnn_step_backward(dnext_h, cache):
    x, prev_h, Wx, Wh, next_h = cache
    da = dnext_h * (1 - next_h ** 2)
    return da @ Wx.T, da @ Wh.T, x.T @ da, prev_h.T @ da, da.sum(axis=0)
def rnn_forward(x, h0, Wx, Wh, b):
    h, caches, prev = [], [], h0
    for t in range(x.shape[1]):
        prev, cache = rnn_step_forward(x[:, t], prev, Wx, Wh, b)
        h.append(prev)
        caches.append(cache)
    return np.stack(h, axis=1), caches
def rnn_backward(dh, cache):
    dx, dprev, sums = [], 0, [0, 0, 0]
    for t in reversed(range(dh.shape[1])):
        step, dprev, *more = rnn_step_backward(dh[:, t] + dprev, cache[t])
        dx.insert(0, step)
        sums = [a + b for a, b in zip(sums, more)]
    return np.stack(dx, axis=1), dprev, *sums
"""


@pytest.mark.parametrize(
    ("old", "new", "part", "ids"),
    [
        ("", "", "", set()),
        ("dh[:, t] + dprev", "dh[:, t]", "rnn_backward", {"through-time-missing"}),
        ("sums = [a + b for a, b in zip(sums, more)]", "sums = more", "rnn_backward", {"time-steps-not-summed"}),
        ("da = dnext_h * (1 - next_h ** 2)", "da = dnext_h", "rnn_step_backward", {"derivative-missing"}),
        (" + prev_h @ Wh", " + 0 * prev_h @ Wh", "rnn_step_forward", {"wrong-function"}),
    ],
)
def test_recurrent_layers(old, new, part, ids):
    parts = mutation.run({"rnn_layers.py": RECURRENT.replace(old, new) if old else RECURRENT})
    found = {each.part: {bug.id for bug in each.bugs} for each in parts}
    assert len(found) == 4
    assert found.get(part, set()) == ids
    if not ids:
        assert {each.verdict for each in parts} == {"right"}


def test_an_unnamed_pair_for_images_is_judged():
    """Arguments of a convolution, though no course has a function of that name."""
    text = """
import numpy as np
def convolve_forward(x, w, b, stride=1):
    s, (H, W) = stride, w.shape[2:]
    v = np.lib.stride_tricks.sliding_window_view(x, (H, W), axis=(2, 3))[:, :, ::s, ::s]
    return np.einsum("nchwij,fcij->nfhw", v, w) + b[:, None, None], (x, w, v)
def convolve_backward(dy, cache):
    x, w, v = cache
    dx = np.zeros(x.shape)
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            dx[:, :, i:i + w.shape[2], j:j + w.shape[3]] += np.einsum("nf,fcij->ncij", dy[:, :, i, j], w)
    return dx, np.einsum("nfhw,nchwij->fcij", dy, v), dy.sum(axis=(0, 2, 3))
"""
    parts = {part.part: part.verdict for part in mutation.run({"layers.py": text})}
    assert parts == {"convolve_forward": "not judged", "convolve_backward": "right"}
    _, backward = mutation.run({"layers.py": text.replace("w.shape[3]] +=", "w.shape[3]] =")})
    assert backward.verdict == "wrong"


def test_pairs_of_one_name_in_two_files_are_both_judged(tmp_path):
    right = "def cube(x):\n    return x**3\n\n\ndef cube_prime(x):\n    return 3 * x**2\n"
    (tmp_path / "one.py").write_text(right)
    (tmp_path / "two.py").write_text(right.replace("3 * x", "2 * x"))
    verdicts = {part.part: part.verdict for part in mutation.judge(tmp_path)}
    assert verdicts == {"one.cube_prime of cube": "right", "two.cube_prime of cube": "wrong"}
