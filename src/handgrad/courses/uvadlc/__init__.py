"""University of Amsterdam, deep learning, assignment 1: the files of April 2019, November 2019 and 2020.

`modules`, `mlp_numpy`, `cifar10_utils` and `train_mlp_numpy` need NumPy alone; `mlp_pytorch`, `convnet_pytorch`,
`custom_batchnorm`, `custom_layernorm`, `train_mlp_pytorch` and `train_convnet_pytorch` need PyTorch. Where the editions
differ, a name of April 2019 stands without an addition, as `MLP` and `ConvNet` do; `MLPNovember2019`, `MLP2020` and
`ConvNet2020` are those of the others. `handgrad courses export` writes files in which each edition has its own names.
"""
