"""Tiny random models and small corpora: no test needs the network or a real model unless it says so."""

import itertools
import json
import os
import socket
from pathlib import Path

import numpy as np
import polars as pl
import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has a core; matrices this small wait longer for a second
    os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Keep the user's cache out of the tests."""
    monkeypatch.setenv("ISOGLOSS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    """Print as into a pipe, whatever the width of the terminal that the tests were started in."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(scope="session")
def shared_data():
    """Real data, where a checkout has it."""
    if not SHARED.is_dir():
        pytest.skip(f"no real data at {SHARED}")
    return SHARED


def memory():
    """A folder in fsspec's memory file system that no other test has."""
    from isogloss.io.paths import parse_path

    return parse_path(f"memory://bucket/test-{next(NUMBERS)}")


@pytest.fixture(scope="session")
def s3_server():
    """An S3 server on this machine: its address."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    server = pytest.importorskip("moto.server", reason="moto is not installed").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server, monkeypatch):
    """A folder in a bucket of that server."""
    import s3fs

    from isogloss.io.paths import parse_path

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    folder = parse_path(f"s3://bucket-{next(NUMBERS)}/work")
    folder.fs.mkdir(folder.parent.path.rstrip("/"))
    yield folder
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="session")
def gcs_server():
    """Google Cloud Storage, as its emulator on this machine answers."""
    pytest.importorskip("gcsfs", reason="gcsfs is not installed")
    emulator = pytest.importorskip("gcp_storage_emulator.server", reason="gcp-storage-emulator is not installed")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    server = emulator.create_server("localhost", port, in_memory=True)
    server.start()
    yield f"http://localhost:{port}"
    server.stop()


@pytest.fixture
def gcs(gcs_server, monkeypatch):
    """A folder in a bucket of that emulator."""
    import gcsfs

    from isogloss.io.paths import parse_path

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_server)
    monkeypatch.setenv("FSSPEC_GS_TOKEN", "anon")
    monkeypatch.setenv("FSSPEC_GS_PROJECT", "tests")
    gcsfs.GCSFileSystem.clear_instance_cache()
    folder = parse_path(f"gs://bucket-{next(NUMBERS)}/work")
    folder.fs.mkdir(folder.parent.path.rstrip("/"))
    yield folder
    gcsfs.GCSFileSystem.clear_instance_cache()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A random Gemma 3 with 4 blocks of width 32 and a byte-level tokenizer, saved as a model folder."""
    return make_model(tmp_path_factory.mktemp("tiny") / "base", seed=0)


@pytest.fixture(scope="session")
def other_folder(tmp_path_factory):
    """The same architecture with other an untrained model."""
    return make_model(tmp_path_factory.mktemp("tiny") / "other", seed=1)


@pytest.fixture(scope="session")
def adapter_folder(tmp_path_factory, tiny_folder):
    """A LoRA adapter with an untrained model on the tiny model."""
    return make_adapter(tiny_folder, tmp_path_factory.mktemp("tiny") / "adapter", seed=3)


def make_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate(["<pad>", "<bos>", "<eos>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")


def make_model(folder, *, seed, width=32, depth=4):
    import torch
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    config = Gemma3TextConfig(
        vocab_size=300,
        hidden_size=width,
        intermediate_size=64,
        num_hidden_layers=depth,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=16,
        max_position_embeddings=512,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Gemma3ForCausalLM(config)
        # Fresh norms and small weights would leave all texts nearly alike.
        for parameter in model.parameters():
            parameter.data.normal_(std=0.3)
        model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def make_adapter(base, folder, *, seed, rank=4):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        adapted = get_peft_model(
            model, LoraConfig(r=rank, lora_alpha=8, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
        )
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.data.normal_(std=0.3)
        adapted.save_pretrained(folder)
    return folder


WORDS = (
    "apple river stone cloud green quick under seven light paper music window garden silver".split()  # noqa: SIM905
)


def parallel_rows(n=30, languages=("en", "de"), seed=0):
    """Pairs of made-up sentences; the toxic twin has an extra word."""
    rng = np.random.default_rng(seed)
    rows = []
    for code in languages:
        for i in range(n):
            words = list(rng.choice(WORDS, size=6))
            rows.append(
                {
                    "pair_id": f"p{i}",
                    "language": code,
                    "toxic": f"{code} {i} bad {' '.join(words)}",
                    "neutral": f"{code} {i} good {' '.join(words)}",
                }
            )
    return rows


@pytest.fixture
def parallel_file(tmp_path):
    """A parallel JSONL file in two languages with 30 pairs each."""
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in parallel_rows()), encoding="utf-8")
    return path


@pytest.fixture
def labelled_file(tmp_path):
    """A labelled CSV file, sorted by label, with 60 texts per class."""
    rng = np.random.default_rng(1)
    rows = [
        {"text": f"{label} {i} {' '.join(rng.choice(WORDS, size=5))}", "label": label, "language": "en"}
        for label in (1, 0)
        for i in range(60)
    ]
    path = tmp_path / "labelled.csv"
    pl.DataFrame(rows).write_csv(path)
    return path


def pytest_configure():
    """Let hypothesis draw the same examples in every run, and keep no database in the checkout."""
    from hypothesis import settings

    settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
    settings.load_profile("fixed")
