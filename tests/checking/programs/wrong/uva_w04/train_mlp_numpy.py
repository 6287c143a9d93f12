"""
This module implements training and evaluation of a multi-layer perceptron in NumPy.
"""
import argparse
import os

import numpy as np

import cifar10_utils
from mlp_numpy import MLP
from modules import CrossEntropyModule

DNN_HIDDEN_UNITS_DEFAULT = '100'
LEARNING_RATE_DEFAULT = 2e-3
MAX_STEPS_DEFAULT = 1500
BATCH_SIZE_DEFAULT = 200
EVAL_FREQ_DEFAULT = 100
DATA_DIR_DEFAULT = './cifar10/cifar-10-batches-py'

FLAGS = None


def accuracy(predictions, targets):
  return np.mean(np.argmax(predictions, axis=1) == np.argmax(targets, axis=1))


def train():
  np.random.seed(42)
  hidden = [int(u) for u in FLAGS.dnn_hidden_units.split(',')] if FLAGS.dnn_hidden_units else []
  data = cifar10_utils.get_cifar10(FLAGS.data_dir)
  net = MLP(3 * 32 * 32, hidden, 10, FLAGS.neg_slope)
  loss = CrossEntropyModule()
  for step in range(FLAGS.max_steps):
    x, y = data['train'].next_batch(FLAGS.batch_size)
    x = x.reshape(FLAGS.batch_size, -1)
    p = net.forward(x)
    net.backward(loss.backward(p, y))
    for layer in net.layers:
      if hasattr(layer, 'params'):
        layer.params['weight'] -= FLAGS.learning_rate * layer.grads['weight']
        layer.params['bias'] -= FLAGS.learning_rate * layer.grads['bias']
    if step % FLAGS.eval_freq == 0:
      tx, ty = data['test'].images, data['test'].labels
      print(step, loss.forward(p, y), accuracy(net.forward(tx.reshape(len(tx), -1)), ty))


def main():
  if not os.path.exists(FLAGS.data_dir):
    os.makedirs(FLAGS.data_dir)
  train()


if __name__ == '__main__':
  parser = argparse.ArgumentParser()
  parser.add_argument('--dnn_hidden_units', type=str, default=DNN_HIDDEN_UNITS_DEFAULT)
  parser.add_argument('--learning_rate', type=float, default=LEARNING_RATE_DEFAULT)
  parser.add_argument('--max_steps', type=int, default=MAX_STEPS_DEFAULT)
  parser.add_argument('--batch_size', type=int, default=BATCH_SIZE_DEFAULT)
  parser.add_argument('--eval_freq', type=int, default=EVAL_FREQ_DEFAULT)
  parser.add_argument('--data_dir', type=str, default=DATA_DIR_DEFAULT)
  parser.add_argument('--neg_slope', type=float, default=0.02)
  FLAGS, unparsed = parser.parse_known_args()
  main()
