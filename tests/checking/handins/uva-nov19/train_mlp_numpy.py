"""Trains the network on CIFAR-10."""

import argparse

import cifar10_utils
import numpy as np
from mlp_numpy import MLP
from modules import CrossEntropyModule


def accuracy(predictions, targets):
    right = np.argmax(predictions, axis=1) == np.argmax(targets, axis=1)
    return np.mean(right)


def train():
    np.random.seed(42)
    data = cifar10_utils.get_cifar10(FLAGS.data_dir)
    loss = CrossEntropyModule()
    net = MLP(3072, [100], 10, 0.02)
    for step in range(FLAGS.max_steps):
        x, y = data["train"].next_batch(FLAGS.batch_size)
        out = net.forward(x.reshape(len(x), -1))
        net.backward(loss.backward(out, y))
        for layer in net.layers:
            if hasattr(layer, "params"):
                for key in layer.params:
                    layer.params[key] -= FLAGS.learning_rate * layer.grads[key]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--max_steps", type=int, default=1500)
    parser.add_argument("--batch_size", type=int, default=200)
    parser.add_argument("--learning_rate", type=float, default=2e-3)
    parser.add_argument("--data_dir", type=str, default="./cifar10")
    FLAGS, _ = parser.parse_known_args()
    train()
