"""Names of settings in other libraries and training scripts: Keras, PyTorch's and timm's scripts, Lightning,
scikit-learn, Hugging Face's Trainer, fastai."""

from __future__ import annotations

_NAMES = {
    # settings
    "dataset": "dataset_name data_name",
    "data": "data_path data_file dataset_path train_file train_data csv csv_path image_folder",
    "data_dir": "data_root dataset_dir datadir",
    "target": "label_column target_column y_names label y_col",
    "preprocessing": "normalization normalize_inputs standardize",
    "validation_size": "valid_pct validation_fraction val_split valid_split val_size val_pct",
    "test_size": "test_split test_pct test_fraction",
    "horizontal_flip": "hflip flip random_flip random_horizontal_flip fliplr",
    "random_crop": "crop crop_padding",
    "image_size": "img_size imgsz resize",
    "image_mode": "color_mode grayscale",
    "model": "arch architecture network net model_name model_name_or_path backbone",
    "hidden_units": "hidden hidden_size hidden_sizes hidden_dim hidden_dims hidden_layers hidden_layer_sizes layers "
    "units layer_sizes num_hidden dnn_hidden_units",
    "channels": "filters out_channels",
    "activation": "act act_cls act_layer nonlinearity activation_function",
    "norm": "bn use_bn batch_norm batchnorm batch_normalization norm_layer normalization_layer",
    "num_groups": "gn_groups",
    "dropout": "drop drop_rate dropout_rate dropout_prob dropout_probability ps",
    "init": "initializer kernel_initializer weight_init init_scheme",
    "optimizer": "optim opt solver opt_func optimizer_name",
    "learning_rate": "lr learning_rate_init max_lr lr_max base_lr eta eta0 initial_lr",
    "momentum": "mom moms mu sgd_momentum",
    "nesterov": "nesterovs_momentum use_nesterov",
    "beta1": "beta_1 adam_beta1",
    "beta2": "beta_2 adam_beta2",
    "weight_decay": "wd l2 l2_reg reg alpha weight_decay_rate reg_lambda",
    "clip_norm": "clip grad_clip clip_grad clipnorm global_clipnorm max_grad_norm max_norm gradient_clip_val",
    "batch_size": "bs batch batchsize mb_size minibatch_size train_batch_size per_device_train_batch_size",
    "max_steps": "steps num_steps n_steps iterations iters max_iters num_iterations total_steps train_steps",
    "epochs": "epoch n_epoch n_epochs nb_epoch num_epochs nepochs max_epochs max_iter num_train_epochs",
    "eval_freq": "eval_steps eval_every eval_interval log_every log_interval logging_steps print_freq print_every "
    "val_check_interval validation_freq",
    "patience": "early_stopping early_stop early_stopping_patience n_iter_no_change",
    "loss": "criterion loss_fn loss_func loss_function objective",
    "label_smoothing": "smoothing label_smoothing_factor smooth",
    "class_weight": "class_weights",
    "schedule": "sched scheduler lr_scheduler lr_schedule lr_scheduler_type",
    "warmup_steps": "warmup num_warmup_steps warmup_ratio warmup_epochs lr_warmup_epochs",
    "step_size": "lr_step_size decay_steps lr_decay_steps decay_epochs",
    "gamma": "lr_gamma lr_decay decay_rate",
    "min_learning_rate": "min_lr lr_min eta_min end_lr",
    "seed": "random_state random_seed rng_seed manual_seed",
    "engine": "backend framework",
    "precision": "amp fp16 bf16 half dtype use_amp mixed_precision",
    "device": "gpu gpus cuda no_cuda use_cuda use_cpu accelerator devices gpu_id",
    "compile": "torch_compile jit",
    "threads": "workers num_workers n_workers n_jobs num_threads nthreads dataloader_num_workers j",
    "checkpoint_seconds": "save_steps save_freq save_every checkpoint_interval checkpoint_freq",
    # other arguments of `train` and flags of `handgrad train`
    "run_dir": "save_dir log_dir logdir logging_dir out_dir outdir output_dir output out work_dir exp_dir "
    "checkpoint_dir default_root_dir save_path model_dir exp_name run_name",
    "resume": "resume_from resume_from_checkpoint ckpt_path warm_start load_checkpoint restore",
    "tensorboard": "report_to log_tensorboard tb use_tensorboard",
}
#: Name in another library -> name in handgrad.
ELSEWHERE = {name: ours for ours, names in _NAMES.items() for name in names.split()}

#: Hints for names without a counterpart.
NO_SETTING = {
    **dict.fromkeys(
        ("num_classes", "n_classes", "n_out", "input_shape", "input_size", "input_dim", "in_features"),
        "the numbers of inputs and classes are determined by the data: leave it out",
    ),
    **dict.fromkeys(("shuffle",), "training data are always shuffled, with data_seed: leave it out"),
    **dict.fromkeys(
        ("metrics", "metric"), "every evaluation records loss and accuracy; for regression RMSE, MAE and R²"
    ),
    **dict.fromkeys(("callbacks", "cbs"), "pass a reporter, an object with the methods of handgrad.training.Reporter"),
    **dict.fromkeys(("betas",), "set beta1 and beta2"),
    **dict.fromkeys(("eps", "epsilon", "adam_epsilon"), "it cannot be changed: leave it out"),
    **dict.fromkeys(("download",), "missing data sets are downloaded, except with offline: leave it out"),
    **dict.fromkeys(("pretrained", "weights"), "start from existing weights with handgrad import"),
}


def plain(name: str) -> str:
    """A flag or argument as spelled in the tables above."""
    return name.lstrip("-").replace("-", "_").lower()
