import numpy as np
import math
import sys

# my homework 1
# DEBUG = True
DEBUG = False

class Activation(object):

	""" Base class. The state is the output of forward. """

	def __init__(self):
		self.state = None

	def __call__(self, x):
		return self.forward(x)

	def forward(self, x):
		raise NotImplementedError

	def derivative(self):
		raise NotImplementedError


class Identity(Activation):

	def __init__(self):
		super(Identity, self).__init__()

	def forward(self, x):
		self.state = x
		return x

	def derivative(self):
		return 1.0


class Sigmoid(Activation):

	def __init__(self):
		super(Sigmoid, self).__init__()

	def forward(self, x):
		self.state = 1 / (1 + np.exp(-x))
		return self.state

	def derivative(self):
		return self.state * (1 - self.state)


class Tanh(Activation):

	def __init__(self):
		super(Tanh, self).__init__()

	def forward(self, x):
		self.state = np.tanh(x)
		return self.state

	def derivative(self):
		return 1 - np.square(self.state)


class ReLU(Activation):

	def __init__(self):
		super(ReLU, self).__init__()

	def forward(self, x):
		self.state = np.maximum(x, 0.0)
		return self.state

	def derivative(self):
		return np.where(self.state > 0, 1.0, 0.0)


class Criterion(object):

	""" Interface for loss functions. """

	def __init__(self):
		self.logits = None
		self.labels = None
		self.loss = None

	def __call__(self, x, y):
		return self.forward(x, y)

	def forward(self, x, y):
		raise NotImplementedError

	def derivative(self):
		raise NotImplementedError


class SoftmaxCrossEntropy(Criterion):

	def __init__(self):
		super(SoftmaxCrossEntropy, self).__init__()
		self.sm = None

	def forward(self, x, y):
		self.logits = x
		self.labels = y

		# LogSumExp trick
		a = np.mean(x, axis=1, keepdims=True)
		lse = a + np.log(np.sum(np.exp(x - a), axis=1, keepdims=True))
		self.sm = np.exp(x - lse)
		self.loss = -np.sum(y * (x - lse), axis=1)
		return self.loss

	def derivative(self):
		return self.sm - self.labels


def random_normal_weight_init(d0, d1):
	return np.random.normal(0.0, 1.0, (d0, d1))


def zeros_bias_init(d):
	return np.zeros(d)


class BatchNorm(object):
	def __init__(self, fan_in, alpha=0.9):
		self.alpha, self.eps = alpha, 1e-8
		self.x = self.norm = self.out = None
		for name in ['var', 'gamma', 'running_var']:
			setattr(self, name, np.ones((1, fan_in)))
		for name in ['mean', 'dgamma', 'beta', 'dbeta', 'running_mean']:
			setattr(self, name, np.zeros((1, fan_in)))

	def __call__(self, x, eval=False):
		return self.forward(x, eval)

	def forward(self, x, eval=False):
		self.x = x
		if not eval:
			self.mean = x.mean(0).reshape(1, -1)
			self.var = ((x - self.mean) ** 2).mean(0).reshape(1, -1)
			self.running_mean = self.alpha * self.running_mean + (1 - self.alpha) * self.mean
			self.running_var = self.alpha * self.running_var + (1 - self.alpha) * self.var
			mu, v = self.mean, self.var
		else:
			# inference time, we use the running one
			mu, v = self.running_mean, self.running_var
		self.norm = (x - mu) * (v + self.eps) ** -0.5
		self.out = self.norm * self.gamma + self.beta
		return self.out

	def backward(self, delta):
		# formula on one line, I found derivation on paper and check it by hand
		N = len(delta)
		self.dbeta = delta.sum(0)
		self.dgamma = (delta * self.norm).sum(0)
		return self.gamma / N * (self.var + self.eps) ** -0.5 * (N * delta - self.dbeta - self.norm * self.dgamma)


