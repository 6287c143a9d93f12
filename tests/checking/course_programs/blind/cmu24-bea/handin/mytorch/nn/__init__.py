from mytorch.nn.modules import *  # noqa
