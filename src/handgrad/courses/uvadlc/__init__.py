"""University of Amsterdam, deep learning, assignment 1: the files of April 2019, November 2019 and 2020.

`modules`, `mlp_numpy`, `cifar10_utils` and `train_mlp_numpy` require only NumPy; `mlp_pytorch`, `convnet_pytorch`,
`custom_batchnorm`, `custom_layernorm`, `train_mlp_pytorch` and `train_convnet_pytorch` require PyTorch. If the editions
differ, names without a suffix, such as `MLP` and `ConvNet`, refer to April 2019; `MLPNovember2019`, `MLP2020` and
`ConvNet2020` are the other versions. `handgrad courses export` writes files with the names of each edition.
"""