class MLP(object):
	def __init__(self, input_size, output_size, hiddens, activations, weight_init_fn, bias_init_fn, criterion, lr, momentum=0.0, num_bn_layers=0):
		self.train_mode = True
		self.num_bn_layers = num_bn_layers
		self.bn = num_bn_layers > 0
		self.nlayers = len(hiddens) + 1
		self.input_size = input_size
		self.output_size = output_size
		self.activations = activations
		self.criterion = criterion
		self.lr = lr
		self.momentum = momentum

		self.W, self.b = [], []
		if len(hiddens) <= 0:
			self.W.append(weight_init_fn(input_size, output_size))
			self.b.append(bias_init_fn(output_size))
		else:
			# first
			self.W.append(weight_init_fn(input_size, hiddens[0]))
			self.b.append(bias_init_fn(hiddens[0]))
			# middle
			for i in range(len(hiddens) - 1):
				self.W.append(weight_init_fn(hiddens[i], hiddens[i+1]))
				self.b.append(bias_init_fn(hiddens[i+1]))
			# last
			self.W.append(weight_init_fn(hiddens[-1], output_size))
			self.b.append(bias_init_fn(output_size))
		self.dW = [np.zeros(w.shape) for w in self.W]
		self.db = [np.zeros(b.shape) for b in self.b]
		self.old_dW = [np.zeros(w.shape) for w in self.W]
		self.old_db = [np.zeros(b.shape) for b in self.b]
		self.bn_layers = []
		if self.bn:
			self.bn_layers = [BatchNorm(h) for h in (list(hiddens) + [output_size])[:num_bn_layers]]

	def forward(self, x):
		self.x = x
		out = x
		for i in range(self.nlayers):
			out = np.matmul(out, self.W[i]) + self.b[i]
			# out = self.bn_layers[i](out)      # old, forget about eval
			if i < self.num_bn_layers:
				if self.train_mode:
					out = self.bn_layers[i].forward(out)
				else:
					out = self.bn_layers[i].forward(out, eval=True)
			out = self.activations[i](out)
		self.out = out
		return out

	def zero_grads(self):
		for g in self.dW + self.db:
			g[:] = 0.0

	def step(self):
		for i in range(self.nlayers):
			# heavy ball, see slide
			self.old_dW[i] = self.momentum * self.old_dW[i] + self.lr * self.dW[i]
			self.old_db[i] = self.momentum * self.old_db[i] + self.lr * self.db[i]
			self.W[i] -= self.old_dW[i] * self.lr
			self.b[i] -= self.old_db[i] * self.lr
		for l in self.bn_layers:
			l.gamma = l.gamma - self.lr * l.dgamma
			l.beta = l.beta - self.lr * l.dbeta

	def backward(self, labels):
		N = labels.shape[0]
		self.loss = self.criterion(self.out, labels)
		grad = self.criterion.derivative()
		for i in reversed(range(self.nlayers)):
			grad = grad * self.activations[i].derivative()
			if i < self.num_bn_layers:
				grad = self.bn_layers[i].backward(grad)
			# the input of this layer is the state of layer before
			inp = self.x if i == 0 else self.activations[i-1].state
			self.dW[i] = np.matmul(inp.T, grad) / N
			self.db[i] = grad.sum(0).reshape(self.b[i].shape) / N
			grad = np.matmul(grad, self.W[i].T)

	def __call__(self, x):
		return self.forward(x)

	def train(self):
		self.train_mode = True

	def eval(self):
		self.train_mode = False


def get_training_stats(mlp, dset, nepochs, batch_size):

	train, val, test = dset
	trainx, trainy = train
	valx, valy = val
	testx, testy = test

	idxs = np.arange(len(trainx))

	training_losses = []
	training_errors = []
	validation_losses = []
	validation_errors = []

	for e in range(nepochs):

		np.random.shuffle(idxs)
		trainx = trainx[idxs]
		trainy = trainy[idxs]

		mlp.train()
		loss, wrong = 0.0, 0
		for b in range(0, len(trainx), batch_size):
			x, y = trainx[b:b + batch_size], trainy[b:b + batch_size]
			mlp.zero_grads()
			out = mlp(x)
			mlp.backward(y)
			mlp.step()
			loss += np.sum(mlp.criterion.loss)
			wrong += np.sum(np.argmax(out, axis=1) != np.argmax(y, axis=1))
		training_losses.append(loss / len(trainx))
		training_errors.append(wrong / len(trainx))

		mlp.eval()
		loss, wrong = 0.0, 0
		for b in range(0, len(valx), batch_size):
			x, y = valx[b:b + batch_size], valy[b:b + batch_size]
			out = mlp(x)
			loss += np.sum(mlp.criterion(out, y))
			wrong += np.sum(np.argmax(out, axis=1) != np.argmax(y, axis=1))
		validation_losses.append(loss / len(valx))
		validation_errors.append(wrong / len(valx))

	return (np.array(training_losses), np.array(training_errors),
			np.array(validation_losses), np.array(validation_errors))
